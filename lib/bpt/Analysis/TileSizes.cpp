// Tile sizes, scratch and workspaces of the CPU kernels of contractions, feed-forward and cross-entropy.
#include "bpt/Analysis/TileSizes.h"
#include "bpt/Analysis/AttentionTiles.h"
#include "bpt/Analysis/HopperChunks.h"
#include "bpt/Analysis/HopperTiles.h"
#include "bpt/Analysis/RowWiseSizes.h"
#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bpt {

//===--- matrix products ------------------------------------------------------------------------------------------===//

/// Two tiles of 16 rows by two of 16 columns, with sums over 32 elements of the depth at a time: four of the eight tile
/// registers are sums. A panel of B and a tile of A take 16 KiB each and stay in the first-level cache.
static GemmTiles getMatrixTiles() {
  GemmTiles tiles;
  tiles.isMatrix = true;
  tiles.lanes = 16;
  tiles.rows = 32;
  tiles.vectors = 2;
  tiles.blockRows = 128;
  tiles.blockColumns = 512;
  tiles.blockDepth = 256;
  tiles.packedBytes = 2;
  tiles.depthStep = 32;
  tiles.rowStep = 16;
  return tiles;
}

GemmTiles GemmTiles::get(Type accumulator, const TargetInfo &target, Type operand) {
  if (target.hasMatrixTiles && operand && operand.isBF16() && accumulator.isF32())
    return getMatrixTiles();
  GemmTiles tiles;
  tiles.lanes = tiles.depthStep = target.getLanes(accumulator);
  // 6x4 of 32 registers and 6x2 of 16 measure 98 % of peak (performance.md, B2); without FMA a product needs a
  // register, too.
  tiles.rows = target.hasFma ? 6 : 4;
  tiles.vectors = target.hasAvx512 ? 4 : 2;
  // The block of C stays in the second-level cache over the whole depth, next to one packed block of A.
  int64_t bytes = tiles.packedBytes = accumulator.getIntOrFloatBitWidth() / 8;
  // Four blocks of rows are at most 512: where layers are computed in blocks of so many, products still share packed
  // panels.
  bool large = target.l2Bytes >= 1 << 20;
  tiles.blockRows = (large ? 126 : 96) * 4 / bytes / tiles.rows * tiles.rows;
  tiles.blockColumns = target.l2Bytes >= 512 << 10 ? 512 : 256;
  // A panel of B takes 32 KiB at most (f32; AVX2: 16): it stays in the first-level cache.
  tiles.blockDepth = target.hasAvx512 ? 128 : 256;
  if (target.hasWarps) { // what fills a GPU is the number of blocks
    tiles.rows = 8;
    tiles.blockRows = TargetInfo::warpLanes;
    tiles.blockColumns = 256;
  }
  return tiles;
}

int64_t GemmTiles::getScratchBytes(Type accumulator) const {
  int64_t bytes = accumulator.getIntOrFloatBitWidth() / 8;
  return bytes * blockRows * blockColumns +
         packedBytes * (blockRows / rows * getPackedTile() + blockDepth * getPanel());
}

Type getProductOperandType(linalg::LinalgOp contraction) {
  auto isWide = [](Value operand) { return getElementTypeOrSelf(operand.getType()).isF64(); };
  auto isBfloat = [](Value operand) { return getElementTypeOrSelf(operand.getType()).isBF16(); };
  MLIRContext *context = contraction->getContext();
  if (llvm::any_of(contraction->getOperands(), isWide))
    return Float64Type::get(context);
  if (llvm::all_of(contraction.getDpsInputs(), isBfloat))
    return BFloat16Type::get(context);
  return Float32Type::get(context);
}

//===--- schedules and dims ---------------------------------------------------------------------------------------===//

std::optional<int64_t> getScheduleEntry(Operation *op, StringRef name) {
  auto schedule = op->getAttrOfType<ScheduleAttr>("schedule");
  auto entry = schedule ? schedule.getSizes().getAs<IntegerAttr>(name) : IntegerAttr();
  if (!entry)
    return std::nullopt;
  return entry.getInt();
}

SizeFormula getOperandDim(Operation *op, Value operand, int64_t dim) {
  auto wanted = cast<ShapedType>(operand.getType());
  if (!wanted.isDynamicDim(dim))
    return SizeFormula(wanted.getDimSize(dim));
  unsigned number = 0;
  for (Value value : op->getOperands()) {
    auto type = dyn_cast<ShapedType>(value.getType());
    if (!type)
      continue;
    if (value == operand)
      break;
    number += type.getNumDynamicDims();
  }
  for (int64_t i = 0; i < dim; ++i)
    number += wanted.isDynamicDim(i);
  return SizeFormula::dim(number);
}

SizeFormula getOperandRows(Operation *op, Value operand, int64_t inner) {
  SizeFormula rows(1);
  for (int64_t i = 0, rank = cast<ShapedType>(operand.getType()).getRank(); i < rank - inner; ++i)
    rows = rows * getOperandDim(op, operand, i);
  return rows;
}

static int64_t getElementBytes(Value value) {
  return getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth() / 8;
}
static int64_t getAccumulatorBytes(Value value) {
  return getAccumulatorType(getElementTypeOrSelf(value.getType())).getIntOrFloatBitWidth() / 8;
}
/// `bytes` when there is more than one chunk, else 0.
static SizeFormula ifSeveral(const SizeFormula &chunks, const SizeFormula &bytes) {
  return min(max(chunks, 1) - 1, 1) * bytes;
}

//===--- feed-forward ---------------------------------------------------------------------------------------------===//

/// The hidden of one chunk of rows takes three quarters of a weight, in the gradient each of its copies half a weight:
/// weights, which are read and written once a chunk, cost little beside the products then, and the chunk little beside
/// the activations of a layer. Small weights stay in a cache; all copies take so much there.
static constexpr int64_t smallWeightBytes = 2 << 20, smallHiddenBytes = 832 << 10, mostHiddenBytes = 8 << 20;
/// The chunks are multiples of this. Chunks fix the order of sums over rows.
static constexpr int64_t hiddenRowStep = 8, mostHiddenRows = 1536;

static int64_t getHiddenColumns(Operation *op) {
  auto columns = [&](auto ffn) {
    return cast<ShapedType>(ffn.getUpWeight().getType()).getDimSize(ffn.getWeightsTransposed() ? 0 : 1);
  };
  return TypeSwitch<Operation *, int64_t>(op).Case<FeedForwardOp, FeedForwardGradOp>(columns);
}

static Value getHiddenInput(Operation *op) {
  return TypeSwitch<Operation *, Value>(op).Case<FeedForwardOp, FeedForwardGradOp>(
      [](auto ffn) { return ffn.getInput(); });
}

int64_t getFeedForwardRows(Operation *op, const TargetInfo &target) {
  if (auto rows = getScheduleEntry(op, "rows"); rows && *rows > 0)
    return *rows;
  int64_t columns = getHiddenColumns(op);
  if (ShapedType::isDynamic(columns))
    return mostHiddenRows / 2;
  int64_t rowBytes = std::max<int64_t>(columns * getElementBytes(op->getOperand(0)), 1);
  int64_t width = cast<ShapedType>(getHiddenInput(op).getType()).getShape().back();
  int64_t weight = ShapedType::isDynamic(width) ? 2 * mostHiddenBytes : width * rowBytes;
  bool isGrad = isa<FeedForwardGradOp>(op);
  int64_t bytes = weight <= smallWeightBytes ? smallHiddenBytes / (isGrad ? 2 : 1)
                  : isGrad                   ? weight / 2
                                             : weight / 4 * 3;
  int64_t rows = std::min(bytes, mostHiddenBytes) / rowBytes;
  return std::clamp<int64_t>(rows / hiddenRowStep, 1, mostHiddenRows / hiddenRowStep) * hiddenRowStep;
}

static SizeFormula getWorkspace(FeedForwardOp op, const TargetInfo &target) {
  SizeFormula columns = getOperandDim(op, op.getUpWeight(), op.getWeightsTransposed() ? 0 : 1);
  SizeFormula rows = min(getOperandRows(op, op.getInput()), getFeedForwardRows(op, target));
  return alignSection(rows * columns * getElementBytes(op.getInput()));
}

static SizeFormula getWorkspace(FeedForwardGradOp op, const TargetInfo &target) {
  SizeFormula columns = getOperandDim(op, op.getUpWeight(), op.getWeightsTransposed() ? 0 : 1);
  SizeFormula all = getOperandRows(op, op.getInput());
  SizeFormula chunk = getFeedForwardRows(op, target);
  SizeFormula section = alignSection(min(all, chunk) * columns * getElementBytes(op.getInput()));
  SizeFormula bytes = section * (op.getGateWeight() ? 3 : 2);
  if (getElementBytes(op.getInput()) >= 4)
    return bytes;
  // Weight gradients in f32 until all chunks are in.
  SizeFormula sums(0);
  for (Value weight : {op.getUpWeight(), op.getUpBias(), op.getGateWeight(), op.getGateBias(), op.getDownWeight()})
    if (weight)
      sums = sums + alignSection(getOperandRows(op, weight, 0) * 4);
  return bytes + ifSeveral(ceilDiv(all, chunk), sums);
}

//===--- cross-entropy --------------------------------------------------------------------------------------------===//

/// Elements of a block of logits in the gradient. With as many columns as rows the traffic of dinput and dweight, which
/// are read and written once a block, is smallest.
static constexpr int64_t logitsElements = 2 << 20, logitsColumns = 2048;
/// Rows whose statistics exist at a time in the forward, and the columns that one maximum and one sum stand for: no
/// target has smaller blocks of C.
static constexpr int64_t statisticsRows = 2048, statisticsColumns = 256;

/// Elements of the logits of a block of rows over the whole vocabulary: so many that dweight, which is read and written
/// once a block, costs little beside the products, and half as much memory as dweight itself.
static int64_t getWholeLogitsElements(LinearCrossEntropyGradOp op) {
  auto weight = cast<ShapedType>(op.getWeight().getType());
  return std::max(logitsElements, weight.hasStaticShape() ? weight.getNumElements() / 2 : 0);
}
/// The fewest rows of such a block: whole blocks of C on every target.
static constexpr int64_t wholeLogitsRowStep = 192;

static int64_t getVocabulary(LinearCrossEntropyGradOp op) {
  return cast<ShapedType>(op.getWeight().getType()).getDimSize(op.getWeightsTransposed() ? 0 : 1);
}

bool fitsWholeLogits(LinearCrossEntropyGradOp op) {
  int64_t vocabulary = getVocabulary(op);
  return !ShapedType::isDynamic(vocabulary) && vocabulary * wholeLogitsRowStep <= getWholeLogitsElements(op);
}

LogitsBlock getLogitsBlock(Operation *op, const TargetInfo &) {
  LogitsBlock block{statisticsRows, statisticsColumns};
  auto grad = dyn_cast<LinearCrossEntropyGradOp>(op);
  bool whole = grad && grad.computesLoss();
  int64_t vocabulary = grad ? getVocabulary(grad) : 0;
  if (whole) {
    int64_t rows =
        ShapedType::isDynamic(vocabulary) ? 1 : getWholeLogitsElements(grad) / std::max<int64_t>(vocabulary, 1);
    block.rows = std::clamp<int64_t>(rows / wholeLogitsRowStep, 1, 32) * wholeLogitsRowStep;
  } else if (grad) {
    block.columns = ShapedType::isDynamic(vocabulary) ? logitsColumns
                                                      : std::min<int64_t>(llvm::alignTo(vocabulary, 64), logitsColumns);
    block.rows = std::clamp<int64_t>(logitsElements / std::max<int64_t>(block.columns, 1), 1024, 8192);
  }
  block.rows = std::max<int64_t>(getScheduleEntry(op, "rows").value_or(block.rows), 1);
  block.columns = std::max<int64_t>(getScheduleEntry(op, "columns").value_or(block.columns), 1);
  if (!grad || whole) // whole panels of every target
    block.columns = std::min<int64_t>(llvm::alignTo(block.columns, 64), statisticsColumns);
  return block;
}

/// Maximum and sum of each row in each block of columns, and the logit of each row's target.
template <typename Op> static SizeFormula getStatisticsBytes(Op op, const LogitsBlock &block) {
  SizeFormula all = getOperandRows(op, op.getInput()), rows = min(all, block.rows);
  SizeFormula blocks = ceilDiv(getOperandDim(op, op.getWeight(), op.getWeightsTransposed() ? 0 : 1), block.columns);
  int64_t bytes = getAccumulatorBytes(op.getInput());
  return alignSection(rows * blocks * bytes) * 2 + alignSection(all * bytes);
}

static SizeFormula getWorkspace(LinearCrossEntropyOp op, const TargetInfo &target) {
  return getStatisticsBytes(op, getLogitsBlock(op, target));
}

/// With the loss: logits of a block of rows, their statistics, lse.
static SizeFormula getWholeLogitsWorkspace(LinearCrossEntropyGradOp op, const TargetInfo &target) {
  LogitsBlock block = getLogitsBlock(op, target);
  SizeFormula rows = getOperandRows(op, op.getInput());
  SizeFormula columns = getOperandDim(op, op.getWeight(), op.getWeightsTransposed() ? 0 : 1);
  int64_t accumulatorBytes = getAccumulatorBytes(op.getInput());
  SizeFormula bytes = alignSection(accumulatorBytes) + alignSection(min(rows, block.rows) * columns * accumulatorBytes) + getStatisticsBytes(op, block) +
                      alignSection(rows * accumulatorBytes);
  if (getElementBytes(op.getInput()) >= 4)
    return bytes;
  // dweight in f32 until all blocks are in.
  return bytes + ifSeveral(ceilDiv(rows, block.rows), alignSection(getOperandRows(op, op.getWeight(), 0) * 4));
}

static SizeFormula getWorkspace(LinearCrossEntropyGradOp op, const TargetInfo &target) {
  if (op.computesLoss())
    return getWholeLogitsWorkspace(op, target);
  LogitsBlock block = getLogitsBlock(op, target);
  SizeFormula rows = getOperandRows(op, op.getInput());
  SizeFormula columns = getOperandDim(op, op.getWeight(), op.getWeightsTransposed() ? 0 : 1);
  SizeFormula width = getOperandDim(op, op.getWeight(), op.getWeightsTransposed() ? 1 : 0);
  SizeFormula bytes =
      alignSection(getAccumulatorBytes(op.getInput())) +
      alignSection(min(rows, block.rows) * min(columns, block.columns) * getElementBytes(op.getInput()));
  if (getElementBytes(op.getInput()) >= 4)
    return bytes;
  // Gradients in f32 until all blocks are in: dinput over the columns, the block's part of dweight over the rows.
  return bytes + ifSeveral(ceilDiv(columns, block.columns), alignSection(rows * width * 4)) +
         ifSeveral(ceilDiv(rows, block.rows), alignSection(min(columns, block.columns) * width * 4));
}

//===--- all ops --------------------------------------------------------------------------------------------------===//

int64_t getThreadScratchBytes(Operation *op, const TargetInfo &target) {
  auto product = [&](Type operand) {
    Type accumulator = getAccumulatorType(operand);
    return GemmTiles::get(accumulator, target, operand).getScratchBytes(accumulator);
  };
  return TypeSwitch<Operation *, int64_t>(op)
      .Case<FeedForwardOp, FeedForwardGradOp, LinearCrossEntropyOp, LinearCrossEntropyGradOp>(
          [&](auto typed) { return product(getElementTypeOrSelf(typed.getInput())); })
      .Case<AttentionOp, AttentionGradOp>([&](auto typed) { return getAttentionScratchBytes(typed, target); })
      .Case<linalg::LinalgOp>([&](linalg::LinalgOp linalgOp) {
        if (!linalg::isaContractionOpInterface(linalgOp))
          return int64_t(0);
        return product(getProductOperandType(linalgOp));
      })
      .Default([](Operation *) { return 0; });
}

static SizeFormula getVectorWorkspaceBytes(Operation *op, const TargetInfo &target) {
  return TypeSwitch<Operation *, SizeFormula>(op)
      .Case<FeedForwardOp, FeedForwardGradOp, LinearCrossEntropyOp, LinearCrossEntropyGradOp>(
          [&](auto typed) { return getWorkspace(typed, target); })
      .Case<AttentionOp, AttentionGradOp>([&](auto typed) { return getAttentionWorkspaceBytes(typed, target); })
      .Case<LayerNormGradOp, RMSNormGradOp>([](auto typed) { return getNormWorkspaceBytes(typed); })
      .Case<EmbeddingGradOp>([](EmbeddingGradOp typed) { return getEmbeddingWorkspaceBytes(typed); })
      .Case<GlobalNormOp>([](GlobalNormOp typed) { return getGlobalNormWorkspaceBytes(typed); })
      .Default([](Operation *) { return SizeFormula(0); });
}

SizeFormula getWorkspaceBytes(Operation *op, const TargetInfo &target) {
  SizeFormula bytes = getVectorWorkspaceBytes(op, target);
  if (!target.hasWarps)
    return bytes;
  // Whether strides suit the op's own kernel shows after bufferization; vector code has to do if they do not.
  SizeFormula own = getHopperWorkspaceBytes(op) + getHopperChunkWorkspaceBytes(op);
  return bytes.getConstant() == 0 ? own : own.getConstant() == 0 ? bytes : max(bytes, own);
}

} // namespace bpt
