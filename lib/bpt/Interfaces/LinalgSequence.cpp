// linalg structured ops along the sequence: the indexing maps say which operand is cut along which dim.
#include "Sequence.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

using namespace mlir;

namespace bpt {
namespace {
constexpr int64_t Whole = SequenceOpInterface::Whole;

/// The position of loop `dim` among the results of an operand's `map`, `Whole` if it has none. Fails when it is part of an
/// expression (a convolution's window) or occurs twice (a diagonal).
FailureOr<int64_t> getPosition(AffineMap map, unsigned dim) {
  int64_t position = Whole;
  for (auto [index, expr] : llvm::enumerate(map.getResults())) {
    if (!expr.isFunctionOfDim(dim))
      continue;
    if (!isa<AffineDimExpr>(expr) || position != Whole)
      return failure();
    position = index;
  }
  return position;
}

struct StructuredModel {
  /// The loop that runs along dim `resultDim` of result 0; it must be parallel.
  static FailureOr<unsigned> getLoop(linalg::LinalgOp op, int64_t resultDim) {
    AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
    if (resultDim >= map.getNumResults())
      return failure();
    auto expr = dyn_cast<AffineDimExpr>(map.getResult(resultDim));
    if (!expr || op.getIteratorTypesArray()[expr.getPosition()] != utils::IteratorType::parallel)
      return failure();
    return expr.getPosition();
  }

  static LogicalResult getSequenceDims(linalg::LinalgOp op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) {
    FailureOr<unsigned> loop = getLoop(op, resultDim);
    if (failed(loop) || !op.hasPureTensorSemantics())
      return failure();
    operandDims.clear();
    for (OpOperand &operand : op->getOpOperands()) {
      FailureOr<int64_t> position = getPosition(op.getMatchingIndexingMap(&operand), *loop);
      // A result without that loop would be summed over the sequence.
      if (failed(position) || (op.isDpsInit(&operand) && *position == Whole))
        return failure();
      operandDims.push_back(*position);
    }
    return success();
  }

  static int64_t getResultSequenceDim(linalg::LinalgOp op, unsigned number, int64_t resultDim) {
    FailureOr<unsigned> loop = getLoop(op, resultDim);
    if (failed(loop))
      return resultDim;
    FailureOr<int64_t> position = getPosition(op.getMatchingIndexingMap(op.getDpsInitOperand(number)), *loop);
    return succeeded(position) ? *position : resultDim;
  }

  static Operation *cloneForBlock(linalg::LinalgOp op, OpBuilder &builder, ValueRange operands, int64_t resultDim,
                                  Value offset) {
    Operation *clone = cloneDestinationOp(builder, op, operands);
    unsigned loop = *getLoop(op, resultDim);
    // The body sees indices of the whole sequence.
    clone->walk([&](linalg::IndexOp index) {
      if (index.getDim() != loop)
        return;
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointAfter(index);
      auto moved = arith::AddIOp::create(builder, index.getLoc(), index, offset);
      index.getResult().replaceAllUsesExcept(moved, moved);
    });
    return clone;
  }
};

template <typename OpTy>
struct LinalgModel : SequenceOpInterface::ExternalModel<LinalgModel<OpTy>, OpTy> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    return StructuredModel::getSequenceDims(cast<linalg::LinalgOp>(op), resultDim, operandDims);
  }
  int64_t getResultSequenceDim(Operation *op, unsigned number, int64_t resultDim) const {
    return StructuredModel::getResultSequenceDim(cast<linalg::LinalgOp>(op), number, resultDim);
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t resultDim,
                                       Value offset, OpFoldResult) const {
    return StructuredModel::cloneForBlock(cast<linalg::LinalgOp>(op), builder, operands, resultDim, offset);
  }
};

template <typename... Ops>
void attach(MLIRContext &context) {
  (Ops::template attachInterface<LinalgModel<Ops>>(context), ...);
}
} // namespace

void attachLinalgSequenceModels(MLIRContext &context) {
  attach<
#define GET_OP_LIST
#include "mlir/Dialect/Linalg/IR/LinalgStructuredOps.cpp.inc"
      >(context);
}

} // namespace bpt
