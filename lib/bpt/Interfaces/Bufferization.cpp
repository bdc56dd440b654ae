// How bpt ops bufferize: destination-style ops write into their outs, barriers vanish.
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/Register.h"
#include "mlir/Dialect/Bufferization/IR/BufferizableOpInterface.h"
#include "mlir/Dialect/Bufferization/IR/DstBufferizableOpInterfaceImpl.h"

using namespace mlir;
using namespace mlir::bufferization;

namespace bpt {
namespace {

/// Ops whose outs hold a value they add to or update; the others overwrite their outs.
template <typename OpTy>
constexpr bool readsOuts = llvm::is_one_of<OpTy, AttentionGradOp, FeedForwardGradOp, LayerNormGradOp, RMSNormGradOp,
                                           EmbeddingGradOp, LinearCrossEntropyGradOp, AdamWOp>::value;

/// Clones `op` with buffers in place of tensors; results become the buffers of the outs.
LogicalResult bufferizeDestinationOp(Operation *op, RewriterBase &rewriter, const BufferizationOptions &options,
                                     BufferizationState &state) {
  auto destination = cast<DestinationStyleOpInterface>(op);
  if (destination.hasPureBufferSemantics())
    return success();
  OpBuilder::InsertionGuard guard(rewriter);
  rewriter.setInsertionPoint(op);
  SmallVector<Value> operands, outs;
  for (OpOperand &operand : op->getOpOperands()) {
    Value value = operand.get();
    if (isa<TensorType>(value.getType())) {
      FailureOr<Value> buffer = getBuffer(rewriter, value, options, state);
      if (failed(buffer))
        return failure();
      value = *buffer;
    }
    operands.push_back(value);
    if (destination.isDpsInit(&operand))
      outs.push_back(value);
  }
  OperationState cloned(op->getLoc(), op->getName(), operands, TypeRange{}, op->getDiscardableAttrDictionary().getValue());
  cloned.propertiesAttr = op->getPropertiesAsAttribute();
  rewriter.create(cloned);
  replaceOpWithBufferizedValues(rewriter, op, outs);
  return success();
}

template <typename OpTy>
struct DestinationModel : DstBufferizableOpInterfaceExternalModel<DestinationModel<OpTy>, OpTy> {
  bool bufferizesToMemoryRead(Operation *op, OpOperand &operand, const AnalysisState &) const {
    return !isWorkspace(op, operand) && (readsOuts<OpTy> || !getOut(op, operand));
  }
  bool bufferizesToMemoryWrite(Operation *op, OpOperand &operand, const AnalysisState &) const {
    return isWorkspace(op, operand) || getOut(op, operand).has_value();
  }
  AliasingValueList getAliasingValues(Operation *op, OpOperand &operand, const AnalysisState &) const {
    if (std::optional<unsigned> out = getOut(op, operand); out && op->getNumResults() > 0)
      return {{op->getResult(*out), BufferRelation::Equivalent}};
    return {};
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter, const BufferizationOptions &options,
                          BufferizationState &state) const {
    return bufferizeDestinationOp(op, rewriter, options, state);
  }

private:
  /// Which of the outs `operand` is. The analysis asks this more than anything else, and isDpsInit makes an attribute
  /// for every answer.
  static std::optional<unsigned> getOut(Operation *op, OpOperand &operand) {
    OperandRange outs = cast<OpTy>(op).getOuts();
    unsigned number = operand.getOperandNumber(), first = outs.empty() ? number + 1 : outs.getBeginOperandIndex();
    if (number < first || number >= first + outs.size())
      return std::nullopt;
    return number - first;
  }
  /// The workspace is scratch: written before it is read, of no use afterwards.
  static bool isWorkspace(Operation *op, OpOperand &operand) { return operand.get() == cast<OpTy>(op).getWorkspace(); }
};

struct BarrierModel : BufferizableOpInterface::ExternalModel<BarrierModel, BarrierOp> {
  bool bufferizesToMemoryRead(Operation *, OpOperand &, const AnalysisState &) const { return false; }
  bool bufferizesToMemoryWrite(Operation *, OpOperand &, const AnalysisState &) const { return false; }
  AliasingValueList getAliasingValues(Operation *op, OpOperand &operand, const AnalysisState &) const {
    return {{op->getResult(operand.getOperandNumber()), BufferRelation::Equivalent}};
  }
  LogicalResult bufferize(Operation *op, RewriterBase &rewriter, const BufferizationOptions &options,
                          BufferizationState &state) const {
    SmallVector<Value> buffers;
    for (Value value : op->getOperands()) {
      FailureOr<Value> buffer = value;
      if (isa<TensorType>(value.getType()))
        buffer = getBuffer(rewriter, value, options, state);
      if (failed(buffer))
        return failure();
      buffers.push_back(*buffer);
    }
    replaceOpWithBufferizedValues(rewriter, op, buffers);
    return success();
  }
};

template <typename... Ops>
void attachDestinationModels(MLIRContext *context) {
  (Ops::template attachInterface<DestinationModel<Ops>>(*context), ...);
}

} // namespace

void registerBufferizationModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, BPTDialect *) {
    attachDestinationModels<AttentionOp, AttentionGradOp, FeedForwardOp, FeedForwardGradOp, LayerNormOp, LayerNormGradOp,
                            RMSNormOp, RMSNormGradOp, RotaryOp, DropoutOp, EmbeddingOp, EmbeddingGradOp,
                            LinearCrossEntropyOp, LinearCrossEntropyGradOp, AdamWOp, GlobalNormOp>(context);
    BarrierOp::attachInterface<BarrierModel>(*context);
  });
}

} // namespace bpt
