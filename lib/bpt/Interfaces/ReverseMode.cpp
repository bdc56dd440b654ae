// Reverse mode over straight-line code: which values need gradients, the walk, what is recomputed and what is kept.
#include "bpt/Interfaces/ReverseMode.h"
#include "bpt/IR/BPT.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/ScopeExit.h"

using namespace mlir;

namespace bpt {

//===----------------------------------------------------------------------===//
// Activity
//===----------------------------------------------------------------------===//

/// What the regions of the op take from outside.
static SmallVector<Value> getCapturedValues(Operation *op) {
  SetVector<Value> captured;
  if (op->getNumRegions() && !op->hasTrait<OpTrait::IsIsolatedFromAbove>())
    getUsedValuesDefinedAbove(op->getRegions(), captured);
  return captured.takeVector();
}

static SmallVector<Value> getUsedValues(Operation *op) {
  SmallVector<Value> values = getCapturedValues(op);
  llvm::append_range(values, op->getOperands());
  return values;
}

/// The values through which results depend smoothly on something.
static SmallVector<Value> getDifferentiableValues(Operation *op) {
  auto differentiable = dyn_cast<DifferentiableOpInterface>(op);
  SmallVector<Value> values = getCapturedValues(op);
  for (OpOperand &operand : op->getOpOperands())
    if (!differentiable || differentiable.isDifferentiableOperand(operand))
      values.push_back(operand.get());
  return values;
}

/// Whether a result may carry a derivative: anything but integers, unless they are the bits of a float.
static bool carriesGradient(Value result) {
  Type element = getElementTypeOrSelf(result.getType());
  return !element.isIntOrIndex() || isa<arith::BitcastOp, tensor::BitcastOp>(result.getDefiningOp());
}

Backward::Backward(VJPContext &context, OpBuilder &builder, Block &block, IRMapping &mapping) : context(context) {
  for (Operation &op : block.without_terminator())
    operations.push_back(builder.clone(op, mapping));
  for (Value value : block.getTerminator()->getOperands())
    results.push_back(mapping.lookupOrDefault(value));
}

LogicalResult Backward::analyze(ValueRange sources, ArrayRef<Value> cotangents) {
  DenseSet<Value> varied(sources.begin(), sources.end()), useful;
  for (auto [result, cotangent] : llvm::zip_equal(results, cotangents))
    if (cotangent)
      useful.insert(result);
  auto isVaried = [&](Value value) { return varied.contains(value); };
  for (Operation *op : operations) {
    if (llvm::none_of(getUsedValues(op), isVaried))
      continue;
    auto isBuffer = [](Type type) { return isa<BaseMemRefType>(type); };
    if (llvm::any_of(op->getOperandTypes(), isBuffer) || llvm::any_of(op->getResultTypes(), isBuffer))
      return op->emitError("expected tensors on the path of a gradient, but got '")
             << op->getName() << "' on memrefs; differentiate before bufferization";
    if (llvm::any_of(getDifferentiableValues(op), isVaried))
      for (Value result : op->getResults())
        if (carriesGradient(result))
          varied.insert(result);
  }
  for (Operation *op : llvm::reverse(operations)) {
    auto isActive = [&](Value value) { return varied.contains(value) && useful.contains(value); };
    if (llvm::any_of(op->getResults(), isActive))
      for (Value value : getDifferentiableValues(op))
        useful.insert(value);
  }
  for (Value value : varied)
    if (useful.contains(value))
      context.active.insert(value);
  return success();
}

//===----------------------------------------------------------------------===//
// The walk
//===----------------------------------------------------------------------===//

LogicalResult Backward::build(OpBuilder &builder, ArrayRef<Value> cotangents) {
  for (auto [result, cotangent] : llvm::zip_equal(results, cotangents))
    if (cotangent && context.needsGradient(result))
      context.addGradient(builder, result, cotangent);

  Backward *outer = std::exchange(context.walk, this);
  auto restore = llvm::make_scope_exit([&] { context.walk = outer; });
  for (size_t i = operations.size(); i-- > 0;) {
    Operation *op = operations[i];
    if (llvm::none_of(op->getResults(), [&](Value result) {
          return context.needsGradient(result) && context.getCotangent(result);
        }))
      continue;
    auto differentiable = dyn_cast<DifferentiableOpInterface>(op);
    if (!differentiable)
      return op->emitError("expected an op with a gradient, but got '")
             << op->getName() << "'; implement DifferentiableOpInterface for it, or keep it off the path from what is "
             << "differentiated to the result";
    if (llvm::any_of(getCapturedValues(op), [&](Value value) { return context.needsGradient(value); }))
      return op->emitError("expected '") << op->getName()
                                         << "' to take values with a gradient as operands, but its region uses one from outside";
    if (failed(differentiable.buildVJP(builder, context)))
      return failure();
    // Nothing adds to these any more: what the cotangents' buffers hold may be overwritten.
    for (Value result : operations[i]->getResults())
      context.gradients.erase(result);
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Recomputation
//===----------------------------------------------------------------------===//

/// Ops that cost nothing: what they look at is kept instead of their results.
static bool isFree(Operation *op) {
  if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::ExtractSliceOp, tensor::CastOp, tensor::EmptyOp,
          tensor::DimOp, linalg::FillOp, BarrierOp>(op) ||
      op->hasTrait<OpTrait::ConstantLike>())
    return true;
  return llvm::all_of(op->getResultTypes(), [](Type type) { return type.isIntOrIndex(); });
}

SmallVector<Value> Backward::chooseKept(Keep policy, function_ref<bool(Value)> canKeep) {
  DenseSet<Operation *> forward(operations.begin(), operations.end()), visited;
  DenseSet<Value> candidates(context.suggestions.begin(), context.suggestions.end()), kept;
  SmallVector<Value> worklist;
  for (Operation *op : operations)
    for (Value result : op->getResults())
      if (llvm::any_of(result.getUsers(), [&](Operation *user) {
            return !forward.contains(op->getBlock()->findAncestorOpInBlock(*user));
          }))
        worklist.push_back(result);
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    Operation *op = value.getDefiningOp();
    if (!op || !forward.contains(op))
      continue;
    if ((policy == Keep::All ? !isFree(op) : candidates.contains(value)) && canKeep(value)) {
      kept.insert(value);
      continue;
    }
    if (visited.insert(op).second)
      llvm::append_range(worklist, getUsedValues(op));
  }
  SmallVector<Value> inOrder;
  for (Operation *op : operations)
    llvm::copy_if(op->getResults(), std::back_inserter(inOrder), [&](Value value) { return kept.contains(value); });
  return inOrder;
}

SmallVector<Value> Backward::cloneKeeping(OpBuilder &builder, IRMapping &mapping, ArrayRef<Value> kept,
                                          SmallVectorImpl<unsigned> &numbers) const {
  for (Operation *op : operations)
    builder.clone(*op, mapping);
  SmallVector<Value> all = results;
  for (Value value : kept) {
    auto *found = llvm::find(all, value);
    numbers.push_back(found - all.begin());
    if (found == all.end())
      all.push_back(value);
  }
  for (Value &value : all)
    value = mapping.lookupOrDefault(value);
  return all;
}

/// A destination handed in from outside and never read: recomputation must not write into what others hold.
void Backward::renewDestinations() {
  DenseSet<Operation *> forward(operations.begin(), operations.end());
  for (Operation *op : operations) {
    auto destination = dyn_cast<DestinationStyleOpInterface>(op);
    auto differentiable = dyn_cast<DifferentiableOpInterface>(op);
    if (!destination || !differentiable)
      continue;
    for (OpOperand &init : destination.getDpsInitsMutable()) {
      if (forward.contains(init.get().getDefiningOp()) || !isFloatValue(init.get()) ||
          differentiable.isDifferentiableOperand(init))
        continue;
      OpBuilder builder(op);
      init.set(VJPContext::createEmpty(builder, op->getLoc(), init.get()));
    }
  }
}

void Backward::eraseUnused(Block &block) {
  DenseSet<Operation *> forward(operations.begin(), operations.end());
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (!forward.contains(&op) && isOpTriviallyDead(&op))
      op.erase();
}

void Backward::minimizeRecomputation() {
  renewDestinations();
  DenseMap<Operation *, size_t> order;
  for (auto [i, op] : llvm::enumerate(operations))
    order[op] = i;
  for (size_t i = operations.size(); i-- > 0;) {
    Operation *op = operations[i];
    // Callees and bodies work on tensors: an unused one has no effect.
    if (op->use_empty() && (isOpTriviallyDead(op) || isa<func::CallOp, CheckpointOp, BlockwiseOp>(op))) {
      for (Value result : op->getResults())
        context.forget(result);
      order.erase(op);
      operations.erase(operations.begin() + i);
      op->erase();
      continue;
    }
    Operation *first = nullptr;
    for (Operation *user : op->getUsers()) {
      Operation *ancestor = op->getBlock()->findAncestorOpInBlock(*user);
      if (!first || ancestor->isBeforeInBlock(first))
        first = ancestor;
    }
    if (!first)
      continue;
    // Those moved here already stay behind it: a destination is filled right before it is written, not before all of them.
    while (Operation *previous = first->getPrevNode()) {
      auto found = order.find(previous);
      if (found == order.end() || found->second <= i)
        break;
      first = previous;
    }
    op->moveBefore(first);
  }
}

} // namespace bpt
