// Blocks and scratch layouts of the attention kernels.
#include "bpt/Analysis/AttentionTiles.h"
#include "bpt/Analysis/TileSizes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

using namespace mlir;

namespace bpt {

template <typename OpTy> static AttentionFeatures getFeatures(OpTy op) {
  AttentionFeatures features;
  features.bias = op.getBias() != nullptr;
  features.segments = op.getQuerySegments() != nullptr;
  features.softcap = op.getSoftcap().convertToDouble() > 0;
  features.dropout = op.getDropout().convertToDouble() > 0;
  return features;
}

AttentionFeatures AttentionFeatures::get(AttentionOp op) {
  AttentionFeatures features = getFeatures(op);
  features.probabilities = op.hasProbabilities();
  return features;
}

AttentionFeatures AttentionFeatures::get(AttentionGradOp op) {
  AttentionFeatures features = getFeatures(op);
  // The derivative of the softcap needs the scores themselves; probabilities do not help then.
  features.probabilities = op.getProbabilities() != nullptr && !features.softcap;
  return features;
}

//===-- Blocks --------------------------------------------------------------------------------------------------===//

/// `limit`, or what covers a shorter static `extent`, as a multiple of `unit`.
static int64_t getBlock(int64_t limit, int64_t extent, int64_t unit) {
  if (!ShapedType::isDynamic(extent))
    limit = std::min(limit, std::max<int64_t>(extent, 1));
  return (limit + unit - 1) / unit * unit;
}

/// The same, but blocks of a static `extent` are of about equal size: 256 queries are two blocks of 128, not 192 and 64.
static int64_t getEqualBlock(int64_t limit, int64_t extent, int64_t unit) {
  if (!ShapedType::isDynamic(extent) && extent > limit)
    limit = llvm::divideCeil(extent, llvm::divideCeil(extent, limit));
  return getBlock(limit, extent, unit);
}

/// Blocks of keys are whole register tiles (6 or 4 rows), dropout calls (8) and transposed squares (of so many lanes).
static int64_t getKeyUnit(const AttentionTiles &tiles) { return tiles.lanes > 16 || tiles.isMatrix ? 96 : 48; }

template <typename OpTy>
static AttentionTiles getTiles(OpTy op, const TargetInfo &target, int64_t queries, int64_t keys) {
  auto query = cast<ShapedType>(op.getQuery().getType()), key = cast<ShapedType>(op.getKey().getType());
  AttentionTiles tiles;
  Type element = query.getElementType();
  tiles.bytes = element.isF64() ? 8 : 4;
  tiles.lanes = target.getLanes(getAccumulatorType(element));
  GemmTiles product = GemmTiles::get(getAccumulatorType(element), target);
  tiles.vectors = product.vectors;
  tiles.rows = product.rows;
  tiles.headDim = query.getDimSize(3);
  if (target.hasMatrixTiles && element.isBF16()) {
    tiles.isMatrix = true;
    tiles.vectors = 2;
    tiles.rows = 8;
  }
  std::optional<int64_t> given = getScheduleEntry(op, "q_block");
  tiles.queryBlock = given ? getBlock(*given, query.getDimSize(1), tiles.getPanel())
                           : getEqualBlock(queries, query.getDimSize(1), tiles.getPanel());
  tiles.keyBlock = getBlock(getScheduleEntry(op, "kv_block").value_or(keys), key.getDimSize(1), getKeyUnit(tiles));
  return tiles;
}

// The results of a row depend on keyBlock of the forward (when the running maximum moves), and on nothing else here:
// the gradients are chains of multiply-adds in ascending order, however they are cut.

/// Fewer work items than this leave a few threads unevenly busy: keys are shared then, by so many items.
static constexpr int64_t fewItems = 8, wantedItems = 12;
/// How many items share the keys of each of `planes` heads, where there are keys enough.
static int64_t getSplits(int64_t planes, int64_t wanted) {
  return planes >= fewItems ? 1 : llvm::divideCeil(wanted, std::max<int64_t>(planes, 1));
}

AttentionTiles AttentionTiles::getForward(AttentionOp op, const TargetInfo &target) {
  AttentionTiles tiles = getTiles(op, target, 192, 96);
  // A short query against many keys (decoding): its heads alone would keep few threads busy.
  auto query = cast<ShapedType>(op.getQuery().getType()), key = cast<ShapedType>(op.getKey().getType());
  int64_t queries = query.getDimSize(1), keys = key.getDimSize(1);
  bool oneBlock = !ShapedType::isDynamic(queries) && queries <= tiles.queryBlock;
  if (!oneBlock || query.isDynamicDim(0) || query.isDynamicDim(2) || op.hasProbabilities())
    return tiles;
  tiles.splits = getSplits(query.getDimSize(0) * query.getDimSize(2), fewItems);
  if (!ShapedType::isDynamic(keys)) // two steps at least for each
    tiles.splits = std::clamp<int64_t>(llvm::divideCeil(keys, 2 * tiles.keyBlock), 1, tiles.splits);
  return tiles;
}

AttentionTiles AttentionTiles::getBiasGradient(AttentionGradOp op, const TargetInfo &target) {
  return getTiles(op, target, 192, 96);
}

AttentionTiles AttentionTiles::getGradient(AttentionGradOp op, const TargetInfo &target) {
  AttentionTiles tiles = getTiles(op, target, 64, 192);
  if (tiles.isMatrix) // sums of dkey and dvalue are read and written once a step
    tiles = getTiles(op, target, 128, 384);
  // Keys, values and both accumulators stay in the second-level cache.
  if (tiles.headDim * tiles.bytes > 512)
    tiles.keyBlock = std::min<int64_t>(tiles.keyBlock, 96);
  auto key = cast<ShapedType>(op.getKey().getType());
  auto known = [&](int64_t dim) { return key.isDynamicDim(dim) ? 1 : std::max<int64_t>(key.getDimSize(dim), 1); };
  tiles.splits = getSplits(known(0) * known(2), wantedItems);
  if (!key.isDynamicDim(1))
    tiles.splits = std::clamp<int64_t>(llvm::divideCeil(key.getDimSize(1), tiles.keyBlock), 1, tiles.splits);
  return tiles;
}

int64_t AttentionTiles::getRowLength() const {
  int64_t padded = getPaddedDim();
  return !isMatrix && padded * bytes >= 512 ? padded + lanes : padded;
}

//===-- Scratch -------------------------------------------------------------------------------------------------===//

/// What all passes have: scores and what changes them, and statistics of each query.
static void addScores(ScratchLayout &layout, AttentionScratch &scratch, const AttentionTiles &tiles,
                      const AttentionFeatures &features, bool gradient) {
  int64_t block = tiles.keyBlock * tiles.getScoreLength(), narrow = tiles.isMatrix ? 2 : 1;
  scratch.query = layout.add(tiles.queryBlock * tiles.getPaddedDim() / narrow);
  scratch.key = layout.add(tiles.keyBlock * tiles.getRowLength() / narrow);
  scratch.value = layout.add(tiles.keyBlock * tiles.getRowLength() / narrow);
  scratch.scores = layout.add(block / narrow);
  if (tiles.isMatrix) {
    scratch.pairs = layout.add(tiles.keyBlock * tiles.queryBlock / narrow);
    scratch.products = layout.add(AttentionTiles::matrixStep * tiles.getPanel());
  }
  if (features.bias)
    scratch.bias = layout.add(block);
  if (features.dropout)
    scratch.keep = layout.add(block);
  if (gradient) {
    scratch.dout = layout.add(tiles.queryBlock * tiles.getPaddedDim() / narrow);
    scratch.gradient = layout.add(block / narrow);
    if (features.softcap)
      scratch.softcap = layout.add(block);
  } else {
    scratch.maximum = layout.add(tiles.queryBlock);
  }
  scratch.total = layout.add(tiles.queryBlock);
  scratch.factor = layout.add(tiles.queryBlock);
}

AttentionScratch AttentionScratch::getForward(const AttentionTiles &tiles, const AttentionFeatures &features) {
  AttentionScratch scratch;
  ScratchLayout layout(tiles.bytes);
  addScores(layout, scratch, tiles, features, /*gradient=*/false);
  scratch.accumulator = layout.add(tiles.getPaddedQueries() * tiles.getPaddedDim());
  scratch.bytes = layout.getBytes();
  return scratch;
}

AttentionScratch AttentionScratch::getGradient(const AttentionTiles &tiles, const AttentionFeatures &features) {
  AttentionScratch scratch;
  ScratchLayout layout(tiles.bytes);
  addScores(layout, scratch, tiles, features, /*gradient=*/true);
  int64_t narrow = tiles.isMatrix ? 2 : 1;
  scratch.queryRows = layout.add(tiles.queryBlock * tiles.getRowLength() / narrow);
  scratch.doutRows = layout.add(tiles.queryBlock * tiles.getRowLength() / narrow);
  if (tiles.isMatrix)
    scratch.keyColumns = layout.add(tiles.keyBlock * tiles.getPaddedDim() / narrow);
  scratch.accumulator = layout.add(tiles.getPaddedQueries() * tiles.getPaddedDim());
  scratch.dkey = layout.add(tiles.keyBlock * tiles.getPaddedDim());
  scratch.dvalue = layout.add(tiles.keyBlock * tiles.getPaddedDim());
  scratch.bytes = layout.getBytes();
  return scratch;
}

AttentionScratch AttentionScratch::getBiasGradient(const AttentionTiles &tiles, const AttentionFeatures &features) {
  AttentionScratch scratch;
  ScratchLayout layout(tiles.bytes);
  addScores(layout, scratch, tiles, features, /*gradient=*/true);
  scratch.sum = layout.add(tiles.keyBlock * tiles.getScoreLength());
  scratch.bytes = layout.getBytes();
  return scratch;
}

int64_t getAttentionScratchBytes(AttentionOp op, const TargetInfo &target) {
  return AttentionScratch::getForward(AttentionTiles::getForward(op, target), AttentionFeatures::get(op)).bytes;
}

int64_t getAttentionScratchBytes(AttentionGradOp op, const TargetInfo &target) {
  AttentionFeatures features = AttentionFeatures::get(op);
  int64_t bytes = AttentionScratch::getGradient(AttentionTiles::getGradient(op, target), features).bytes;
  if (!features.bias)
    return bytes;
  AttentionTiles bias = AttentionTiles::getBiasGradient(op, target);
  return std::max(bytes, AttentionScratch::getBiasGradient(bias, features).bytes);
}

int64_t getQuerySums(AttentionGradOp op, const AttentionTiles &tiles) {
  bool isNarrow = getElementTypeOrSelf(op.getOuts()[0].getType()).getIntOrFloatBitWidth() / 8 != tiles.bytes;
  return isNarrow ? tiles.splits : tiles.splits - 1;
}

SizeFormula getAttentionWorkspaceBytes(AttentionOp op, const TargetInfo &target) {
  AttentionTiles tiles = AttentionTiles::getForward(op, target);
  if (tiles.splits == 1)
    return SizeFormula(0);
  SizeFormula rows = getOperandDim(op, op.getQuery(), 0) * getOperandDim(op, op.getQuery(), 1) *
                     getOperandDim(op, op.getQuery(), 2) * tiles.splits;
  return alignSection(rows * (tiles.headDim * tiles.bytes)) + alignSection(rows * tiles.bytes) * 2;
}

SizeFormula getAttentionWorkspaceBytes(AttentionGradOp op, const TargetInfo &target) {
  AttentionTiles tiles = AttentionTiles::getGradient(op, target);
  SizeFormula rows =
      getOperandDim(op, op.getQuery(), 0) * getOperandDim(op, op.getQuery(), 1) * getOperandDim(op, op.getQuery(), 2);
  SizeFormula delta = alignSection(rows * tiles.bytes);
  return delta + rows * (getQuerySums(op, tiles) * tiles.headDim * tiles.bytes);
}

} // namespace bpt
