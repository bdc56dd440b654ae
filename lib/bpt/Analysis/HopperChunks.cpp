// Chunks of rows and workspaces of Hopper kernels (performance.md, E2 and A6).
#include "bpt/Analysis/HopperChunks.h"

#include "bpt/Analysis/HopperTiles.h"
#include "bpt/Analysis/TileSizes.h"
#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bpt {

static constexpr int64_t tileRows = 128;

static SizeFormula alignTo128(const SizeFormula &bytes) { return ceilDiv(bytes, 128) * 128; }
/// `bytes` where there are more than `most` rows.
static SizeFormula ifMore(const SizeFormula &rows, int64_t most, const SizeFormula &bytes) {
  return min(max(rows, most) - most, 1) * bytes;
}
static int64_t getColumns(Value operand) { return cast<ShapedType>(operand.getType()).getShape().back(); }
static bool isWide(Value operand) { return getElementTypeOrSelf(operand.getType()).isF32(); }

/// `rows` of the schedule in whole tiles, or nothing.
static std::optional<int64_t> getScheduledRows(Operation *op) {
  std::optional<int64_t> rows = getScheduleEntry(op, "rows");
  if (!rows || *rows <= 0)
    return std::nullopt;
  return static_cast<int64_t>(llvm::alignTo(*rows, tileRows));
}

//===-- Feed-forward --------------------------------------------------------------------------------------------===//

template <typename Op> static int64_t getHiddenColumns(Op op) {
  return cast<ShapedType>(op.getUpWeight().getType()).getDimSize(op.getWeightsTransposed() ? 0 : 1);
}

template <typename Op> static std::string refuseFeedForward(Op op) {
  Type element = getElementTypeOrSelf(op.getInput().getType());
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (!element.isBF16() && !element.isF16())
    stream << "tensor cores take bf16 and f16, not " << element;
  else
    for (auto [size, name] : {std::pair<int64_t, StringRef>{getColumns(op.getInput()), "input"},
                              {getHiddenColumns(op), "hidden"},
                              {op.getWeightsTransposed() ? cast<ShapedType>(op.getDownWeight().getType()).getDimSize(0)
                                                         : getColumns(op.getDownWeight()),
                               "out"}})
      if (text.empty() && (ShapedType::isDynamic(size) || size % 8))
        stream << "columns of " << name << " are no known multiple of 8";
  return text;
}

std::string getHopperRefusal(FeedForwardOp op) { return refuseFeedForward(op); }
std::string getHopperRefusal(FeedForwardGradOp op) { return refuseFeedForward(op); }

int64_t getHopperFeedForwardRows(Operation *op) {
  if (std::optional<int64_t> rows = getScheduledRows(op))
    return *rows;
  int64_t columns = TypeSwitch<Operation *, int64_t>(op)
                        .Case<FeedForwardOp, FeedForwardGradOp>([](auto typed) { return getHiddenColumns(typed); })
                        .Default([](Operation *) { return 1; });
  int64_t fits = HopperLimits::l2Bytes / (2 * std::max<int64_t>(columns, 1)) / tileRows * tileRows;
  // A weight gradient of f32 is read and written once a chunk: 2 rows / 8 bytes have to be worth its traffic.
  return std::clamp<int64_t>(fits, isa<FeedForwardGradOp>(op) ? 2048 : 1024, 4096);
}

static SizeFormula getWorkspace(FeedForwardOp op) {
  SizeFormula rows = min(getOperandRows(op, op.getInput()), getHopperFeedForwardRows(op));
  return alignTo128(rows * (getHiddenColumns(op) * 2));
}

static SizeFormula getWorkspace(FeedForwardGradOp op) {
  SizeFormula all = getOperandRows(op, op.getInput());
  int64_t most = getHopperFeedForwardRows(op), columns = getHiddenColumns(op), inputs = op.getGateWeight() ? 2 : 1;
  SizeFormula rows = min(all, most), section = alignTo128(rows * (columns * 2));
  // The activated hidden, gradients of u and g, and u and g themselves where they are not kept.
  SizeFormula bytes = section * (1 + inputs + (op.getHidden() ? 0 : inputs));
  if (op.getUpBias() || op.getGateBias() || op.getDownBias())
    bytes = bytes + alignTo128(ceilDiv(rows, columnSumRows) * (std::max(columns, getColumns(op.getDout())) * 4));
  // One out for each of these that is there, but for dinput, which every chunk writes its own rows of.
  size_t out = 1;
  for (Value of :
       {op.getUpWeight(), op.getUpBias(), op.getGateWeight(), op.getGateBias(), op.getDownWeight(), op.getDownBias()}) {
    if (!of)
      continue;
    if (!isWide(op.getOuts()[out]))
      bytes = bytes + alignTo128(ifMore(all, most, getOperandRows(op, of, 0) * 4));
    ++out;
  }
  return bytes;
}

//===-- Linear cross-entropy ------------------------------------------------------------------------------------===//

template <typename Op> static int64_t getVocabulary(Op op) {
  return cast<ShapedType>(op.getWeight().getType()).getDimSize(op.getWeightsTransposed() ? 0 : 1);
}

template <typename Op> static std::string refuseCrossEntropy(Op op) {
  Type element = getElementTypeOrSelf(op.getInput().getType());
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (!element.isBF16() && !element.isF16())
    stream << "tensor cores take bf16 and f16, not " << element;
  else if (ShapedType::isDynamic(getVocabulary(op)) || getVocabulary(op) < 2)
    stream << "the vocabulary is dynamic or has one word";
  else if (ShapedType::isDynamic(getColumns(op.getInput())) || getColumns(op.getInput()) % 8)
    stream << "columns of input are no known multiple of 8";
  else if (!op.getWeightsTransposed() && getVocabulary(op) % 8)
    stream << "rows of the weight are no multiple of 16 bytes";
  return text;
}

std::string getHopperRefusal(LinearCrossEntropyOp op) { return refuseCrossEntropy(op); }
std::string getHopperRefusal(LinearCrossEntropyGradOp op) { return refuseCrossEntropy(op); }

int64_t getHopperLogitsRows(Operation *op) {
  // So many that dweight, which is read and written once a chunk in f32, costs little beside its product.
  return getScheduledRows(op).value_or(2048);
}

/// lse and the logit of the target of each row, maximum and sum of each row for every part of the vocabulary.
template <typename Op> static SizeFormula getStatisticsBytes(Op op, const SizeFormula &rows, const SizeFormula &all) {
  int64_t parts = llvm::divideCeil(getVocabulary(op), hopperStatisticsColumns);
  return alignTo128(rows * (parts * 4)) * 2 + alignTo128(all * 4) * 2;
}

static SizeFormula getWorkspace(LinearCrossEntropyOp op) {
  SizeFormula all = getOperandRows(op, op.getInput());
  return getStatisticsBytes(op, min(all, getHopperLogitsRows(op)), all);
}

static SizeFormula getWorkspace(LinearCrossEntropyGradOp op) {
  SizeFormula all = getOperandRows(op, op.getInput());
  int64_t most = getHopperLogitsRows(op);
  int64_t rowBytes = static_cast<int64_t>(llvm::alignTo(getVocabulary(op), 64)) * 2;
  SizeFormula rows = min(all, most), bytes = SizeFormula(128) + alignTo128(rows * rowBytes);
  if (op.computesLoss())
    bytes = bytes + getStatisticsBytes(op, rows, all);
  if (!isWide(op.getOuts()[1]))
    bytes = bytes + alignTo128(ifMore(all, most, getOperandRows(op, op.getWeight(), 0) * 4));
  return bytes;
}

//===-- All -----------------------------------------------------------------------------------------------------===//

SizeFormula getHopperChunkWorkspaceBytes(Operation *op) {
  return TypeSwitch<Operation *, SizeFormula>(op)
      .Case<FeedForwardOp, FeedForwardGradOp, LinearCrossEntropyOp, LinearCrossEntropyGradOp>(
          [](auto typed) { return getHopperRefusal(typed).empty() ? getWorkspace(typed) : SizeFormula(0); })
      .Default([](Operation *) { return SizeFormula(0); });
}

} // namespace bpt
