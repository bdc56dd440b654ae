// bpt ops along the sequence: row-wise ops, and attention cut along its query rows.
#include "Sequence.h"
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/Register.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace bpt {

Operation *cloneWithOperands(OpBuilder &builder, Operation *op, ValueRange operands, TypeRange types) {
  Operation *clone = builder.clone(*op);
  clone->setOperands(operands);
  for (auto [result, type] : llvm::zip_equal(clone->getResults(), types))
    result.setType(type);
  return clone;
}

Operation *cloneDestinationOp(OpBuilder &builder, Operation *op, ValueRange operands) {
  SmallVector<Type> types;
  for (OpOperand &init : cast<DestinationStyleOpInterface>(op).getDpsInitsMutable())
    types.push_back(operands[init.getOperandNumber()].getType());
  return cloneWithOperands(builder, op, operands, types);
}

RankedTensorType withDim(RankedTensorType type, int64_t dim, int64_t size) {
  SmallVector<int64_t> shape(type.getShape());
  shape[dim] = size;
  return type.clone(shape);
}

namespace {
constexpr int64_t Whole = SequenceOpInterface::Whole;

/// The block's offset joins the one the op has already.
void addOffset(OpBuilder &builder, Operation *op, MutableOperandRange own, Value offset) {
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op);
  if (!own.empty())
    offset = arith::AddIOp::create(builder, op->getLoc(), own[0].get(), offset);
  own.assign(offset);
}

/// Fills in that `cut` (and all outs) are cut along `dim` and everything else is seen whole.
template <typename OpTy>
void cutOperands(OpTy op, OpOperand &cut, int64_t dim, SmallVectorImpl<int64_t> &operandDims) {
  operandDims.assign(op->getNumOperands(), Whole);
  operandDims[cut.getOperandNumber()] = dim;
  for (OpOperand &out : op.getOutsMutable())
    operandDims[out.getOperandNumber()] = dim;
}

/// Every row by itself: any dim but the last, over which these ops sum.
template <typename OpTy>
struct RowWiseModel : SequenceOpInterface::ExternalModel<RowWiseModel<OpTy>, OpTy> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    auto rowWise = cast<OpTy>(op);
    if (resultDim + 1 >= cast<ShapedType>(rowWise.getInput().getType()).getRank())
      return failure();
    cutOperands(rowWise, rowWise.getInputMutable(), resultDim, operandDims);
    return success();
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t, Value,
                                       OpFoldResult) const {
    return cloneDestinationOp(builder, op, operands);
  }
};

/// Every row by itself, but what it computes depends on the row's position: the sequence is dim 1 and nothing else.
template <typename OpTy>
struct PositionModel : SequenceOpInterface::ExternalModel<PositionModel<OpTy>, OpTy> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    if (resultDim != 1)
      return failure();
    auto positional = cast<OpTy>(op);
    cutOperands(positional, positional.getInputMutable(), resultDim, operandDims);
    return success();
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t, Value offset,
                                       OpFoldResult) const {
    auto clone = cast<OpTy>(cloneDestinationOp(builder, op, operands));
    addOffset(builder, clone, clone.getPositionOffsetMutable(), offset);
    return clone.getOperation();
  }
};

struct EmbeddingModel : SequenceOpInterface::ExternalModel<EmbeddingModel, EmbeddingOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    if (resultDim > 1)
      return failure();
    auto embedding = cast<EmbeddingOp>(op);
    cutOperands(embedding, embedding.getIdsMutable(), resultDim, operandDims);
    return success();
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t, Value,
                                       OpFoldResult) const {
    return cloneDestinationOp(builder, op, operands);
  }
};

/// Query rows are independent of each other; keys and values are seen whole.
struct AttentionModel : SequenceOpInterface::ExternalModel<AttentionModel, AttentionOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    if (resultDim != 1)
      return failure();
    auto attention = cast<AttentionOp>(op);
    cutOperands(attention, attention.getQueryMutable(), 1, operandDims);
    for (auto [number, out] : llvm::enumerate(attention.getOutsMutable()))
      operandDims[out.getOperandNumber()] = getResultSequenceDim(op, number, 1);
    // A bias of one row is the same for every query.
    if (Value bias = attention.getBias(); bias && cast<ShapedType>(bias.getType()).getDimSize(2) != 1)
      operandDims[attention.getBiasMutable()[0].getOperandNumber()] = 2;
    if (attention.getQuerySegments())
      operandDims[attention.getQuerySegmentsMutable()[0].getOperandNumber()] = 1;
    return success();
  }
  /// out [B,S,H,D]; lse [B,H,S] and probabilities [B,H,S,T].
  int64_t getResultSequenceDim(Operation *, unsigned number, int64_t resultDim) const { return number == 0 ? resultDim : 2; }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t, Value offset,
                                       OpFoldResult) const {
    auto clone = cast<AttentionOp>(cloneDestinationOp(builder, op, operands));
    addOffset(builder, clone, clone.getQueryOffsetMutable(), offset);
    return clone.getOperation();
  }
};

} // namespace

void registerSequenceModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, BPTDialect *) {
    LayerNormOp::attachInterface<RowWiseModel<LayerNormOp>>(*context);
    RMSNormOp::attachInterface<RowWiseModel<RMSNormOp>>(*context);
    FeedForwardOp::attachInterface<RowWiseModel<FeedForwardOp>>(*context);
    RotaryOp::attachInterface<PositionModel<RotaryOp>>(*context);
    DropoutOp::attachInterface<PositionModel<DropoutOp>>(*context);
    EmbeddingOp::attachInterface<EmbeddingModel>(*context);
    AttentionOp::attachInterface<AttentionModel>(*context);
  });
  registry.addExtension(+[](MLIRContext *context, linalg::LinalgDialect *) { attachLinalgSequenceModels(*context); });
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) { attachTensorSequenceModels(*context); });
  registry.addExtension(+[](MLIRContext *context, arith::ArithDialect *) { attachArithSequenceModels(*context); });
  registry.addExtension(+[](MLIRContext *context, math::MathDialect *) { attachMathSequenceModels(*context); });
}

} // namespace bpt
