// Policies, what they cost in time, and the memory there is.
#include "FitToBudget.h"
#include "bpt/Analysis/ModelFlops.h"
#include "bpt/IR/BPT.h"
#include "bpt/Runtime/MachineModel.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <cmath>

using namespace mlir;

namespace bpt {

std::string LayerPolicy::getName() const {
  std::string name = keep;
  if (offload)
    name += " offloaded";
  if (segment > 1)
    name += " in segments of " + std::to_string(segment);
  if (heads > 0)
    name += " with heads by " + std::to_string(heads);
  return name;
}

std::string LayerPolicy::getFormOptions() const {
  return "keep=" + keep + " segment=" + std::to_string(segment) + " heads=" + std::to_string(heads);
}

/// Whether every float is as wide as what it is computed in.
static bool keepingIsExact(func::FuncOp function) {
  return llvm::all_of(function.getArgumentTypes(), [](Type type) {
    Type element = getElementTypeOrSelf(type);
    return !isa<FloatType>(element) || getAccumulatorType(element) == element;
  });
}

/// Sizes of segments, from none on. Kept are layers / size inputs, and size more while a segment is in its backward:
/// least about the square root.
static SmallVector<int64_t> getSegments(func::FuncOp function) {
  int64_t layers = 0;
  function.walk([&](AttentionOp) { ++layers; });
  int64_t root = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(layers))));
  SmallVector<int64_t> sizes{1};
  for (int64_t size = 2; size < root; size *= 2)
    sizes.push_back(size);
  if (root > 1)
    sizes.push_back(root);
  return sizes;
}

SmallVector<LayerPolicy> getLayerPolicies(func::FuncOp function) {
  SmallVector<LayerPolicy> policies;
  if (keepingIsExact(function))
    policies = {{"all"}, {"qkv"}, {"attention"}};
  for (int64_t segment : getSegments(function))
    policies.push_back({"input", segment});
  return policies;
}

SmallVector<LayerPolicy> getHeadPolicies(func::FuncOp function, int64_t heads) {
  int64_t keys = 0;
  function.walk([&](AttentionOp op) {
    keys = std::max(keys, cast<ShapedType>(op.getKey().getType()).getDimSize(2)); // negative: not known
  });
  SmallVector<int64_t> groups;
  if (heads > 0)
    groups = {heads};
  else if (keys > 2)
    groups = {(keys + 1) / 2, 1};
  else if (keys == 2)
    groups = {1};
  SmallVector<LayerPolicy> policies;
  for (int64_t segment : getSegments(function))
    for (int64_t group : groups)
      policies.push_back({"input", segment, group});
  return policies;
}

void addOffload(SmallVectorImpl<LayerPolicy> &policies, Offload offload) {
  if (offload == Offload::No)
    return;
  SmallVector<LayerPolicy> result;
  for (LayerPolicy &policy : policies) {
    if (offload == Offload::Auto)
      result.push_back(policy);
    policy.offload = true;
    if (offload == Offload::Yes || policy.keep == "input")
      result.push_back(policy);
  }
  policies = std::move(result);
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
    if (auto attention = dyn_cast<AttentionOp>(op)) {
      // As wide as the layer's input, but for models whose heads are not.
      auto query = cast<ShapedType>(attention.getQuery().getType());
      work.attention += flops;
      work.inputBytes += static_cast<double>(query.getNumElements() * query.getElementTypeBitWidth() / 8);
    } else if (isa<FeedForwardOp>(op))
      work.feedForward += flops;
    else if (isa<linalg::LinalgOp>(op))
      work.projections += flops;
  });
  return work;
}

void keepFrontier(std::vector<PolicyCost> &policies) {
  std::stable_sort(policies.begin(), policies.end(),
                   [](const PolicyCost &a, const PolicyCost &b) { return a.flops < b.flops; });
  std::optional<int64_t> least;
  llvm::erase_if(policies, [&](const PolicyCost &policy) {
    bool isSmaller = !least || policy.bytes < *least;
    if (isSmaller)
      least = policy.bytes;
    return !isSmaller && !policy.chosen;
  });
}

/// FLOPs that a GPU does while a byte goes to host memory or comes back.
static double getFlopsPerHostByte() {
  std::optional<MachineModel> gpu = findMachine("h200", 1);
  return gpu->flopsPerSecond / gpu->hostBytesPerSecond;
}

/// What a layer keeps, in tensors as large as its input.
static double countKeptTensors(llvm::StringRef keep) {
  return keep == "all" ? 14 : keep == "qkv" ? 5 : keep == "attention" ? 2 : 1;
}

double StepWork::with(const LayerPolicy &policy) const {
  double transfer =
      2 * inputBytes / static_cast<double>(policy.segment) * countKeptTensors(policy.keep) * getFlopsPerHostByte();
  return policy.offload ? std::max(withRecomputation(policy), transfer) : withRecomputation(policy);
}

double StepWork::withRecomputation(const LayerPolicy &policy) const {
  double total = forward + backward;
  if (policy.keep == "all")
    return total;
  total += 0.25 * projections + 0.5 * feedForward;
  if (policy.keep != "qkv")
    total += 0.75 * projections;
  if (policy.keep == "input")
    total += attention;
  // The sum over groups is there before the backward of the first; each then computes its own part again.
  if (policy.heads > 0)
    total += 0.75 * projections + attention;
  // The last layer of a segment is not needed to find the inputs of the others.
  double again = 1 - 1 / static_cast<double>(policy.segment);
  return total + again * (attention + projections + feedForward);
}

} // namespace bpt
