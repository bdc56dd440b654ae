// A part of a tensor, computed from parts of what the tensor is computed from.
#include "FormBlocks.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace bpt {

Part Part::whole(Value value) {
  auto shape = cast<RankedTensorType>(value.getType()).getShape();
  return {SmallVector<int64_t>(shape.size(), 0), SmallVector<int64_t>(shape)};
}

bool Part::isWhole(Value value, int64_t dim) const {
  return offsets[dim] == 0 && sizes[dim] == cast<RankedTensorType>(value.getType()).getDimSize(dim);
}

bool Part::isWhole(Value value) const {
  return llvm::all_of(llvm::seq<int64_t>(0, sizes.size()), [&](int64_t dim) { return isWhole(value, dim); });
}

namespace {

class PartTaker {
public:
  explicit PartTaker(OpBuilder &builder) : builder(builder) {}

  /// A value equal to `part` of `value`, computed from parts of what `value` is computed from as far up as ops allow.
  Value get(Value value, const Part &part) {
    if (part.isWhole(value))
      return value;
    Value result;
    if (Operation *definition = value.getDefiningOp()) {
      if (auto structured = dyn_cast<linalg::LinalgOp>(definition))
        result = getStructured(structured, part);
      else if (auto empty = dyn_cast<tensor::EmptyOp>(definition))
        result = getEmpty(empty, part);
      else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(definition))
        result = getExpanded(expand, part);
      else if (auto slice = dyn_cast<tensor::ExtractSliceOp>(definition))
        result = getSlice(slice, part);
      else if (definition->hasTrait<OpTrait::Elementwise>() && definition->getNumResults() == 1)
        result = getElementwise(definition, part);
      else if (isa<LayerNormOp, RMSNormOp, RotaryOp>(definition))
        result = getRowWise(definition, part);
    }
    return result ? result : extract(value, part);
  }

private:
  Value extract(Value value, const Part &part) {
    Location loc = value.getLoc();
    SmallVector<OpFoldResult> offsets, sizes, strides(part.sizes.size(), builder.getIndexAttr(1));
    for (auto [dim, size] : llvm::enumerate(part.sizes)) {
      offsets.push_back(builder.getIndexAttr(part.offsets[dim]));
      sizes.push_back(ShapedType::isDynamic(size) ? tensor::getMixedSize(builder, loc, value, dim)
                                                  : OpFoldResult(builder.getIndexAttr(size)));
    }
    return tensor::ExtractSliceOp::create(builder, loc, value, offsets, sizes, strides);
  }

  static RankedTensorType getType(Value value, const Part &part) {
    return cast<RankedTensorType>(value.getType()).clone(part.sizes);
  }

  /// The part of each operand follows from the indexing maps.
  Value getStructured(linalg::LinalgOp op, const Part &part) {
    if (op->getNumResults() != 1 || !op.hasPureTensorSemantics())
      return {};
    DenseMap<unsigned, std::pair<int64_t, int64_t>> loops;
    AffineMap map = op.getMatchingIndexingMap(op.getDpsInitOperand(0));
    for (auto [dim, expr] : llvm::enumerate(map.getResults())) {
      if (part.isWhole(op->getResult(0), dim))
        continue;
      auto loop = dyn_cast<AffineDimExpr>(expr);
      if (!loop || op.getIteratorTypesArray()[loop.getPosition()] != utils::IteratorType::parallel)
        return {};
      loops[loop.getPosition()] = {part.offsets[dim], part.sizes[dim]};
    }
    bool usesIndex = false;
    op->walk([&](linalg::IndexOp index) { usesIndex |= loops.contains(index.getDim()); });
    if (usesIndex)
      return {};
    SmallVector<Part> parts;
    for (OpOperand &operand : op->getOpOperands()) {
      if (!isa<RankedTensorType>(operand.get().getType())) {
        parts.emplace_back();
        continue;
      }
      parts.push_back(Part::whole(operand.get()));
      for (auto [dim, expr] : llvm::enumerate(op.getMatchingIndexingMap(&operand).getResults()))
        for (auto &[loop, range] : loops) {
          if (!expr.isFunctionOfDim(loop))
            continue;
          if (!isa<AffineDimExpr>(expr))
            return {};
          std::tie(parts.back().offsets[dim], parts.back().sizes[dim]) = range;
        }
    }
    SmallVector<Value> operands;
    for (auto [operand, operandPart] : llvm::zip_equal(op->getOperands(), parts))
      operands.push_back(isa<RankedTensorType>(operand.getType()) ? get(operand, operandPart) : operand);
    return clone(op, operands, part);
  }

  Value getElementwise(Operation *op, const Part &part) {
    SmallVector<Value> operands;
    for (Value operand : op->getOperands())
      operands.push_back(isa<RankedTensorType>(operand.getType()) ? get(operand, part) : operand);
    return clone(op, operands, part);
  }

  /// Of norms any rows; of a rotation not a part of the sequence, which would stand at other positions.
  Value getRowWise(Operation *op, const Part &part) {
    int64_t last = part.sizes.size() - 1;
    if (!part.isWhole(op->getResult(0), last) || (isa<RotaryOp>(op) && !part.isWhole(op->getResult(0), 1)))
      return {};
    SmallVector<Value> operands(op->getOperands());
    operands.front() = get(operands.front(), part);
    for (OpOperand &out : cast<DestinationStyleOpInterface>(op).getDpsInitsMutable())
      operands[out.getOperandNumber()] = get(out.get(), part);
    return clone(op, operands, part);
  }

  Value getEmpty(tensor::EmptyOp op, const Part &part) {
    SmallVector<OpFoldResult> sizes = op.getMixedSizes();
    for (auto [dim, size] : llvm::enumerate(part.sizes))
      if (!ShapedType::isDynamic(size))
        sizes[dim] = builder.getIndexAttr(size);
    return tensor::EmptyOp::create(builder, op.getLoc(), sizes, op.getType().getElementType());
  }

  Value getSlice(tensor::ExtractSliceOp op, const Part &part) {
    if (op.getDroppedDims().any() || !op.hasUnitStride())
      return {};
    Part outer = part;
    for (auto [dim, offset] : llvm::enumerate(op.getStaticOffsets())) {
      if (ShapedType::isDynamic(offset) || ShapedType::isDynamic(outer.sizes[dim]))
        return {};
      outer.offsets[dim] += offset;
    }
    return get(op.getSource(), outer);
  }

  /// Of a group of dims, only a part contiguous in the source's dim: dims of size 1, then one range, then whole dims.
  Value getExpanded(tensor::ExpandShapeOp op, const Part &part) {
    Part source = Part::whole(op.getSrc());
    for (auto [dim, group] : llvm::enumerate(op.getReassociationIndices())) {
      if (llvm::all_of(group, [&](int64_t i) { return part.isWhole(op.getResult(), i); }))
        continue;
      int64_t stride = 1, size = 1, offset = 0;
      bool inner = true; // all dims seen so far, from the innermost, are whole
      for (int64_t i : llvm::reverse(group)) {
        int64_t extent = op.getResultType().getDimSize(i);
        if (ShapedType::isDynamic(extent) || (!inner && part.sizes[i] != 1))
          return {};
        offset += part.offsets[i] * stride;
        size *= part.sizes[i];
        stride *= extent;
        inner &= part.isWhole(op.getResult(), i);
      }
      source.offsets[dim] = offset;
      source.sizes[dim] = size;
    }
    SmallVector<OpFoldResult> sizes = op.getMixedOutputShape();
    for (auto [dim, size] : llvm::enumerate(part.sizes))
      if (!ShapedType::isDynamic(size))
        sizes[dim] = builder.getIndexAttr(size);
    return tensor::ExpandShapeOp::create(builder, op.getLoc(), getType(op.getResult(), part), get(op.getSrc(), source),
                                         op.getReassociationIndices(), sizes);
  }

  Value clone(Operation *op, ValueRange operands, const Part &part) {
    Operation *result = builder.clone(*op);
    result->setOperands(operands);
    result->getResult(0).setType(getType(op->getResult(0), part));
    return result->getResult(0);
  }

  OpBuilder &builder;
};

} // namespace

Value takePart(OpBuilder &builder, Value value, const Part &part) { return PartTaker(builder).get(value, part); }

} // namespace bpt
