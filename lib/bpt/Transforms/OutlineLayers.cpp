// bpt-outline-layers: checkpoints with equal bodies call one private function.
#include "bpt/Transforms/Passes.h"
#include "bpt/Transforms/Transforms.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "llvm/ADT/TypeSwitch.h"

namespace bpt {
#define GEN_PASS_DEF_OUTLINELAYERSPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

/// The odd constant of the golden ratio: multiples of it spread over all 64 bits (Knuth, volume 3, section 6.4).
constexpr uint64_t seedStep = 0x9E3779B97F4A7C15;

/// The stream of an op that draws random numbers.
std::optional<int64_t> getStream(Operation *op) {
  return TypeSwitch<Operation *, std::optional<int64_t>>(op)
      .Case<AttentionOp, AttentionGradOp, DropoutOp>(
          [](auto op) { return op.getSeed() ? std::optional<int64_t>(op.getStream()) : std::nullopt; })
      .Default(std::nullopt);
}

/// The argument of a checkpoint's body that `value` is, seen through the arguments of blockwise ops and inner
/// checkpoints.
BlockArgument getBodyArgument(Value value, Region &body) {
  auto argument = dyn_cast<BlockArgument>(value);
  while (argument && argument.getParentRegion() != &body) {
    if (auto inner = dyn_cast<CheckpointOp>(argument.getOwner()->getParentOp())) {
      argument = dyn_cast<BlockArgument>(inner.getInputs()[argument.getArgNumber()]);
      continue;
    }
    auto map = dyn_cast<BlockwiseOp>(argument.getOwner()->getParentOp());
    if (!map || argument.getArgNumber() == 0)
      return {};
    argument = dyn_cast<BlockArgument>(map.getOperand(argument.getArgNumber() - 1));
  }
  return argument;
}

/// Compares two bodies op by op: names, attributes, types and which value each operand is. Streams may differ by one
/// number throughout.
class BodyComparison {
public:
  bool compare(Region &a, Region &b) {
    if (a.getBlocks().size() != b.getBlocks().size())
      return false;
    for (auto [x, y] : llvm::zip_equal(a, b))
      if (!compare(x, y))
        return false;
    return true;
  }

  /// By how much the second body's streams are ahead of the first's.
  int64_t getStreamDistance() const { return distance.value_or(0); }

private:
  bool compare(Block &a, Block &b) {
    if (a.getArgumentTypes() != b.getArgumentTypes() || a.getOperations().size() != b.getOperations().size())
      return false;
    for (auto [x, y] : llvm::zip_equal(a.getArguments(), b.getArguments()))
      same[x] = y;
    for (auto [x, y] : llvm::zip_equal(a, b))
      if (!compare(x, y))
        return false;
    return true;
  }

  bool compare(Operation &a, Operation &b) {
    if (a.getName() != b.getName() || a.getNumOperands() != b.getNumOperands() ||
        a.getResultTypes() != b.getResultTypes() || a.getNumRegions() != b.getNumRegions() ||
        a.getNumSuccessors() != 0 || b.getNumSuccessors() != 0)
      return false;
    for (auto [x, y] : llvm::zip_equal(a.getOperands(), b.getOperands()))
      if (same.lookup(x) != y)
        return false;
    if (!compareAttributes(a, b))
      return false;
    for (auto [x, y] : llvm::zip_equal(a.getResults(), b.getResults()))
      same[x] = y;
    for (auto [x, y] : llvm::zip_equal(a.getRegions(), b.getRegions()))
      if (!compare(x, y))
        return false;
    return true;
  }

  bool compareAttributes(Operation &a, Operation &b) {
    NamedAttrList x(a.getAttrDictionary()), y(b.getAttrDictionary());
    std::optional<int64_t> first = getStream(&a), second = getStream(&b);
    if (first && second) {
      int64_t ahead = *second - *first;
      if (distance && *distance != ahead)
        return false;
      distance = ahead;
      x.erase("stream");
      y.erase("stream");
    }
    return x.getDictionary(a.getContext()) == y.getDictionary(b.getContext());
  }

  DenseMap<Value, Value> same;
  std::optional<int64_t> distance;
};

/// Checkpoints with one body: the first one's is kept.
struct Group {
  CheckpointOp first;
  std::optional<llvm::SmallBitVector> seeds;             ///< of `first`, see findSeeds
  SmallVector<std::pair<CheckpointOp, int64_t>> members; ///< with the distance of their streams
};

/// The inputs of `layer` that are seeds and nothing else, if all its seeds are such inputs.
std::optional<llvm::SmallBitVector> findSeeds(CheckpointOp layer) {
  llvm::SmallBitVector seeds(layer.getInputs().size());
  bool known = true, only = true;
  Region &body = layer.getBody();
  body.walk([&](Operation *op) {
    if (!getStream(op))
      return;
    Value seed = TypeSwitch<Operation *, Value>(op).Case<AttentionOp, AttentionGradOp, DropoutOp>(
        [](auto op) { return op.getSeed(); });
    if (BlockArgument argument = getBodyArgument(seed, body))
      seeds.set(argument.getArgNumber());
    else
      known = false;
  });
  body.walk([&](Operation *op) {
    for (OpOperand &use : op->getOpOperands())
      if (BlockArgument argument = getBodyArgument(use.get(), body); argument && seeds.test(argument.getArgNumber()))
        only &= isa<BlockwiseOp, CheckpointOp>(op) || getStream(op).has_value();
  });
  if (known && only)
    return seeds;
  return std::nullopt;
}

/// seed + distance * seedStep: as far from any other layer's as 64 bits allow.
Value mixSeed(OpBuilder &builder, Location loc, Value seed, int64_t distance) {
  Value step = arith::ConstantOp::create(
      builder, loc, builder.getI64IntegerAttr(static_cast<int64_t>(static_cast<uint64_t>(distance) * seedStep)));
  Value empty = tensor::EmptyOp::create(builder, loc, ArrayRef<int64_t>(), builder.getI64Type());
  AffineMap scalar = AffineMap::get(builder.getContext());
  return linalg::GenericOp::create(builder, loc, empty.getType(), seed, empty, ArrayRef<AffineMap>{scalar, scalar},
                                   ArrayRef<utils::IteratorType>(),
                                   [&](OpBuilder &inner, Location, ValueRange arguments) {
                                     Value sum = arith::AddIOp::create(inner, loc, arguments[0], step);
                                     linalg::YieldOp::create(inner, loc, sum);
                                   })
      .getResult(0);
}

SmallVector<Group> findGroups(ModuleOp module) {
  SmallVector<Group> groups;
  module.walk([&](CheckpointOp op) {
    if (op.getCalleeAttr())
      return;
    for (Group &group : groups) {
      if (group.first.getOperandTypes() != op.getOperandTypes() || group.first.getResultTypes() != op.getResultTypes())
        continue;
      BodyComparison comparison;
      if (!comparison.compare(group.first.getBody(), op.getBody()))
        continue;
      if (comparison.getStreamDistance() != 0 && !group.seeds)
        continue;
      group.members.push_back({op, comparison.getStreamDistance()});
      return;
    }
    groups.push_back({op, findSeeds(op), {{op, 0}}});
  });
  return groups;
}

void outline(Group &group, func::FuncOp function) {
  function.getBody().takeBody(group.first.getBody());
  Operation *yield = function.getBody().front().getTerminator();
  OpBuilder atEnd(yield);
  func::ReturnOp::create(atEnd, yield->getLoc(), yield->getOperands());
  yield->erase();
  for (auto [layer, distance] : group.members) {
    OpBuilder builder(layer);
    SmallVector<Value> inputs(layer.getInputs());
    if (distance != 0)
      for (int i : group.seeds->set_bits())
        inputs[i] = mixSeed(builder, layer.getLoc(), inputs[i], distance);
    auto call = CheckpointOp::create(builder, layer.getLoc(), layer.getResultTypes(), inputs,
                                     FlatSymbolRefAttr::get(function.getNameAttr()), layer.getKeep());
    call->setDiscardableAttrs(layer->getDiscardableAttrDictionary());
    layer.replaceAllUsesWith(call.getResults());
    layer.erase();
  }
}

/// What `checkpoint` is: a group of heads stands beside the maps of its layer; a segment has layers and no map of its
/// own.
StringRef getBaseName(CheckpointOp checkpoint) {
  auto hasMaps = [](CheckpointOp op) { return !op.getBody().front().getOps<BlockwiseOp>().empty(); };
  if (auto outer = checkpoint->getParentOfType<CheckpointOp>(); outer && hasMaps(outer))
    return "heads";
  bool hasCheckpoints = !checkpoint.getBody().front().getOps<CheckpointOp>().empty();
  return hasCheckpoints && !hasMaps(checkpoint) ? "segment" : "layer";
}

class OutlineLayers : public impl::OutlineLayersPassBase<OutlineLayers> {
  using Base::Base;
  void runOnOperation() override { outlineLayers(getOperation()); }
};

} // namespace

void outlineLayers(ModuleOp module) {
  SymbolTable symbols(module);
  llvm::StringMap<unsigned> numbers;
  for (Group &group : findGroups(module)) {
    if (group.members.size() < 2)
      continue;
    std::string base = getBaseName(group.first).str(), name;
    do {
      unsigned number = numbers[base]++;
      name = number == 0 ? base : base + "_" + std::to_string(number);
    } while (symbols.lookup(name));
    CheckpointOp first = group.first;
    auto type = FunctionType::get(module.getContext(), first.getOperandTypes(), first.getResultTypes());
    auto function = func::FuncOp::create(first.getLoc(), name, type);
    function.setPrivate();
    symbols.insert(function);
    outline(group, function);
  }
}

} // namespace bpt
