// What layers are made of: the values an op uses, what depends on the data, and what a result is computed from.
#include "FormBlocks.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bpt {

void forEachUsedValue(Operation *op, function_ref<void(Value)> visit) {
  for (Value operand : op->getOperands())
    visit(operand);
  visitUsedValuesDefinedAbove(op->getRegions(), [&](OpOperand *operand) { visit(operand->get()); });
}

bool isCheapToCopy(Operation *op) {
  if (op->hasTrait<OpTrait::ConstantLike>() || isa<tensor::EmptyOp>(op))
    return true;
  return isa<linalg::FillOp, tensor::SplatOp>(op) && llvm::all_of(op->getOperands(), [](Value operand) {
           Operation *definition = operand.getDefiningOp();
           return definition && isCheapToCopy(definition);
         });
}

bool isShapeComputation(Operation *op) {
  return op->getNumResults() > 0 && llvm::all_of(op->getResultTypes(), [](Type type) { return type.isIntOrIndex(); });
}

DenseSet<Value> findActivations(Block &body, const llvm::SmallBitVector &arguments) {
  DenseSet<Value> active;
  for (int i : arguments.set_bits())
    active.insert(body.getArgument(i));
  for (Operation &op : body)
    if (!isShapeComputation(&op))
      forEachUsedValue(&op, [&](Value value) {
        if (active.contains(value))
          active.insert(op.result_begin(), op.result_end());
      });
  return active;
}

void collectOps(FoundLayer &layer, function_ref<bool(Value)> isInput, function_ref<bool(Value)> isActivation) {
  llvm::SetVector<Operation *> ops;
  llvm::SetVector<Value> inputs;
  auto visit = [&](auto &self, Value value) -> void {
    if (isInput(value)) {
      inputs.insert(value);
      return;
    }
    Operation *definition = value.getDefiningOp();
    if (ops.contains(definition))
      return;
    forEachUsedValue(definition, [&](Value used) { self(self, used); });
    ops.insert(definition);
  };
  visit(visit, layer.results.front());
  layer.ops = ops.takeVector();
  layer.inputs = inputs.takeVector();
  layer.activations.resize(static_cast<unsigned>(layer.inputs.size()));
  for (auto [i, value] : llvm::enumerate(layer.inputs))
    if (isActivation(value))
      layer.activations.set(static_cast<unsigned>(i));
}

} // namespace bpt
