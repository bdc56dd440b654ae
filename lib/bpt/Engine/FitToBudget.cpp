// Policies, what they cost in time, and the memory there is.
#include "FitToBudget.h"
#include "bpt/Analysis/ModelFlops.h"
#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <cmath>

using namespace mlir;

namespace bpt {

std::string LayerPolicy::getName() const {
  return segment > 1 ? keep + " in segments of " + std::to_string(segment) : keep;
}

/// Whether every float is as wide as what it is computed in.
static bool keepingIsExact(func::FuncOp function) {
  return llvm::all_of(function.getArgumentTypes(), [](Type type) {
    Type element = getElementTypeOrSelf(type);
    return !isa<FloatType>(element) || getAccumulatorType(element) == element;
  });
}

llvm::SmallVector<LayerPolicy> getLayerPolicies(func::FuncOp function) {
  llvm::SmallVector<LayerPolicy> policies;
  if (keepingIsExact(function))
    policies = {{"all"}, {"qkv"}, {"attention"}};
  policies.push_back({"input"});
  int64_t layers = 0;
  function.walk([&](AttentionOp) { ++layers; });
  // Kept are layers / size inputs, and size more while a segment is in its backward: least about the square root.
  int64_t root = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(layers))));
  for (int64_t size = 2; size < root; size *= 2)
    policies.push_back({"input", size});
  if (root > 1)
    policies.push_back({"input", root});
  return policies;
}

StepWork countStepWork(func::FuncOp function) {
  StepWork work;
  std::optional<ModelFlops> all = countModelFlops(function);
  if (!all)
    return work;
  work.forward = static_cast<double>(all->forward);
  work.backward = static_cast<double>(all->backward);
  function.walk([&](Operation *op) {
    double flops = static_cast<double>(countOpFlops(op).value_or(0));
    if (isa<AttentionOp>(op))
      work.attention += flops;
    else if (isa<FeedForwardOp>(op))
      work.feedForward += flops;
    else if (isa<linalg::LinalgOp>(op))
      work.projections += flops;
  });
  return work;
}

double StepWork::with(const LayerPolicy &policy) const {
  double total = forward + backward;
  if (policy.keep == "all")
    return total;
  total += 0.25 * projections + 0.5 * feedForward;
  if (policy.keep != "qkv")
    total += 0.75 * projections;
  if (policy.keep == "input")
    total += attention;
  // The last layer of a segment is not needed to find the inputs of the others.
  double again = 1 - 1 / static_cast<double>(policy.segment);
  return total + again * (attention + projections + feedForward);
}

} // namespace bpt
