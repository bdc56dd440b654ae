// bpt-form-blocks: layers become checkpoints, in the three ways the paper compares.
#include "FormBlocks.h"
#include "bpt/Analysis/ModelFlops.h"
#include "bpt/Transforms/Passes.h"
#include "bpt/Transforms/Transforms.h"
#include "mlir/Analysis/TopologicalSortUtils.h"
#include "mlir/Dialect/MemRef/Transforms/Transforms.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/Support/FormatVariadic.h"

namespace bpt {
#define GEN_PASS_DEF_FORMBLOCKSPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

/// Sizes of intermediate values become sizes of arguments, so that no block needs a whole activation to know a size.
LogicalResult resolveSizes(func::FuncOp function) {
  bool any = false;
  function.walk([&](tensor::DimOp) { any = true; });
  if (!any)
    return success();
  RewritePatternSet patterns(function.getContext());
  tensor::DimOp::getCanonicalizationPatterns(patterns, function.getContext());
  memref::populateResolveRankedShapedTypeResultDimsPatterns(patterns);
  memref::populateResolveShapedTypeResultDimsPatterns(patterns);
  return applyPatternsGreedily(function, std::move(patterns));
}

/// Replaces `op` by one with a further out and result of these sizes, of the element type of `like`.
template <typename OpTy> void addResult(OpTy op, Value like, ArrayRef<OpFoldResult> sizes) {
  OpBuilder builder(op);
  Location loc = op.getLoc();
  Value empty = tensor::EmptyOp::create(builder, loc, sizes, getElementTypeOrSelf(like.getType()));
  op.getOutsMutable().append(empty);
  SmallVector<Type> types(op->getResultTypes());
  types.push_back(empty.getType());
  OperationState state(loc, op->getName(), op->getOperands(), types, op->getDiscardableAttrDictionary().getValue());
  state.propertiesAttr = op->getPropertiesAsAttribute();
  Operation *replacement = builder.create(state);
  op->replaceAllUsesWith(replacement->getResults().take_front(op->getNumResults()));
  op->erase();
}

/// vanilla: attention's probabilities exist as a tensor.
void materializeProbabilities(Block &body) {
  for (auto op : llvm::make_early_inc_range(body.getOps<AttentionOp>())) {
    if (op.hasProbabilities())
      continue;
    OpBuilder builder(op);
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, op.getLoc(), op.getOuts()[1]);
    sizes.push_back(tensor::getMixedSize(builder, op.getLoc(), op.getKey(), 1));
    addResult(op, op.getQuery(), sizes);
  }
}

/// keep=all: what the activation takes exists as a tensor, so that the backward need not compute it again.
void materializeHidden(Block &body) {
  for (auto op : llvm::make_early_inc_range(body.getOps<FeedForwardOp>())) {
    if (op.hasHidden())
      continue;
    OpBuilder builder(op);
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, op.getLoc(), op.getInput());
    // The gate's and the other half side by side.
    int64_t hidden = cast<ShapedType>(op.getUpWeight().getType()).getDimSize(op.getWeightsTransposed() ? 0 : 1);
    if (ShapedType::isDynamic(hidden))
      continue;
    sizes.back() = builder.getIndexAttr(op.getGateWeight() ? 2 * hidden : hidden);
    addResult(op, op.getInput(), sizes);
  }
}

/// E.g. "2 results, then 1, in blocks of 16 of 64 rows".
std::string describeBlocks(CheckpointOp layer) {
  std::string text;
  llvm::raw_string_ostream out(text);
  BlockwiseOp last;
  for (auto map : layer.getBody().front().getOps<BlockwiseOp>()) {
    out << (last ? ", then " : "") << map.getNumSlicedResults()
        << (last                             ? ""
            : map.getNumSlicedResults() == 1 ? " result"
                                             : " results");
    last = map;
  }
  if (!last)
    return "groups of heads alone";
  out << ", in blocks of " << last.getBlock();
  int64_t rows = cast<RankedTensorType>(last.getResult(0).getType()).getDimSize(last.getResultDim(0));
  if (!ShapedType::isDynamic(rows))
    out << " of " << rows << " rows";
  return text;
}

class FormBlocks : public impl::FormBlocksPassBase<FormBlocks> {
  using Base::Base;

  void runOnOperation() override {
    FormBlocksOptions options;
    if (failed(readOptions(options)))
      return signalPassFailure();
    auto target = getOperation().lookupSymbol<func::FuncOp>(function);
    if (!target || target.isExternal()) {
      getOperation().emitError("expected a function '")
          << function << "' with a body, but got none; name it with function=";
      return signalPassFailure();
    }
    recordModelFlops(target);
    if (failed(formBlocks(target, options)))
      signalPassFailure();
  }

  LogicalResult readOptions(FormBlocksOptions &options) {
    std::optional<Strategy> read = llvm::StringSwitch<std::optional<Strategy>>(strategy.getValue())
                                       .Case("vanilla", Strategy::Vanilla)
                                       .Case("memory-efficient", Strategy::MemoryEfficient)
                                       .Case("blockwise", Strategy::Blockwise)
                                       .Default(std::nullopt);
    if (!read)
      return getOperation().emitError("expected strategy vanilla, memory-efficient or blockwise, but got '")
             << strategy << "'";
    options.strategy = *read;
    if (block <= 0)
      return getOperation().emitError("expected block > 0, but got ") << block.getValue();
    options.block = block;
    if (segment <= 0)
      return getOperation().emitError("expected segment > 0, but got ") << segment.getValue();
    options.segment = segment;
    if (lastLayers < 0)
      return getOperation().emitError("expected last-layers >= 0, but got ") << lastLayers.getValue();
    options.lastLayers = lastLayers;
    if (failed(readKeep("last-keep", lastKeep, options.lastKeep)))
      return failure();
    if (lastLayers == 0 && options.lastKeep != Keep::All)
      return getOperation().emitError("expected last-layers with last-keep, but got none: how many layers keep ")
             << lastKeep;
    if (heads < 0)
      return getOperation().emitError("expected heads >= 0, but got ") << heads.getValue();
    options.heads = heads;
    if (heads > 0 && (options.strategy != Strategy::Blockwise || (!keep.empty() && keep != "input")))
      return getOperation().emitError("expected strategy blockwise and keep input with heads, but got ")
             << strategy << " and " << keep;
    if (heads > 0 && lastLayers > 0)
      return getOperation().emitError("expected heads or last-layers, but got both");
    return keep.empty() ? success() : readKeep("keep", keep, options.keep.emplace());
  }

  LogicalResult readKeep(StringRef option, StringRef text, Keep &result) {
    std::optional<Keep> read = symbolizeKeep(text);
    if (!read)
      return getOperation().emitError("expected ")
             << option << " input, attention, qkv or all, but got '" << text << "'";
    result = *read;
    return success();
  }
};

} // namespace

CheckpointOp createCheckpoint(const FoundLayer &layer, Keep keep) {
  Operation *last = layer.results.front().getDefiningOp();
  OpBuilder builder(last);
  Location loc = last->getLoc();
  auto op =
      CheckpointOp::create(builder, loc, TypeRange(ValueRange(layer.results)), layer.inputs, FlatSymbolRefAttr(), keep);
  SmallVector<Location> locations(layer.inputs.size(), loc);
  Block *body = builder.createBlock(&op.getBody(), {}, TypeRange(ValueRange(layer.inputs)), locations);
  IRMapping mapping;
  mapping.map(layer.inputs, body->getArguments());
  for (Operation *inner : layer.ops)
    builder.clone(*inner, mapping);
  YieldOp::create(builder, loc, llvm::map_to_vector(layer.results, [&](Value value) { return mapping.lookup(value); }));
  DenseSet<Operation *> inside(layer.ops.begin(), layer.ops.end());
  Block *block = op->getBlock();
  for (auto [number, value] : llvm::enumerate(layer.results))
    Value(value).replaceUsesWithIf(op.getResult(number), [&](OpOperand &use) {
      return !inside.contains(block->findAncestorOpInBlock(*use.getOwner()));
    });
  for (Operation *inner : llvm::reverse(layer.ops))
    if (inner->use_empty())
      inner->erase();
  return op;
}

/// The ways of `layer` to blocks: groups of heads first, each cut by itself.
static LogicalResult cutInBlocks(CheckpointOp layer, const llvm::SmallBitVector &activations,
                                 const FormBlocksOptions &options, Location loc, const remark::RemarkOpts &named,
                                 std::string &why) {
  splitFusedProjections(layer.getBody().front());
  SmallVector<HeadGroup> groups;
  if (options.heads > 0 && failed(splitHeads(layer, activations, options.heads, groups, why)))
    remark::missed(loc, named) << "attention is not split by heads: " + why;
  for (HeadGroup &group : groups)
    if (failed(cutLayer(group.checkpoint, group.activations, options.block, why)))
      return failure();
  return cutLayer(layer, activations, options.block, why);
}

LogicalResult formBlocks(func::FuncOp function, const FormBlocksOptions &options) {
  if (failed(resolveSizes(function)))
    return failure();
  Keep keepOfMost = options.keep.value_or(options.strategy == Strategy::Blockwise ? Keep::Input : Keep::All);
  auto named = remark::RemarkOpts::name("layer").category(formBlocksName).function(function.getName());
  SmallVector<FoundLayer> layers = findLayers(function);
  for (auto [number, layer] : llvm::enumerate(layers)) {
    bool isLast = static_cast<int64_t>(layers.size() - number) <= options.lastLayers;
    Keep keep = isLast ? options.lastKeep : keepOfMost;
    Location loc = layer.attention->getLoc();
    unsigned count = layer.ops.size();
    CheckpointOp op = createCheckpoint(layer, keep);
    // A later layer's input may be this one's output.
    for (FoundLayer &other : layers)
      for (auto [before, after] : llvm::zip_equal(layer.results, op.getResults()))
        if (&other != &layer)
          std::replace(other.inputs.begin(), other.inputs.end(), before, Value(after));
    Block &body = op.getBody().front();
    std::string kept = (" keep " + stringifyKeep(keep)).str();
    if (keep == Keep::All)
      materializeHidden(body);
    if (options.strategy == Strategy::Vanilla) {
      materializeProbabilities(body);
      remark::passed(loc, named) << llvm::formatv("layer of {0} ops, scores materialised,{1}", count, kept).str();
      continue;
    }
    if (options.strategy == Strategy::MemoryEfficient) {
      remark::passed(loc, named)
          << llvm::formatv("layer of {0} ops, attention blocked by its kernel,{1}", count, kept).str();
      continue;
    }
    std::string why;
    if (failed(cutInBlocks(op, layer.activations, options, loc, named, why))) {
      remark::missed(loc, named) << "layer is a checkpoint, but not blockwise: " + why;
      continue;
    }
    remark::passed(loc, named) << llvm::formatv("layer of {0} ops, {1},{2}", count, describeBlocks(op), kept).str();
  }
  // Users of a further result may stand before the layer's last op.
  if (llvm::any_of(layers, [](const FoundLayer &layer) { return layer.results.size() > 1; }))
    sortTopologically(&function.getBody().front());
  if (options.segment > 1)
    formSegments(function.getBody().front(), options.segment, options.lastLayers);
  return success();
}

} // namespace bpt
