// Splitting of fused projections: a slice of a projection is the projection by a slice of the weight.
#include "FormBlocks.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bpt {
namespace {

/// The slices that queries, keys, values and biases of attention are computed from.
SmallVector<tensor::ExtractSliceOp> findSlices(Block &body) {
  llvm::SetVector<Operation *> seen;
  for (auto attention : body.getOps<AttentionOp>())
    for (Value operand : attention->getOperands())
      if (Operation *definition = operand.getDefiningOp())
        seen.insert(definition);
  for (unsigned i = 0; i < seen.size(); ++i)
    if (!isa<AttentionOp>(seen[i]))
      forEachUsedValue(seen[i], [&](Value value) {
        if (Operation *definition = value.getDefiningOp())
          seen.insert(definition);
      });
  SmallVector<tensor::ExtractSliceOp> slices;
  for (Operation &op : body)
    if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op); slice && seen.contains(slice))
      slices.push_back(slice);
  return slices;
}

} // namespace

void splitFusedProjections(Block &body) {
  for (tensor::ExtractSliceOp slice : findSlices(body)) {
    Operation *source = slice.getSource().getDefiningOp();
    auto isDynamic = [](int64_t size) { return ShapedType::isDynamic(size); };
    if (!source || !slice.hasUnitStride() || llvm::any_of(slice.getStaticOffsets(), isDynamic))
      continue;
    Part part{SmallVector<int64_t>(slice.getStaticOffsets()), SmallVector<int64_t>(slice.getStaticSizes())};
    // A size of `?` is the whole of that dim, or unknown.
    auto takesAll = [&](int64_t dim) {
      auto size = dyn_cast<Value>(slice.getMixedSizes()[dim]);
      auto whole = size ? size.getDefiningOp<tensor::DimOp>() : tensor::DimOp();
      return whole && whole.getSource() == slice.getSource() && whole.getConstantIndex() == dim;
    };
    if (llvm::any_of(llvm::seq<int64_t>(0, part.sizes.size()),
                     [&](int64_t dim) { return isDynamic(part.sizes[dim]) && !takesAll(dim); }))
      continue;
    OpBuilder builder(slice);
    Value value = takePart(builder, slice.getSource(), part);
    if (value.getType() != slice.getType()) {
      std::optional<SmallVector<ReassociationIndices>> groups =
          getReassociationIndicesForCollapse(part.sizes, slice.getType().getShape());
      if (!groups)
        continue;
      value = tensor::CollapseShapeOp::create(builder, slice.getLoc(), slice.getType(), value, *groups);
    }
    slice.replaceAllUsesWith(value);
  }
  sortByDataFlow(body);
}

void sortByDataFlow(Block &body) {
  llvm::SetVector<Operation *> order;
  auto visit = [&](auto &self, Operation *op) -> void {
    forEachUsedValue(op, [&](Value value) {
      Operation *definition = value.getDefiningOp();
      if (definition && definition->getBlock() == &body && !order.contains(definition))
        self(self, definition);
    });
    order.insert(op);
  };
  Operation *terminator = body.getTerminator();
  visit(visit, terminator);
  for (Operation *op : order)
    op->moveBefore(&body, body.end());
  // What is left in front is dead; it may use what follows.
  for (Operation &op : llvm::make_early_inc_range(body)) {
    if (&op == order.front())
      break;
    op.dropAllReferences();
  }
  while (&body.front() != order.front())
    body.front().erase();
}

} // namespace bpt
