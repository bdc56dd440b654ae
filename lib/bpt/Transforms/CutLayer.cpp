// Cutting a layer into blocks of the sequence: the body of a checkpoint becomes bpt.blockwise ops.
#include "FormBlocks.h"
#include "bpt/Interfaces/Interfaces.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bpt {
namespace {

constexpr int64_t Whole = SequenceOpInterface::Whole;

/// One future bpt.blockwise: what it computes, from what.
struct Map {
  SmallVector<std::pair<Value, int64_t>> results;   ///< with their sequence dims
  llvm::MapVector<Value, int64_t> sliced;           ///< operands cut along a dim
  llvm::SetVector<Value> shared;                    ///< operands seen whole
  SmallVector<std::pair<Operation *, int64_t>> ops; ///< what the body computes, and the sequence dim of result 0
};

class LayerCutter {
public:
  LayerCutter(CheckpointOp layer, const llvm::SmallBitVector &activations, int64_t block, std::string &why)
      : body(layer.getBody().front()), block(block), why(why), active(findActivations(body, activations)) {}

  LogicalResult cut() {
    // Where nothing follows on groups of heads, they are all there is.
    if (llvm::all_of(body.getTerminator()->getOperands(), [&](Value value) { return isAvailable(value); }))
      return success();
    Map layer;
    if (failed(findLayerMap(layer)))
      return failure();
    // Keys and values first, in one map for each sequence they come from; the layer's map then sees their results
    // whole.
    SmallVector<Map> wholes;
    if (failed(findWholeMaps(layer, wholes)))
      return failure();
    for (Map &map : wholes)
      if (failed(checkLengths(map)))
        return failure();
    if (failed(checkLengths(layer)))
      return failure();
    wholes.push_back(std::move(layer));
    for (auto [i, map] : llvm::enumerate(wholes)) {
      // What an earlier map gives is there already.
      for (Map &earlier : MutableArrayRef(wholes).take_front(i))
        llvm::erase_if(map.results, [&](auto &entry) { return llvm::is_contained(earlier.results, entry); });
      if (!map.results.empty() && failed(build(map.results)))
        return failure();
    }
    return success();
  }

private:
  LogicalResult fail(const Twine &text) {
    why = text.str();
    return failure();
  }

  static std::string getText(Value value) {
    Operation *definition = value.getDefiningOp();
    return definition ? ("the result of " + definition->getName().getStringRef()).str() : std::string("an input");
  }

  /// Whether `value` is there before the blocks are: an input, what follows from parameters alone, the result of a map
  /// or of a group of heads, or a view of one of these.
  bool isAvailable(Value value) const {
    Operation *definition = value.getDefiningOp();
    if (!definition || isa<BlockwiseOp, CheckpointOp>(definition) || definition->getBlock() != &body)
      return true;
    if (!active.contains(value) || isView(definition)) {
      bool available = true;
      forEachUsedValue(definition, [&](Value used) { available &= isAvailable(used); });
      return available;
    }
    return false;
  }

  static bool isView(Operation *op) { return isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(op); }

  /// Fills in how `map.results` are computed block by block.
  LogicalResult trace(Map &map) {
    DenseMap<Value, int64_t> dims;
    auto needBlock = [&](Value value, int64_t dim) -> LogicalResult {
      auto [found, isNew] = dims.insert({value, dim});
      if (!isNew && found->second != dim)
        return fail(getText(value) + " is needed along two of its dims");
      return success();
    };
    for (auto [value, dim] : map.results)
      if (failed(needBlock(value, dim)))
        return failure();
    llvm::SetVector<Value> boundary;
    for (Operation &op : llvm::reverse(body.without_terminator())) {
      if (llvm::none_of(op.getResults(), [&](Value result) { return dims.contains(result); }))
        continue;
      SmallVector<int64_t> operandDims;
      FailureOr<int64_t> resultDim = failure();
      if (!isa<BlockwiseOp>(op))
        resultDim = getSequenceDims(&op, dims, operandDims);
      if (failed(resultDim)) {
        // A parameter's tensor, however it is computed, can be computed whole and cut afterwards.
        if (!llvm::all_of(op.getResults(), [&](Value result) { return isAvailable(result); }))
          return failure();
        boundary.insert(op.result_begin(), op.result_end());
        continue;
      }
      map.ops.push_back({&op, *resultDim});
      for (auto [operand, dim] : llvm::zip_equal(op.getOperands(), operandDims))
        if (dim >= 0 && failed(needBlock(operand, dim)))
          return failure();
    }
    std::reverse(map.ops.begin(), map.ops.end());
    for (auto [op, resultDim] : map.ops) {
      SmallVector<int64_t> operandDims;
      (void)cast<SequenceOpInterface>(op).getSequenceDims(resultDim, operandDims);
      for (auto [operand, dim] : llvm::zip_equal(op->getOperands(), operandDims))
        if (dim == Whole)
          map.shared.insert(operand);
      visitUsedValuesDefinedAbove(op->getRegions(), [&](OpOperand *used) { map.shared.insert(used->get()); });
    }
    for (BlockArgument argument : body.getArguments())
      if (dims.contains(argument))
        map.sliced[argument] = dims[argument];
    for (Value value : llvm::reverse(boundary))
      if (dims.contains(value))
        map.sliced[value] = dims[value];
    if (map.sliced.empty())
      return fail("nothing it is computed from is cut along the sequence");
    return success();
  }

  /// The sequence dim of result 0 of `op` when its results are needed along `dims`, and those of its operands.
  FailureOr<int64_t> getSequenceDims(Operation *op, const DenseMap<Value, int64_t> &dims,
                                     SmallVector<int64_t> &operandDims) {
    auto sequence = dyn_cast<SequenceOpInterface>(op);
    if (!sequence) {
      why = (op->getName().getStringRef() + " has no rule for blocks of the sequence").str();
      return failure();
    }
    int64_t rank = cast<ShapedType>(op->getResult(0).getType()).getRank();
    for (int64_t dim = 0; dim < rank; ++dim) {
      bool agrees = llvm::all_of(op->getResults(), [&](OpResult result) {
        auto needed = dims.find(result);
        return needed == dims.end() || sequence.getResultSequenceDim(result.getResultNumber(), dim) == needed->second;
      });
      if (agrees && succeeded(sequence.getSequenceDims(dim, operandDims)))
        return dim;
    }
    why = (op->getName().getStringRef() + " is not row by row along the sequence").str();
    return failure();
  }

  /// The dims of `value` that may be its sequence: dim 1 of [B, S, ..] first.
  static SmallVector<int64_t> getCandidateDims(Value value) {
    SmallVector<int64_t> dims;
    auto type = dyn_cast<RankedTensorType>(value.getType());
    for (int64_t dim = 0; type && dim < type.getRank(); ++dim)
      dims.insert(dim == 1 ? dims.begin() : dims.end(), dim);
    return dims;
  }

  /// The map of the layer's output, and its sequence dim: the one that attention is cut along.
  LogicalResult findLayerMap(Map &map) {
    ValueRange yielded = body.getTerminator()->getOperands();
    std::string first;
    for (int64_t dim : getCandidateDims(yielded.front())) {
      Map candidate;
      candidate.results.push_back({yielded.front(), dim});
      why.clear();
      if (succeeded(trace(candidate)) && succeeded(addResults(candidate, yielded.drop_front()))) {
        map = std::move(candidate);
        return success();
      }
      if (first.empty())
        first = why;
    }
    why = first;
    return failure();
  }

  /// Further results of the layer are what the map computes anyway.
  LogicalResult addResults(Map &map, ValueRange values) {
    SmallVector<std::pair<Value, int64_t>> extra;
    for (Value value : values) {
      if (map.shared.contains(value) || isAvailable(value))
        continue;
      auto found = llvm::find_if(map.ops, [&](auto &entry) { return entry.first == value.getDefiningOp(); });
      if (found == map.ops.end())
        return fail(getText(value) + " is used after the layer, too");
      extra.push_back({value, cast<SequenceOpInterface>(found->first)
                                  .getResultSequenceDim(cast<OpResult>(value).getResultNumber(), found->second)});
    }
    llvm::append_range(map.results, extra);
    return success();
  }

  /// Maps of what `layer` needs whole and is not there yet.
  LogicalResult findWholeMaps(const Map &layer, SmallVector<Map> &maps) {
    llvm::SetVector<Value> needed;
    for (Value value : layer.shared) {
      if (isAvailable(value))
        continue;
      // Views are taken of the whole, behind the map, so that the map's last op writes where its result is put
      // together.
      while (isView(value.getDefiningOp()))
        value = value.getDefiningOp()->getOperand(0);
      needed.insert(value);
    }
    for (Value value : needed) {
      Map map;
      if (failed(findWholeMap(layer, value, map)))
        return failure();
      auto same = llvm::find_if(maps, [&](Map &other) { return other.sliced.front() == map.sliced.front(); });
      if (same == maps.end()) {
        maps.push_back(std::move(map));
        continue;
      }
      Map joined;
      joined.results = same->results;
      joined.results.push_back(map.results.front());
      if (failed(trace(joined)))
        return failure();
      *same = std::move(joined);
    }
    return success();
  }

  LogicalResult findWholeMap(const Map &layer, Value value, Map &map) {
    std::string first;
    for (int64_t dim : getCandidateDims(value)) {
      Map candidate;
      candidate.results.push_back({value, dim});
      why.clear();
      // What both maps cut is cut along the same dim; nothing in this one may need another attention's keys.
      bool good = succeeded(trace(candidate)) && llvm::all_of(candidate.sliced, [&](auto &entry) {
                    auto found = layer.sliced.find(entry.first);
                    return found == layer.sliced.end() || found->second == entry.second;
                  });
      for (Value shared : candidate.shared)
        if (good && !isAvailable(shared))
          good = false,
          why = getText(value) + " is seen whole, and computed from " + getText(shared) + ", which is, too";
      if (good) {
        map = std::move(candidate);
        return success();
      }
      if (first.empty())
        first =
            why.empty() ? getText(value) + " is seen whole, and has no dim along which it is computed in blocks" : why;
    }
    why = first;
    return failure();
  }

  static int64_t getSize(Value value, int64_t dim) { return cast<RankedTensorType>(value.getType()).getDimSize(dim); }

  /// All that is cut has one length.
  LogicalResult checkLengths(const Map &map) {
    int64_t length = getLength(map);
    auto agrees = [&](Value value, int64_t dim) {
      int64_t size = getSize(value, dim);
      return ShapedType::isDynamic(size) || ShapedType::isDynamic(length) || size == length;
    };
    for (auto [value, dim] : map.sliced)
      if (!agrees(value, dim))
        return fail(getText(value) + " has " + Twine(getSize(value, dim)) + " rows, but the sequence has " +
                    Twine(length));
    for (auto [value, dim] : map.results)
      if (!agrees(value, dim))
        return fail(getText(value) + " has " + Twine(getSize(value, dim)) + " rows, but the sequence has " +
                    Twine(length));
    return success();
  }

  /// The static length of the sequence if anything tells.
  static int64_t getLength(const Map &map) {
    for (auto [value, dim] : map.results)
      if (int64_t size = getSize(value, dim); !ShapedType::isDynamic(size))
        return size;
    for (auto [value, dim] : map.sliced)
      if (int64_t size = getSize(value, dim); !ShapedType::isDynamic(size))
        return size;
    return ShapedType::kDynamic;
  }

  /// Creates the map of `results` and lets its results take their place.
  LogicalResult build(ArrayRef<std::pair<Value, int64_t>> results) {
    Map map;
    map.results.assign(results.begin(), results.end());
    // Traced again: what it needs from earlier maps is there now.
    if (failed(trace(map)))
      return failure();
    auto builder = OpBuilder::atBlockTerminator(&body);
    Location loc = map.results.front().first.getLoc();
    int64_t length = getLength(map);
    int64_t rows = ShapedType::isDynamic(length) ? block : std::min(block, std::max<int64_t>(length, 1));
    SmallVector<Value> sliced, shared, constants;
    SmallVector<int64_t> dims;
    SmallVector<Type> types, blockTypes{builder.getIndexType()};
    for (auto [value, dim] : map.sliced) {
      sliced.push_back(value);
      dims.push_back(dim);
      blockTypes.push_back(BlockwiseOp::getBlockType(cast<RankedTensorType>(value.getType()), dim, rows));
    }
    for (Value value : map.shared) {
      Operation *definition = value.getDefiningOp();
      bool copied = definition && isCheapToCopy(definition) && definition->getNumOperands() == 0;
      (copied ? constants : shared).push_back(value);
    }
    for (Value value : shared)
      blockTypes.push_back(value.getType());
    for (auto [value, dim] : map.results) {
      types.push_back(value.getType());
      dims.push_back(dim);
    }
    auto op = BlockwiseOp::create(builder, loc, types, sliced, shared, ValueRange(), rows, dims);
    Block *inner = builder.createBlock(&op.getBody(), {}, blockTypes, SmallVector<Location>(blockTypes.size(), loc));
    fillBody(builder, map, op, inner, constants);
    // What the map was made from stays as it is until it is dead.
    for (auto [entry, result] : llvm::zip_equal(map.results, op.getResults()))
      entry.first.replaceUsesWithIf(result, [&](OpOperand &use) {
        return llvm::none_of(map.ops, [&](auto &made) { return made.first->isAncestor(use.getOwner()); });
      });
    sortByDataFlow(body);
    return success();
  }

  void fillBody(OpBuilder &builder, const Map &map, BlockwiseOp op, Block *inner, ArrayRef<Value> constants) {
    IRMapping cut, whole;
    cut.map(op.getSliced(), op.getSlicedArgs());
    whole.map(op.getShared(), op.getSharedArgs());
    for (Value constant : constants)
      whole.map(constant,
                builder.clone(*constant.getDefiningOp())->getResult(cast<OpResult>(constant).getResultNumber()));
    Value first = op.getSlicedArgs().front();
    OpFoldResult length = tensor::getMixedSize(builder, op.getLoc(), first, op.getOperandDim(0));
    for (auto [original, resultDim] : map.ops) {
      SmallVector<int64_t> operandDims;
      auto sequence = cast<SequenceOpInterface>(original);
      (void)sequence.getSequenceDims(resultDim, operandDims);
      SmallVector<Value> operands;
      for (auto [operand, dim] : llvm::zip_equal(original->getOperands(), operandDims))
        operands.push_back(dim == Whole ? whole.lookup(operand) : dim >= 0 ? cut.lookup(operand) : Value());
      Operation *clone = *sequence.cloneForBlock(builder, operands, resultDim, op.getOffset(), length);
      for (Region &region : clone->getRegions())
        region.walk([&](Operation *nested) {
          for (OpOperand &used : nested->getOpOperands())
            if (Value value = whole.lookupOrNull(used.get()))
              used.set(value);
        });
      cut.map(original->getResults(), clone->getResults());
    }
    SmallVector<Value> yielded;
    for (auto [value, dim] : map.results)
      yielded.push_back(cut.lookup(value));
    YieldOp::create(builder, op.getLoc(), yielded);
  }

  Block &body;
  int64_t block;
  std::string &why;
  DenseSet<Value> active;
};

} // namespace

LogicalResult cutLayer(CheckpointOp layer, const llvm::SmallBitVector &activations, int64_t block, std::string &why) {
  return LayerCutter(layer, activations, block, why).cut();
}

} // namespace bpt
