// Cloning a block for arguments of more static shapes: what a peeled loop body and its tail are made with.
#include "bpt/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bpt {
namespace {

/// Constants among `sizes` as attributes, so that types follow.
SmallVector<OpFoldResult> getFolded(Builder &builder, ArrayRef<OpFoldResult> sizes, const IRMapping &mapping) {
  return llvm::map_to_vector(sizes, [&](OpFoldResult size) -> OpFoldResult {
    if (auto value = dyn_cast<Value>(size))
      size = mapping.lookupOrDefault(value);
    if (std::optional<int64_t> constant = getConstantIntValue(size))
      return builder.getIndexAttr(*constant);
    return size;
  });
}

SmallVector<int64_t> getShape(ArrayRef<OpFoldResult> sizes) {
  return llvm::map_to_vector(sizes, [](OpFoldResult size) { return getConstantIntValue(size).value_or(ShapedType::kDynamic); });
}

Value castTo(OpBuilder &builder, Value value, Type type) {
  return value.getType() == type ? value : tensor::CastOp::create(builder, value.getLoc(), type, value);
}

class StaticShapeCloner {
public:
  StaticShapeCloner(OpBuilder &builder, IRMapping &mapping) : builder(builder), mapping(mapping) {}

  void clone(Operation *op) {
    TypeSwitch<Operation *>(op)
        .Case<tensor::DimOp, tensor::EmptyOp, tensor::CastOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp,
              tensor::ExtractSliceOp, tensor::InsertSliceOp, BarrierOp>([&](auto op) { cloneOp(op); })
        .Default([&](Operation *op) {
          if (isa<DestinationStyleOpInterface>(op))
            return cloneDestination(op);
          if (op->hasTrait<OpTrait::Elementwise>() && llvm::any_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>))
            return cloneElementwise(op);
          cloneOther(op);
        });
  }

private:
  void cloneOp(tensor::DimOp op) {
    mapping.map(op.getResult(), builder.createOrFold<tensor::DimOp>(op.getLoc(), mapping.lookupOrDefault(op.getSource()),
                                                                    mapping.lookupOrDefault(op.getIndex())));
  }

  void cloneOp(tensor::EmptyOp op) {
    mapping.map(op.getResult(), tensor::EmptyOp::create(builder, op.getLoc(), getFolded(builder, op.getMixedSizes(), mapping),
                                                        op.getType().getElementType())
                                    .getResult());
  }

  /// The union of what both sides know; no op when the source knows all of it.
  void cloneOp(tensor::CastOp op) {
    Value source = mapping.lookupOrDefault(op.getSource());
    auto from = dyn_cast<RankedTensorType>(source.getType());
    auto to = dyn_cast<RankedTensorType>(op.getType());
    if (!from || !to)
      return cloneOther(op);
    SmallVector<int64_t> shape(to.getShape());
    for (auto [size, known] : llvm::zip_equal(shape, from.getShape()))
      size = ShapedType::isDynamic(size) ? known : size;
    mapping.map(op.getResult(), castTo(builder, source, to.clone(shape)));
  }

  void cloneOp(tensor::ExpandShapeOp op) {
    SmallVector<OpFoldResult> sizes = getFolded(builder, op.getMixedOutputShape(), mapping);
    mapping.map(op.getResult(), tensor::ExpandShapeOp::create(builder, op.getLoc(), op.getResultType().clone(getShape(sizes)),
                                                              mapping.lookupOrDefault(op.getSrc()),
                                                              op.getReassociationIndices(), sizes)
                                    .getResult());
  }

  void cloneOp(tensor::CollapseShapeOp op) {
    mapping.map(op.getResult(), tensor::CollapseShapeOp::create(builder, op.getLoc(), mapping.lookupOrDefault(op.getSrc()),
                                                                op.getReassociationIndices())
                                    .getResult());
  }

  void cloneOp(tensor::ExtractSliceOp op) {
    SmallVector<OpFoldResult> sizes = getFolded(builder, op.getMixedSizes(), mapping);
    SmallVector<int64_t> shape;
    llvm::SmallBitVector dropped = op.getDroppedDims();
    for (auto [dim, size] : llvm::enumerate(getShape(sizes)))
      if (!dropped[dim])
        shape.push_back(size);
    mapping.map(op.getResult(),
                tensor::ExtractSliceOp::create(builder, op.getLoc(), op.getType().clone(shape),
                                               mapping.lookupOrDefault(op.getSource()),
                                               getFolded(builder, op.getMixedOffsets(), mapping), sizes,
                                               getFolded(builder, op.getMixedStrides(), mapping))
                    .getResult());
  }

  void cloneOp(tensor::InsertSliceOp op) {
    SmallVector<OpFoldResult> sizes = getFolded(builder, op.getMixedSizes(), mapping);
    SmallVector<int64_t> shape;
    llvm::SmallBitVector dropped = op.getDroppedDims();
    for (auto [dim, size] : llvm::enumerate(getShape(sizes)))
      if (!dropped[dim])
        shape.push_back(size);
    Value source = castTo(builder, mapping.lookupOrDefault(op.getSource()), op.getSourceType().clone(shape));
    mapping.map(op.getResult(),
                tensor::InsertSliceOp::create(builder, op.getLoc(), source, mapping.lookupOrDefault(op.getDest()),
                                              getFolded(builder, op.getMixedOffsets(), mapping), sizes,
                                              getFolded(builder, op.getMixedStrides(), mapping))
                    .getResult());
  }

  void cloneOp(BarrierOp op) {
    Operation *clone = builder.clone(*op, mapping);
    for (auto [result, operand] : llvm::zip_equal(clone->getResults(), clone->getOperands()))
      result.setType(operand.getType());
  }

  void cloneDestination(Operation *op) {
    auto clone = cast<DestinationStyleOpInterface>(builder.clone(*op, mapping));
    for (OpResult result : clone->getResults())
      result.setType(clone.getTiedOpOperand(result)->get().getType());
  }

  /// One shape for all: the union of what the operands know.
  void cloneElementwise(Operation *op) {
    SmallVector<int64_t> shape(cast<RankedTensorType>(op->getResult(0).getType()).getShape());
    for (Value operand : op->getOperands())
      if (auto type = dyn_cast<RankedTensorType>(mapping.lookupOrDefault(operand).getType()))
        for (auto [size, known] : llvm::zip_equal(shape, type.getShape()))
          size = ShapedType::isDynamic(size) ? known : size;
    IRMapping operands(mapping);
    for (Value operand : op->getOperands()) {
      Value mapped = mapping.lookupOrDefault(operand);
      if (auto type = dyn_cast<RankedTensorType>(mapped.getType()))
        operands.map(operand, castTo(builder, mapped, type.clone(shape)));
    }
    Operation *clone = builder.clone(*op, operands);
    for (auto [before, after] : llvm::zip_equal(op->getResults(), clone->getResults())) {
      if (auto type = dyn_cast<RankedTensorType>(after.getType()))
        after.setType(type.clone(shape));
      mapping.map(before, after);
    }
  }

  /// Operands are cast back to the types they had; arithmetic of constants folds.
  void cloneOther(Operation *op) {
    IRMapping operands(mapping);
    op->walk([&](Operation *inner) {
      for (Value operand : inner->getOperands())
        if (Value mapped = mapping.lookupOrNull(operand))
          operands.map(operand, castTo(builder, mapped, operand.getType()));
    });
    Operation *clone = builder.clone(*op, operands);
    SmallVector<Value> folded;
    bool folds = op->getNumRegions() == 0 && succeeded(builder.tryFold(clone, folded)) && !folded.empty();
    for (auto [before, after] : llvm::zip_equal(op->getResults(), folds ? ValueRange(folded) : ValueRange(clone->getResults())))
      mapping.map(before, after);
    if (folds)
      clone->erase();
  }

  OpBuilder &builder;
  IRMapping &mapping;
};

} // namespace

SmallVector<Value> cloneWithStaticShapes(OpBuilder &builder, Block &body, ValueRange arguments) {
  IRMapping mapping;
  mapping.map(body.getArguments(), arguments);
  StaticShapeCloner cloner(builder, mapping);
  for (Operation &op : body.without_terminator())
    cloner.clone(&op);
  return llvm::map_to_vector(body.getTerminator()->getOperands(), [&](Value value) { return mapping.lookupOrDefault(value); });
}

} // namespace bpt
