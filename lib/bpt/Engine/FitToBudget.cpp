// Policies, what they cost in time, and the memory there is.
#include "FitToBudget.h"
#include "bpt/Analysis/ModelFlops.h"
#include "bpt/IR/BPT.h"
#include "bpt/Runtime/MachineModel.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include <algorithm>
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
  if (lastLayers > 0)
    name += ", " + lastKeep + " in the last " + (lastLayers == 1 ? "layer" : std::to_string(lastLayers) + " layers");
  return name;
}

std::string LayerPolicy::getFormOptions() const {
  return "keep=" + keep + " segment=" + std::to_string(segment) + " heads=" + std::to_string(heads) +
         " last-layers=" + std::to_string(lastLayers) + " last-keep=" + lastKeep;
}

/// Whether every float is as wide as what it is computed in.
static bool keepingIsExact(func::FuncOp function) {
  return llvm::all_of(function.getArgumentTypes(), [](Type type) {
    Type element = getElementTypeOrSelf(type);
    return !isa<FloatType>(element) || getAccumulatorType(element) == element;
  });
}

/// As many as there are attentions: a layer may have two.
static int64_t countLayers(func::FuncOp function) {
  int64_t layers = 0;
  function.walk([&](AttentionOp) { ++layers; });
  return layers;
}

/// Sizes of segments, from none on. Kept are layers / size inputs, and size more while a segment is in its backward:
/// least about the square root.
static SmallVector<int64_t> getSegments(func::FuncOp function) {
  int64_t layers = countLayers(function);
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
  work.layers = countLayers(function);
  double queries = 0, keys = 0; // heads of all layers
  function.walk([&](Operation *op) {
    double flops = static_cast<double>(countOpFlops(op).value_or(0));
    if (auto attention = dyn_cast<AttentionOp>(op)) {
      // As wide as the layer's input, but for models whose heads are not.
      auto query = cast<ShapedType>(attention.getQuery().getType());
      work.attention += flops;
      work.inputBytes += static_cast<double>(query.getNumElements() * query.getElementTypeBitWidth() / 8);
      queries += static_cast<double>(query.getDimSize(2));
      keys += static_cast<double>(cast<ShapedType>(attention.getKey().getType()).getDimSize(2));
    } else if (auto layer = dyn_cast<FeedForwardOp>(op)) {
      work.feedForward += flops;
      work.feedForwardAgain += layer.getGateWeight() ? flops * 2 / 3 : flops / 2;
    } else if (isa<linalg::LinalgOp>(op))
      work.projections += flops;
  });
  // A head of queries has a column in its projection and a row in the output projection, one of keys a column for keys
  // and one for values.
  if (queries > 0)
    work.projectionsAgain = work.projections * (queries + 2 * keys) / (2 * queries + 2 * keys);
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
  if (policy.lastLayers > 0 && layers > 0) {
    double share = std::min(1.0, static_cast<double>(policy.lastLayers) / static_cast<double>(layers));
    LayerPolicy others = policy;
    others.lastLayers = 0;
    return share * with({policy.lastKeep}) + (1 - share) * with(others);
  }
  double transfer =
      2 * inputBytes / static_cast<double>(policy.segment) * countKeptTensors(policy.keep) * getFlopsPerHostByte();
  return policy.offload ? std::max(withRecomputation(policy), transfer) : withRecomputation(policy);
}

double StepWork::withRecomputation(const LayerPolicy &policy) const {
  double total = forward + backward;
  if (policy.keep == "all")
    return total;
  total += projections - projectionsAgain + feedForwardAgain;
  if (policy.keep != "qkv")
    total += projectionsAgain;
  if (policy.keep == "input")
    total += attention;
  // The sum over groups is there before the backward of the first; each then computes its own part again.
  if (policy.heads > 0)
    total += projectionsAgain + attention;
  // The last layer of a segment is not needed to find the inputs of the others.
  double again = 1 - 1 / static_cast<double>(policy.segment);
  return total + again * (attention + projections + feedForward);
}

/// Whether `faster` is something that layers at the end can do while the others do as `smaller` says, to the same bits.
static bool canStandBehind(const LayerPolicy &smaller, const LayerPolicy &faster) {
  return faster.segment == 1 && faster.heads == 0 && smaller.heads == 0 && faster.lastLayers == 0 &&
         smaller.lastLayers == 0 && faster.offload == smaller.offload;
}

const MemoryEstimate *PolicySearch::get(size_t number) {
  if (!tried[number]) {
    Expected<MemoryEstimate> result = estimate(policies[number]);
    if (!result) {
      error = result.takeError();
      return nullptr;
    }
    tried[number] = *result;
  }
  return &*tried[number];
}

size_t PolicySearch::guess(int64_t budget) const {
  auto keeps = [&](const LayerPolicy &policy) {
    double tensors = policy.offload ? 0 : countKeptTensors(policy.keep);
    return tensors / static_cast<double>(policy.segment) * work.inputBytes;
  };
  double rest = static_cast<double>(tried.front()->bytes) - keeps(policies.front());
  size_t last = 0; // without groups of heads, which nothing here predicts
  for (size_t i = 1; i < policies.size() && policies[i].heads == policies.front().heads; ++i) {
    last = i;
    if (rest + keeps(policies[i]) <= static_cast<double>(budget))
      break;
  }
  return last;
}

std::optional<size_t> PolicySearch::findUniform(int64_t budget) {
  if (!get(0))
    return std::nullopt;
  if (tried[0]->bytes <= budget)
    return 0;
  if (tried[0]->fixed > budget)
    return policies.size() - 1;
  auto fits = [&](size_t number) { return get(number) && get(number)->bytes <= budget; };
  size_t guessed = guess(budget), number = guessed;
  if (fits(number)) {
    while (fits(number - 1))
      --number;
    return number;
  }
  while (!error && ++number < policies.size())
    if (fits(number))
      return number;
  // A segment may take more than it saves: then those before are smaller.
  for (number = guessed; !error && number-- > 1;) {
    if (fits(number))
      return number;
    if (!error && tried[number]->bytes >= tried[number + 1]->bytes)
      break;
  }
  if (error)
    return std::nullopt;
  auto bytes = [](const std::optional<MemoryEstimate> &one) { return one ? one->bytes : INT64_MAX; };
  return llvm::min_element(tried, [&](auto &a, auto &b) { return bytes(a) < bytes(b); }) - tried.begin();
}

std::optional<size_t> PolicySearch::findFaster(size_t number, int64_t budget) const {
  std::optional<size_t> best;
  double mostSaved = 0;
  int64_t bytes = tried[number]->bytes;
  for (size_t i = 0; i < number; ++i) {
    if (!tried[i] || tried[i]->bytes <= budget || !canStandBehind(policies[number], policies[i]))
      continue;
    double share = static_cast<double>(budget - bytes) / static_cast<double>(tried[i]->bytes - bytes);
    double saved = share * (work.with(policies[number]) - work.with(policies[i]));
    if (saved > mostSaved) {
      mostSaved = saved;
      best = i;
    }
  }
  return best;
}

Expected<PolicySearch::Choice> PolicySearch::splitLayers(size_t number, int64_t budget) {
  Choice best{policies[number], tried[number]->bytes};
  std::optional<size_t> faster = findFaster(number, budget);
  if (!faster)
    return best;
  int64_t fits = 0, tooMany = work.layers; // layers at the end
  int64_t bytesTooMany = tried[*faster]->bytes;
  while (tooMany - fits > 1) {
    double share = static_cast<double>(budget - best.bytes) / static_cast<double>(bytesTooMany - best.bytes);
    int64_t more = static_cast<int64_t>(share * static_cast<double>(tooMany - fits));
    if (more == 0 || (fits > 0 && more * 20 < work.layers)) // not worth another lowering
      break;
    Choice next{policies[number]};
    next.policy.lastLayers = std::min(fits + more, tooMany - 1);
    next.policy.lastKeep = policies[*faster].keep;
    std::string name = next.policy.getName();
    if (auto known = splits.find(name); known != splits.end()) {
      next.bytes = known->second.bytes;
    } else {
      Expected<MemoryEstimate> result = estimate(next.policy);
      if (!result)
        return result.takeError();
      next.bytes = result->bytes;
      splits.emplace(std::move(name), next);
    }
    if (next.bytes <= budget) {
      fits = next.policy.lastLayers;
      best = std::move(next);
    } else {
      tooMany = next.policy.lastLayers;
      bytesTooMany = next.bytes;
    }
  }
  return best;
}

Expected<PolicySearch::Choice> PolicySearch::find(int64_t budget) {
  if (policies.size() == 1)
    return Choice{policies.front()};
  std::optional<size_t> number = findUniform(budget);
  if (error)
    return std::move(*error);
  if (!tried[*number]) // what no policy changes is too much already
    return Choice{policies[*number], tried.front()->fixed};
  if (split && tried[*number]->bytes <= budget)
    return splitLayers(*number, budget);
  return Choice{policies[*number], tried[*number]->bytes};
}

std::vector<PolicyCost> PolicySearch::getConsidered(const Choice &chosen) const {
  std::vector<PolicyCost> costs;
  auto add = [&](const LayerPolicy &policy, int64_t bytes) {
    std::string name = policy.getName();
    bool isChosen = name == chosen.policy.getName();
    costs.push_back({std::move(name), isChosen ? chosen.bytes : bytes, work.with(policy), isChosen});
  };
  for (auto [policy, result] : llvm::zip_equal(policies, tried))
    if (result || policy.getName() == chosen.policy.getName())
      add(policy, result ? result->bytes : chosen.bytes);
  for (auto &[name, choice] : splits)
    add(choice.policy, choice.bytes);
  keepFrontier(costs);
  return costs;
}

} // namespace bpt
