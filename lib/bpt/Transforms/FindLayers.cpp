// Recognition of transformer layers by data flow.
//
// An activation depends on the data (tokens), not on parameters alone. A cut is an activation of the residual stream's
// type at whose definition nothing else of the stream is alive; cuts divide the function into segments. A layer is the
// segment of an attention and the row-wise segments up to the next attention.
#include "FormBlocks.h"
#include "bpt/Interfaces/Interfaces.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bpt {

namespace {

/// Arguments that carry data: those that are no parameters, if the function says what is one (`bpt.init`); else tokens
/// and what has the rank of an activation. Seeds are scalars.
SmallVector<Value> getDataArguments(func::FuncOp function) {
  bool marked = llvm::any_of(llvm::seq(function.getNumArguments()),
                             [&](unsigned i) { return function.getArgAttr(i, "bpt.init") != nullptr; });
  SmallVector<Value> data;
  for (auto [i, argument] : llvm::enumerate(function.getArguments())) {
    auto type = dyn_cast<RankedTensorType>(argument.getType());
    if (!type || type.getRank() == 0 || function.getArgAttr(i, "bpt.init"))
      continue;
    if (marked || type.getElementType().isInteger() || type.getRank() >= 3)
      data.push_back(argument);
  }
  return data;
}

class LayerFinder {
public:
  LayerFinder(func::FuncOp function) : function(function), block(function.getBody().front()) {}

  SmallVector<FoundLayer> find() {
    findActivations();
    if (attentions.empty()) {
      missed(function.getLoc(), "no bpt.attention on the way from the data to a result");
      return {};
    }
    chooseCuts();
    if (cuts.empty()) {
      missed(attentions.front()->getLoc(), "no point after the attention where one activation alone is alive");
      return {};
    }
    assignSegments();
    SmallVector<FoundLayer> layers = groupSegments();
    assignSideOps();
    for (auto [index, layer] : llvm::enumerate(layers))
      collect(layer, index);
    return layers;
  }

private:
  static void missed(Location loc, StringRef why) {
    remark::missed(loc, remark::RemarkOpts::name("layer").category(formBlocksName)) << why;
  }

  bool isActivation(Value value) const {
    Operation *definition = value.getDefiningOp();
    return definition ? active.contains(definition) : data.contains(value);
  }

  /// `path`: ops from the data to a result, in block order (a topological one).
  void findActivations() {
    for (Value argument : getDataArguments(function))
      data.insert(argument);
    for (Operation &op : block) {
      bool depends = false;
      forEachUsedValue(&op, [&](Value value) { depends |= isActivation(value); });
      if (depends && !isShapeComputation(&op))
        active.insert(&op);
    }
    DenseSet<Operation *> live{block.getTerminator()};
    for (Operation &op : llvm::reverse(block))
      if (live.contains(&op))
        forEachUsedValue(&op, [&](Value value) {
          if (Operation *definition = value.getDefiningOp())
            live.insert(definition);
        });
    for (Operation &op : block.without_terminator())
      if (active.contains(&op) && live.contains(&op)) {
        index[&op] = path.size();
        path.push_back(&op);
        if (isa<AttentionOp>(op))
          attentions.push_back(&op);
      }
    index[block.getTerminator()] = path.size();
  }

  /// The position of the last use of `value` on the path, -1 if there is none.
  int64_t getLastUse(Value value) const {
    int64_t last = -1;
    for (Operation *user : value.getUsers())
      if (auto found = index.find(block.findAncestorOpInBlock(*user)); found != index.end())
        last = std::max<int64_t>(last, found->second);
    return last;
  }

  /// How cuts are looked for. An input may be alive in many layers (the memory of an encoder), and so may keys and
  /// values that later layers use again.
  struct Rule {
    bool ignoresKeys, ignoresInputs;
  };
  struct Cuts {
    SmallVector<Value> values;
    int64_t separated = 0; ///< segments with an attention
    int64_t aside = 0;     ///< other activations alive at the cuts
  };

  /// Whether keys and values of attention are all that `value` is used for, and what is computed from it.
  bool isKey(Value value) {
    if (auto known = keys.find(value); known != keys.end())
      return known->second;
    bool result = llvm::all_of(value.getUses(), [&](OpOperand &use) {
      if (auto attention = dyn_cast<AttentionOp>(use.getOwner()))
        return &use == &attention.getKeyMutable() || &use == &attention.getValueMutable();
      return use.getOwner()->getBlock() == &block && use.getOwner()->getNumResults() > 0 &&
             llvm::all_of(use.getOwner()->getResults(), [&](Value inner) { return isKey(inner); });
    });
    return keys[value] = result;
  }

  static bool isFloatTensor(Value value) {
    auto type = dyn_cast<RankedTensorType>(value.getType());
    return type && isa<FloatType>(type.getElementType());
  }

  /// Per position of the path, how many of the values that `counts` accepts are alive behind it.
  SmallVector<int64_t> countAlive(function_ref<bool(Value)> counts) const {
    SmallVector<int64_t> change(path.size() + 1), alive(path.size());
    auto add = [&](Value value, int64_t start) {
      int64_t last = getLastUse(value);
      if (last > start && isFloatTensor(value) && counts(value))
        ++change[start], --change[last];
    };
    for (Value argument : data)
      add(argument, 0);
    for (auto [position, op] : llvm::enumerate(path))
      for (Value value : op->getResults())
        add(value, position);
    for (int64_t i = 0, now = 0; i < static_cast<int64_t>(path.size()); ++i)
      alive[i] = now += change[i];
    return alive;
  }

  Cuts findCuts(Type type, Rule rule) {
    // What is computed from the stream.
    DenseSet<Value> stream;
    for (Operation *op : path) {
      bool depends = false;
      forEachUsedValue(op, [&](Value value) {
        depends |= stream.contains(value) || (value.getType() == type && isActivation(value));
      });
      if (depends)
        stream.insert(op->result_begin(), op->result_end());
    }
    auto countsOwn = [&](Value value) {
      return value.getType() == type && !(rule.ignoresInputs && isa<BlockArgument>(value) && isKey(value));
    };
    SmallVector<int64_t> own = countAlive(countsOwn);
    SmallVector<int64_t> others = countAlive([&](Value value) {
      return value.getType() != type && stream.contains(value) && !(rule.ignoresKeys && isKey(value));
    });
    SmallVector<int64_t> all = countAlive([](Value) { return true; });
    Cuts result;
    int64_t sinceCut = 0;
    for (int64_t position = 0; position < static_cast<int64_t>(path.size()); ++position) {
      sinceCut += isa<AttentionOp>(path[position]);
      auto isAlive = [&](Value value) { return value.getType() == type && getLastUse(value) > position; };
      auto found = llvm::find_if(path[position]->getResults(), isAlive);
      if (found == path[position]->result_end() || own[position] != 1 || others[position] != 0)
        continue;
      result.values.push_back(*found);
      result.aside += all[position] - 1;
      result.separated += sinceCut > 0;
      sinceCut = 0;
    }
    return result;
  }

  /// The residual stream's type: the one whose cuts give most segments with attention, with least alive besides.
  void chooseCuts() {
    llvm::SetVector<Type> types;
    for (Operation *op : path)
      for (Value value : op->getResults())
        if (isFloatTensor(value) && cast<RankedTensorType>(value.getType()).getRank() >= 2 && getLastUse(value) >= 0)
          types.insert(value.getType());
    Cuts best;
    auto isBetter = [](const Cuts &a, const Cuts &b) {
      if (a.separated != b.separated)
        return a.separated > b.separated;
      // aside per cut, as fractions
      int64_t x = a.aside * static_cast<int64_t>(b.values.size()), y = b.aside * static_cast<int64_t>(a.values.size());
      return x != y ? x < y : a.values.size() > b.values.size();
    };
    for (Rule rule : {Rule{false, false}, Rule{false, true}, Rule{true, false}, Rule{true, true}}) {
      Cuts bestOfRule;
      for (Type type : types)
        if (Cuts found = findCuts(type, rule); found.separated > 0 && isBetter(found, bestOfRule))
          bestOfRule = std::move(found);
      // A later rule has to separate more to be preferred.
      if (bestOfRule.separated > best.separated)
        best = std::move(bestOfRule);
    }
    cuts = std::move(best.values);
  }

  /// The segment of an op: one more than the last cut it depends on. A cut is in the segment it ends.
  void assignSegments() {
    DenseMap<Value, unsigned> number;
    for (auto [i, cut] : llvm::enumerate(cuts))
      number[cut] = i;
    for (Operation *op : path) {
      unsigned result = 0;
      forEachUsedValue(op, [&](Value value) {
        if (Operation *definition = value.getDefiningOp(); definition && segment.contains(definition))
          result = std::max(result, segment.lookup(definition));
        if (auto found = number.find(value); found != number.end())
          result = std::max(result, found->second + 1);
      });
      segment[op] = result;
    }
  }

  SmallVector<FoundLayer> groupSegments() {
    unsigned count = cuts.size() + 1;
    SmallVector<SmallVector<Operation *>> members(count);
    for (Operation *op : path)
      members[segment[op]].push_back(op);
    llvm::MapVector<unsigned, Operation *> starts;
    for (Operation *attention : attentions)
      starts.insert({segment[attention], attention});
    auto isRowWise = [&](unsigned s) {
      return llvm::all_of(members[s],
                          [](Operation *op) { return isa<SequenceOpInterface>(op) && !isa<AttentionOp>(op); });
    };
    auto hasWeights = [&](unsigned s) {
      return llvm::any_of(members[s], [](Operation *op) {
        auto structured = dyn_cast<linalg::LinalgOp>(op);
        return isa<FeedForwardOp>(op) ||
               (structured && structured.getNumReductionLoops() > 0 && structured.getNumDpsInputs() > 1);
      });
    };
    auto namesOf = [&](unsigned first, unsigned last) {
      SmallVector<StringRef> names;
      for (unsigned s = first; s <= last; ++s)
        for (Operation *op : members[s])
          names.push_back(op->getName().getStringRef());
      llvm::sort(names);
      return names;
    };
    SmallVector<FoundLayer> layers;
    for (auto it = starts.begin(); it != starts.end(); ++it) {
      unsigned first = it->first, end = std::next(it) == starts.end() ? cuts.size() : std::next(it)->first;
      if (first >= cuts.size()) {
        missed(it->second->getLoc(), "no point after the attention where one activation alone is alive");
        continue;
      }
      unsigned last = first;
      while (last + 1 < end && isRowWise(last + 1))
        ++last;
      if (std::next(it) == starts.end()) {
        // Behind the last layer comes the head: as many segments as the layer before has, else up to its last weights.
        unsigned limit = last;
        while (last > first && !hasWeights(last))
          --last;
        if (!ranges.empty())
          if (auto [a, b] = ranges.back(); first + (b - a) <= limit && namesOf(a, b) == namesOf(first, first + (b - a)))
            last = first + (b - a);
      }
      ranges.push_back({first, last});
      FoundLayer layer;
      layer.attention = it->second;
      layer.results.push_back(cuts[last]);
      layers.push_back(std::move(layer));
      addMembers(cuts[last].getDefiningOp(), first, layers.size() - 1);
    }
    return layers;
  }

  /// Ops of segments from `first` on that `op` depends on belong to layer `number`.
  void addMembers(Operation *op, unsigned first, unsigned number) {
    SmallVector<Operation *> worklist{op};
    while (!worklist.empty()) {
      Operation *next = worklist.pop_back_val();
      if (!layerOf.insert({next, number}).second)
        continue;
      forEachUsedValue(next, [&](Value value) {
        Operation *definition = value.getDefiningOp();
        if (definition && segment.contains(definition) && segment.lookup(definition) >= first &&
            !layerOf.contains(definition))
          worklist.push_back(definition);
      });
    }
  }

  /// What is not of the stream and is used by one layer only (slices of parameters, keys of an encoder's memory) moves
  /// into that layer.
  void assignSideOps() {
    for (Operation &op : llvm::reverse(block.without_terminator())) {
      bool isCut = llvm::any_of(op.getResults(), [&](Value result) { return llvm::is_contained(cuts, result); });
      if (layerOf.contains(&op) || isCut || op.use_empty() || !isMemoryEffectFree(&op))
        continue;
      std::optional<unsigned> only;
      bool one = llvm::all_of(op.getUsers(), [&](Operation *user) {
        auto found = layerOf.find(block.findAncestorOpInBlock(*user));
        if (found == layerOf.end() || (only && *only != found->second))
          return false;
        only = found->second;
        return true;
      });
      if (one)
        layerOf[&op] = *only;
    }
  }

  /// Fills in ops, inputs and results of layer `number`, depth first from its output: the order follows data flow
  /// alone, so that layers that are equal but for the order of their text come out equal.
  void collect(FoundLayer &layer, unsigned number) {
    auto isInput = [&](Value value) {
      Operation *definition = value.getDefiningOp();
      auto found = definition ? layerOf.find(definition) : layerOf.end();
      bool mine = found != layerOf.end() && found->second == number;
      return !mine && (!definition || !isCheapToCopy(definition));
    };
    collectOps(layer, isInput, [&](Value value) { return isActivation(value); });
    DenseSet<Operation *> inside(layer.ops.begin(), layer.ops.end());
    for (Operation *op : layer.ops)
      for (Value value : op->getResults())
        if (value != layer.results.front() && active.contains(op) &&
            llvm::any_of(value.getUsers(),
                         [&](Operation *user) { return !inside.contains(block.findAncestorOpInBlock(*user)); }))
          layer.results.push_back(value);
  }

  func::FuncOp function;
  Block &block;
  DenseSet<Value> data;
  DenseSet<Operation *> active;
  SmallVector<Operation *> path, attentions;
  DenseMap<Operation *, unsigned> index, segment, layerOf;
  SmallVector<Value> cuts;
  DenseMap<Value, bool> keys;
  SmallVector<std::pair<unsigned, unsigned>> ranges; ///< segments of each layer
};

} // namespace

SmallVector<FoundLayer> findLayers(func::FuncOp function) {
  if (!function.getBody().hasOneBlock()) {
    remark::missed(function.getLoc(), remark::RemarkOpts::name("layer").category(formBlocksName))
        << "control flow between blocks";
    return {};
  }
  return LayerFinder(function).find();
}

} // namespace bpt
