// How much scratch the threads of a kernel share for packed right operands.
#include "bpt/Analysis/TileSizes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bpt {

/// Scratch that products of m x n with this depth share; sizes may be dynamic.
static int64_t getPackedBytes(Type operand, const TargetInfo &target, int64_t m, int64_t n, int64_t depth) {
  using P = SharedPacking;
  if (ShapedType::isDynamic(m) || ShapedType::isDynamic(n) || ShapedType::isDynamic(depth))
    return P::mostBytes;
  Type accumulator = getAccumulatorType(operand);
  GemmTiles tiles = GemmTiles::get(accumulator, target, operand);
  int64_t bytes = tiles.packedBytes;
  depth = llvm::alignTo(std::min(depth, P::getDepthPart(accumulator)), tiles.depthStep);
  bool packs = m >= P::leastRowBlocks * tiles.blockRows && depth * n * bytes > P::leastBytes;
  return packs ? std::min<int64_t>(P::mostBytes, depth * llvm::alignTo(n, tiles.getPanel()) * bytes) : 0;
}

namespace {
/// The products of an op, as far as sizes are known.
class PackedProducts {
public:
  PackedProducts(Operation *op, const TargetInfo &target) : op(op), target(target) {}
  int64_t bytes = 0;

  void add(Type operand, int64_t m, int64_t n, int64_t depth) {
    bytes = std::max(bytes, getPackedBytes(operand, target, m, n, depth));
  }
  void addContraction(linalg::LinalgOp contraction);
  template <typename Op> void addFeedForward(Op ffn);
  template <typename Op> void addCrossEntropy(Op head);

private:
  static int64_t getDim(Value value, int64_t dim) { return cast<ShapedType>(value.getType()).getDimSize(dim); }
  static int64_t getRows(Value value) {
    auto shape = cast<ShapedType>(value.getType()).getShape().drop_back();
    int64_t rows = 1;
    for (int64_t size : shape)
      rows = ShapedType::isDynamic(size) || ShapedType::isDynamic(rows) ? ShapedType::kDynamic : rows * size;
    return rows;
  }
  static int64_t limit(int64_t size, int64_t most) { return ShapedType::isDynamic(size) ? most : std::min(size, most); }

  Operation *op;
  const TargetInfo &target;
};
} // namespace

void PackedProducts::addContraction(linalg::LinalgOp contraction) {
  FailureOr<linalg::ContractionDimensions> dims = linalg::inferContractionDims(contraction);
  if (failed(dims) || !dims->batch.empty())
    return;
  SmallVector<int64_t> ranges = contraction.getStaticLoopRanges();
  auto product = [&](ArrayRef<unsigned> several) {
    int64_t size = 1;
    for (unsigned dim : several)
      size = ShapedType::isDynamic(ranges[dim]) || ShapedType::isDynamic(size) ? ShapedType::kDynamic : size * ranges[dim];
    return size;
  };
  Type operand = getProductOperandType(contraction);
  // The right operand is the one that has the columns of the result.
  AffineMap outMap = contraction.getMatchingIndexingMap(contraction.getDpsInitOperand(0));
  bool swapped = llvm::any_of(dims->m, [&](unsigned dim) {
    return outMap.getNumResults() && outMap.getResults().back().isFunctionOfDim(dim);
  });
  add(operand, product(swapped ? dims->n : dims->m), product(swapped ? dims->m : dims->n), product(dims->k));
}

template <typename Op> void PackedProducts::addFeedForward(Op ffn) {
  Type operand = getElementTypeOrSelf(ffn.getInput());
  int64_t width = getDim(ffn.getInput(), cast<ShapedType>(ffn.getInput().getType()).getRank() - 1);
  int64_t hidden = getDim(ffn.getUpWeight(), ffn.getWeightsTransposed() ? 0 : 1);
  int64_t out = getDim(ffn.getDownWeight(), ffn.getWeightsTransposed() ? 0 : 1);
  int64_t rows = limit(getRows(ffn.getInput()), getFeedForwardRows(op, target));
  for (auto [n, depth] : {std::pair(hidden, width), std::pair(out, hidden)})
    add(operand, rows, n, depth);
  if (!isa<FeedForwardGradOp>(op))
    return;
  for (auto [n, depth] : {std::pair(hidden, out), std::pair(width, hidden)})
    add(operand, rows, n, depth);
  for (int64_t other : {width, out}) {
    add(operand, other, hidden, rows);
    add(operand, hidden, other, rows);
  }
}

template <typename Op> void PackedProducts::addCrossEntropy(Op head) {
  Type operand = getElementTypeOrSelf(head.getInput());
  int64_t width = getDim(head.getWeight(), head.getWeightsTransposed() ? 1 : 0);
  int64_t vocabulary = getDim(head.getWeight(), head.getWeightsTransposed() ? 0 : 1);
  int64_t rows = limit(getRows(head.getInput()), getLogitsBlock(op, target).rows);
  add(operand, rows, vocabulary, width);
  if (!isa<LinearCrossEntropyGradOp>(op))
    return;
  add(operand, rows, width, vocabulary);
  add(operand, vocabulary, width, rows);
  add(operand, width, vocabulary, rows);
}

int64_t getSharedScratchBytes(Operation *op, const TargetInfo &target) {
  PackedProducts products(op, target);
  TypeSwitch<Operation *>(op)
      .Case<FeedForwardOp, FeedForwardGradOp>([&](auto typed) { products.addFeedForward(typed); })
      .Case<LinearCrossEntropyOp, LinearCrossEntropyGradOp>([&](auto typed) { products.addCrossEntropy(typed); })
      .Case<linalg::LinalgOp>([&](linalg::LinalgOp typed) {
        if (linalg::isaContractionOpInterface(typed))
          products.addContraction(typed);
      })
      .Default([](Operation *) {});
  return products.bytes;
}

} // namespace bpt
