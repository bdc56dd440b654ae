// Tiles of the Hopper kernels of attention and its gradient (performance.md, A2 and A3).
#include "bpt/Analysis/AttentionTiles.h"
#include "bpt/Analysis/HopperTiles.h"
#include "bpt/Analysis/TileSizes.h"
#include "llvm/Support/MathExtras.h"
#include <functional>
#include <optional>

using namespace mlir;

namespace bpt {

/// Barriers of a kernel: fewer than 64.
static constexpr int64_t barrierBytes = 512;

static int64_t getHeadDim(Value query) { return cast<ShapedType>(query.getType()).getDimSize(3); }
static int64_t padDim(int64_t headDim) { return static_cast<int64_t>(llvm::alignTo(headDim, 64)); }

//===-- What the kernels take -----------------------------------------------------------------------------------===//

/// The TMA unit walks strides of whole 16 bytes.
static std::string refuseStrides(Value operand, StringRef name) {
  auto type = dyn_cast<MemRefType>(operand.getType());
  if (!type)
    return "";
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(type.getStridesAndOffset(strides, offset)) || strides.back() != 1)
    return (Twine(name) + " has no contiguous rows").str();
  for (int64_t stride : ArrayRef(strides).drop_back())
    if (!ShapedType::isDynamic(stride) && stride * type.getElementTypeBitWidth() % 128)
      return (Twine(name) + " has a stride of " + Twine(stride) + " elements, not a multiple of 16 bytes").str();
  if (!ShapedType::isDynamic(offset) && offset * type.getElementTypeBitWidth() % 128)
    return (Twine(name) + " begins at element " + Twine(offset) + ", not a multiple of 16 bytes").str();
  return "";
}

template <typename Op> static std::string refuse(Op op) {
  Type element = getElementTypeOrSelf(op.getQuery().getType());
  std::string text;
  llvm::raw_string_ostream stream(text);
  auto query = cast<ShapedType>(op.getQuery().getType()), key = cast<ShapedType>(op.getKey().getType());
  if (!element.isBF16() && !element.isF16())
    stream << "tensor cores take bf16 and f16, not " << element;
  else if (query.isDynamicDim(2) || query.isDynamicDim(3) || key.isDynamicDim(2))
    stream << "head counts and head dim are dynamic";
  else if (query.getDimSize(3) > 256)
    stream << "head dim " << query.getDimSize(3) << " is beyond 256: accumulators do not fit the registers";
  else if (query.getDimSize(3) % 8)
    stream << "head dim " << query.getDimSize(3) << " is no multiple of 8: rows are no multiple of 16 bytes";
  else
    for (auto [operand, name] :
         {std::pair<Value, StringRef>{op.getQuery(), "query"}, {op.getKey(), "key"}, {op.getValue(), "value"}})
      if (text.empty())
        stream << refuseStrides(operand, name);
  return text;
}

//===-- Choice --------------------------------------------------------------------------------------------------===//

namespace {
/// A choice of sizes before it is known to fit.
struct Sizes {
  int64_t queryBlock, keyBlock, stages, consumers;
};
} // namespace

/// Replaces what the op's schedule gives. Returns whether it gives anything.
static bool applySchedule(Operation *op, Sizes &sizes) {
  bool given = false;
  for (auto [name, size] : {std::pair<StringRef, int64_t *>{"q_block", &sizes.queryBlock},
                            {"kv_block", &sizes.keyBlock},
                            {"stages", &sizes.stages},
                            {"warpgroups", &sizes.consumers}})
    if (std::optional<int64_t> entry = getScheduleEntry(op, name)) {
      *size = *entry;
      given = true;
    }
  // In the forward kernel, queries and warpgroups say the same.
  if (isa<AttentionOp>(op)) {
    if (!getScheduleEntry(op, "warpgroups"))
      sizes.consumers = sizes.queryBlock / 64;
    else if (!getScheduleEntry(op, "q_block"))
      sizes.queryBlock = 64 * sizes.consumers;
  }
  return given;
}

/// Why the tiles do not fit an SM; empty when they do.
static std::string refuseSizes(const HopperAttentionTiles &tiles) {
  if (tiles.layout.getBytes() > HopperLimits::sharedBytes)
    return (Twine(tiles.layout.getBytes()) + " bytes of shared memory (" + tiles.layout.getText() + "), " +
            Twine(HopperLimits::sharedBytes) + " fit")
        .str();
  if (tiles.fragmentRegisters > tiles.roles.getFragmentRegisters())
    return (Twine(tiles.fragmentRegisters) + " registers of fragments in each thread, " +
            Twine(tiles.roles.getFragmentRegisters()) + " fit")
        .str();
  return "";
}

static std::string describe(const HopperAttentionTiles &tiles) {
  return (Twine(tiles.queryBlock) + "x" + Twine(tiles.keyBlock) + ", " + Twine(tiles.stages) + " stages, " +
          Twine(tiles.roles.consumers) + " consumer warpgroups: " + Twine(tiles.layout.getBytes()) +
          " bytes of shared memory, " + Twine(tiles.fragmentRegisters) + " registers of fragments")
      .str();
}

namespace {
/// What there is to choose from for an op.
struct Choices {
  SmallVector<Sizes> candidates; ///< best first
  /// What a schedule must be where `sizes` cannot be one; empty where it can.
  std::function<std::string(const Sizes &sizes)> refuseShape;
  std::function<HopperAttentionTiles(const Sizes &)> build;

  /// The first that fits an SM. `refused` says why the ones before it, or all, do not.
  std::optional<HopperAttentionTiles> find(std::string &refused) const;
};
} // namespace

std::optional<HopperAttentionTiles> Choices::find(std::string &refused) const {
  for (const Sizes &sizes : candidates) {
    HopperAttentionTiles tiles = build(sizes);
    std::string reason = refuseSizes(tiles);
    if (reason.empty())
      return tiles;
    refused = (Twine("; ") + Twine(sizes.queryBlock) + "x" + Twine(sizes.keyBlock) + " refused: " + reason).str();
  }
  return std::nullopt;
}

/// What the schedule of `op` says if that fits, else the best that fits. An op that is not refused has one.
template <typename Op> static FailureOr<HopperAttentionTiles> choose(Op op, const Choices &choices) {
  Sizes given = choices.candidates.front();
  if (applySchedule(op, given)) {
    if (std::string reason = choices.refuseShape(given); !reason.empty())
      return op.emitOpError("expected a schedule with ")
             << reason << ", but got q_block = " << given.queryBlock << ", kv_block = " << given.keyBlock
             << ", stages = " << given.stages << ", warpgroups = " << given.consumers;
    HopperAttentionTiles tiles = choices.build(given);
    if (std::string reason = refuseSizes(tiles); !reason.empty())
      return op.emitOpError("schedule does not fit an SM of sm_90a: ") << describe(tiles) << "; " << reason;
    tiles.why = "as its schedule says: " + describe(tiles);
    return tiles;
  }
  std::string refused;
  std::optional<HopperAttentionTiles> tiles = choices.find(refused);
  if (!tiles)
    return op.emitOpError("has no tiles that fit an SM of sm_90a") << refused;
  tiles->why = describe(*tiles) + refused;
  return *tiles;
}

/// Why no tiles fit; empty where some do.
static std::string refuseTiles(const Choices &choices) {
  std::string refused;
  return choices.find(refused) ? "" : "no tiles fit an SM of sm_90a" + refused;
}

static Choices getChoices(AttentionOp op) {
  int64_t headDim = getHeadDim(op.getQuery()), paddedDim = padDim(headDim);
  AttentionFeatures features = AttentionFeatures::get(op);
  // Three warpgroups of 64 rows read K and V from shared memory less often, but have 128 registers of fragments each.
  int64_t consumers = paddedDim <= 64 ? 3 : 2;
  // Under a mask, shorter blocks of keys have fewer columns nobody sees.
  int64_t longest = isa<FullMaskAttr>(op.getMask()) ? 176 : 128;
  // Limits of columns that are more than the diagonal through the origin take registers.
  bool plain = isa<FullMaskAttr>(op.getMask()) || (isa<CausalMaskAttr>(op.getMask()) && !op.getQueryOffset());
  SmallVector<Sizes> candidates;
  for (; consumers >= 2; --consumers)
    for (int64_t keys = longest; keys >= (consumers == 3 ? 64 : 16); keys -= 16)
      candidates.push_back({64 * consumers, keys, 2, consumers});
  auto refuseShape = [](const Sizes &sizes) -> std::string {
    if (sizes.consumers != 2 && sizes.consumers != 3)
      return "2 or 3 warpgroups";
    if (sizes.queryBlock != 64 * sizes.consumers)
      return "64 queries for each warpgroup";
    if (sizes.keyBlock % 16 || sizes.keyBlock < 16 || sizes.keyBlock > 256)
      return "kv_block a multiple of 16 up to 256";
    return sizes.stages < 1 || sizes.stages > 8 ? "1 to 8 stages" : "";
  };
  auto build = [=](const Sizes &sizes) {
    HopperAttentionTiles tiles;
    tiles.headDim = headDim, tiles.paddedDim = paddedDim;
    tiles.queryBlock = sizes.queryBlock, tiles.keyBlock = sizes.keyBlock, tiles.stages = sizes.stages;
    tiles.roles = WarpRoles::get(sizes.consumers);
    // Scores in f32, probabilities in 16 bits, the sums of out in f32.
    tiles.fragmentRegisters = sizes.keyBlock / 2 + sizes.keyBlock / 4 + paddedDim / 2;
    // And what modifiers of scores load or draw (sizes at which ptxas spills no more).
    for (bool loadsForKeys : {features.bias, features.segments})
      tiles.fragmentRegisters += loadsForKeys ? sizes.keyBlock / 2 : 0;
    int64_t loaded = features.bias && features.segments ? 16
                     : features.segments                ? (paddedDim == 64 ? 48 : 40)
                     : features.bias                    ? 32
                                                        : 0;
    tiles.fragmentRegisters += (features.dropout ? std::min<int64_t>(loaded, 16) : loaded) + (features.softcap ? 8 : 0);
    tiles.fragmentRegisters += features.dropout ? (paddedDim == 192 ? 56 : 32) : 0;
    tiles.fragmentRegisters += plain ? 0 : 8;
    int64_t keyBytes = sizes.stages * sizes.keyBlock * paddedDim * 2;
    tiles.layout.add("query", tiles.queryBlock * paddedDim * 2);
    tiles.layout.add("key", keyBytes);
    tiles.layout.add("value", keyBytes);
    tiles.layout.add("barriers", barrierBytes);
    return tiles;
  };
  return {candidates, refuseShape, build};
}

//===-- Gradient ------------------------------------------------------------------------------------------------===//

/// Beyond D = 128, dkey and dvalue of 64 keys take the registers of two warpgroups, half of the columns of D each; and
/// so do fewer columns when other things take many registers.
static constexpr int64_t splitKeys = 64;

static int64_t padGradientDim(int64_t headDim) { return headDim > 128 ? 256 : padDim(headDim); }

static Choices getChoices(AttentionGradOp op) {
  int64_t headDim = getHeadDim(op.getQuery()), paddedDim = padGradientDim(headDim);
  AttentionFeatures features = AttentionFeatures::get(op);
  bool isDeterministic = getScheduleEntry(op, "deterministic").value_or(0) != 0;
  bool limitsColumns = !isa<FullMaskAttr>(op.getMask());
  SmallVector<Sizes> candidates;
  if (paddedDim == 64) // 128 queries, so that each warpgroup has dquery of 64
    candidates.push_back({128, 128, 2, 2});
  if (paddedDim <= 128)
    candidates.push_back({64, 128, 2, 2});
  if (paddedDim >= 128) // half of the columns are whole boxes
    candidates.push_back({64, splitKeys, paddedDim == 128 ? 2 : 1, 2});
  auto refuseShape = [candidates](const Sizes &sizes) -> std::string {
    bool isKnown = llvm::any_of(candidates, [&](const Sizes &known) {
      return known.queryBlock == sizes.queryBlock && known.keyBlock == sizes.keyBlock;
    });
    if (isKnown && sizes.consumers == 2 && sizes.stages >= 1 && sizes.stages <= 8)
      return "";
    std::string text = "2 warpgroups, 1 to 8 stages and q_block x kv_block of";
    for (const Sizes &known : candidates)
      text +=
          (Twine(&known == candidates.begin() ? " " : " or ") + Twine(known.queryBlock) + "x" + Twine(known.keyBlock))
              .str();
    return text;
  };
  auto build = [=](const Sizes &sizes) {
    HopperAttentionTiles tiles;
    tiles.headDim = headDim, tiles.paddedDim = paddedDim;
    tiles.queryBlock = sizes.queryBlock, tiles.keyBlock = sizes.keyBlock, tiles.stages = sizes.stages;
    tiles.splitsDim = sizes.keyBlock == splitKeys;
    tiles.isDeterministic = isDeterministic;
    tiles.roles = WarpRoles::get(sizes.consumers, /*producerRegisters=*/24);
    // Scores and their gradients of the queries of a step, in 16 bits the softcap's slopes, addresses of the bias,
    // words of the dropout; dkey and dvalue; split: dquery as well.
    int64_t columns = tiles.splitsDim ? 32 : sizes.queryBlock, scores = columns;
    scores += (features.softcap ? columns / 4 : 0) + (features.bias ? columns / 2 : 0) +
              (features.dropout ? columns / 2 : 0) + (features.segments && limitsColumns && columns == 128 ? 32 : 0);
    tiles.fragmentRegisters = tiles.splitsDim ? paddedDim / 2 + std::max(paddedDim / 4, scores) : paddedDim + scores;
    int64_t rowBytes = paddedDim * 2, staged = sizes.stages * sizes.queryBlock;
    tiles.layout.add("key", sizes.keyBlock * rowBytes);
    tiles.layout.add("value", sizes.keyBlock * rowBytes);
    tiles.layout.add("query", staged * rowBytes);
    tiles.layout.add("dout", staged * rowBytes);
    if (tiles.splitsDim)
      tiles.layout.add("probabilities", sizes.keyBlock * sizes.queryBlock * 2);
    tiles.layout.add("scores", sizes.keyBlock * sizes.queryBlock * 2);
    tiles.layout.add("dquery", 2 * 64 * (tiles.splitsDim ? paddedDim / 2 : 64) * 4);
    tiles.layout.add("lse", staged * 4);
    tiles.layout.add("delta", staged * 4);
    tiles.layout.add("barriers", barrierBytes);
    return tiles;
  };
  return {candidates, refuseShape, build};
}

//===-- Answers -------------------------------------------------------------------------------------------------===//

std::string getHopperRefusal(AttentionOp op) {
  if (op.hasProbabilities())
    return "probabilities are materialised";
  std::string reason = refuse(op);
  if (reason.empty())
    reason = refuseStrides(op.getOuts()[0], "out");
  return reason.empty() ? refuseTiles(getChoices(op)) : reason;
}

std::string getHopperRefusal(AttentionGradOp op) {
  if (op.getProbabilities())
    return "probabilities are given";
  std::string reason = refuse(op);
  for (auto [operand, name] : {std::pair<Value, StringRef>{op.getDout(), "dout"},
                               {op.getOut(), "out"},
                               {op.getOuts()[0], "dquery"},
                               {op.getOuts()[1], "dkey"},
                               {op.getOuts()[2], "dvalue"}})
    if (reason.empty())
      reason = refuseStrides(operand, name);
  return reason.empty() ? refuseTiles(getChoices(op)) : reason;
}

FailureOr<HopperAttentionTiles> HopperAttentionTiles::get(AttentionOp op) { return choose(op, getChoices(op)); }
FailureOr<HopperAttentionTiles> HopperAttentionTiles::get(AttentionGradOp op) { return choose(op, getChoices(op)); }

HopperAttentionGradWorkspace HopperAttentionGradWorkspace::get(AttentionGradOp op, const HopperAttentionTiles &tiles) {
  Value query = op.getQuery();
  SizeFormula planes = getOperandDim(op, query, 0) * getOperandDim(op, query, 2), rows = getOperandDim(op, query, 1);
  SizeFormula statistics = alignSection(planes * (ceilDiv(rows, tiles.queryBlock) * (tiles.queryBlock * 4)));
  SizeFormula bias(0);
  if (op.getBias()) {
    bias = SizeFormula(4);
    for (int64_t dim = 0; dim < 4; ++dim)
      bias = bias * getOperandDim(op, op.getBias(), dim);
  }
  return {statistics, statistics, alignSection(planes * rows * (tiles.paddedDim * 4)), alignSection(bias)};
}

SizeFormula getHopperWorkspaceBytes(Operation *op) {
  auto gradient = dyn_cast<AttentionGradOp>(op);
  if (!gradient || !getHopperRefusal(gradient).empty())
    return SizeFormula(0);
  FailureOr<HopperAttentionTiles> tiles = HopperAttentionTiles::get(gradient);
  if (failed(tiles))
    return SizeFormula(0);
  auto sections = HopperAttentionGradWorkspace::get(gradient, *tiles);
  return sections.lse + sections.delta + sections.query + sections.bias;
}

} // namespace bpt
