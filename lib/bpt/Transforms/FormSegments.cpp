// Segments: a checkpoint around several layers, so that only the input of the first is kept between forward and
// backward.
#include "FormBlocks.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bpt {
namespace {

/// Wraps `layers`, which stand in this order in one block, in a checkpoint in place of the first.
void wrap(ArrayRef<CheckpointOp> layers) {
  llvm::SetVector<Value> inputs;
  SmallVector<Value> results;
  DenseSet<Operation *> inside(layers.begin(), layers.end());
  for (CheckpointOp layer : layers) {
    for (Value input : layer.getInputs())
      if (!inside.contains(input.getDefiningOp()))
        inputs.insert(input);
    for (Value result : layer.getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) { return !inside.contains(user); }))
        results.push_back(result);
  }
  CheckpointOp first = layers.front();
  OpBuilder builder(first);
  Location loc = first.getLoc();
  auto segment = CheckpointOp::create(builder, loc, TypeRange(ValueRange(results)), inputs.getArrayRef(),
                                      FlatSymbolRefAttr(), Keep::Input);
  SmallVector<Location> locations(inputs.size(), loc);
  Block *body = builder.createBlock(&segment.getBody(), {}, TypeRange(ValueRange(inputs.getArrayRef())), locations);
  IRMapping mapping;
  mapping.map(inputs.getArrayRef(), body->getArguments());
  for (CheckpointOp layer : layers)
    builder.clone(*layer, mapping);
  YieldOp::create(builder, loc, llvm::map_to_vector(results, [&](Value value) { return mapping.lookup(value); }));
  for (auto [value, result] : llvm::zip_equal(results, segment.getResults()))
    value.replaceUsesWithIf(result, [&](OpOperand &use) { return !inside.contains(use.getOwner()); });
  for (CheckpointOp layer : llvm::reverse(layers))
    layer.erase();
}

/// Whether everything `layer` takes is there before `first`, or comes from one of `before`.
bool follows(CheckpointOp layer, ArrayRef<CheckpointOp> before) {
  bool continues = false;
  for (Value input : layer.getInputs()) {
    Operation *definition = input.getDefiningOp();
    if (definition && llvm::is_contained(before, definition))
      continues = true;
    else if (definition && !definition->isBeforeInBlock(CheckpointOp(before.front())))
      return false;
  }
  return continues;
}

} // namespace

void formSegments(Block &block, int64_t size, int64_t alone) {
  SmallVector<CheckpointOp> layers(block.getOps<CheckpointOp>()), segment;
  layers.pop_back_n(std::min(static_cast<size_t>(alone), layers.size()));
  auto finish = [&] {
    if (segment.size() > 1)
      wrap(segment);
    segment.clear();
  };
  for (CheckpointOp layer : layers) {
    if (static_cast<int64_t>(segment.size()) == size || (!segment.empty() && !follows(layer, segment)))
      finish();
    segment.push_back(layer);
  }
  finish();
}

} // namespace bpt
