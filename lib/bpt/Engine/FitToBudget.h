// The choice between time and memory: the fastest program that fits.
#pragma once

#include "bpt/Engine/Compiler.h"
#include "bpt/Runtime/TrainPlan.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace bpt {

/// What layers keep between forward and backward, and how much of a layer exists at a time.
struct LayerPolicy {
  std::string keep;     ///< input | attention | qkv | all
  int64_t segment = 1;  ///< layers of a segment
  int64_t heads = 0;    ///< key heads at a time; 0: all. The output projection then sums in another order
  bool offload = false; ///< what is kept waits in host memory
  /// "input offloaded in segments of 4 with heads by 1"
  std::string getName() const;
  /// As options of bpt-form-blocks.
  std::string getFormOptions() const;
};

/// What is worth a try for the layers of a graph, from the fastest to the smallest program, all of which compute the
/// same bits: in 16 bits, what is kept is rounded and what is computed again is not, so that there is one policy but
/// for segments, which start from layers' inputs in either case.
llvm::SmallVector<LayerPolicy> getLayerPolicies(mlir::func::FuncOp function);

/// What is smaller still, from the fastest on: groups of heads, with segments and without. For `heads` = 0 half of the
/// key heads and one of them, else that many. Sums have another order than with getLayerPolicies.
llvm::SmallVector<LayerPolicy> getHeadPolicies(mlir::func::FuncOp function, int64_t heads = 0);

/// Makes `policies` what `offload` asks for: all of them with what is kept in host memory; Auto: those that keep the
/// input also with that, each after the one without.
void addOffload(llvm::SmallVectorImpl<LayerPolicy> &policies, Offload offload);

/// FLOPs of a training step by what computes them: a graph before bpt-form-blocks. All 0 where sizes are dynamic.
struct StepWork {
  double forward = 0, backward = 0;
  double attention = 0, projections = 0, feedForward = 0; ///< of the forward of the layers
  double inputBytes = 0;                                  ///< of the inputs of all layers
  /// With what `policy` computes again. Of the projections three quarters are those of queries, keys and values; of a
  /// feed-forward layer the backward needs again what leads to the hidden. Copies to host memory run beside the
  /// kernels: where they take longer, what a GPU computes in that time.
  double with(const LayerPolicy &policy) const;
  /// The same without copies.
  double withRecomputation(const LayerPolicy &policy) const;
};
StepWork countStepWork(mlir::func::FuncOp function);

/// Sorts by time and leaves out what is neither faster nor smaller than another, but for the one that was chosen.
void keepFrontier(std::vector<PolicyCost> &policies);

/// What a program takes at least: all of it, and what no policy changes.
struct MemoryEstimate {
  int64_t bytes = 0, fixed = 0;
};

/// Tries `policies`, which go from the fastest to the smallest, and builds the first whose program (with its `bytes`)
/// fits into `budget`, or else the smallest. `estimate` is quick and never above what is built. `considered` gets those
/// tried, but for the ones that are not smaller than one before.
template <typename T>
Expected<T> fitToBudget(llvm::ArrayRef<LayerPolicy> policies, const StepWork &work, int64_t budget,
                        llvm::function_ref<Expected<MemoryEstimate>(const LayerPolicy &)> estimate,
                        llvm::function_ref<Expected<T>(const LayerPolicy &)> build,
                        std::vector<PolicyCost> &considered) {
  const LayerPolicy *smallest = nullptr;
  bool hopeless = false; // what no policy changes is too much already: one figure is enough
  for (const LayerPolicy &policy : policies) {
    const LayerPolicy *next = &policy + 1;
    bool lastKeep =
        next == policies.end() || (policy.segment == 1 && (next->segment > 1 || next->offload > policy.offload));
    if (hopeless && !lastKeep)
      continue;
    Expected<MemoryEstimate> least = estimate(policy);
    if (!least)
      return least.takeError();
    hopeless |= least->fixed > budget;
    if (!considered.empty() && least->bytes >= considered.back().bytes)
      continue;
    considered.push_back({policy.getName(), least->bytes, work.with(policy)});
    if (least->bytes <= budget) {
      Expected<T> built = build(policy);
      if (!built)
        return built.takeError();
      considered.back().bytes = built->bytes;
      if (built->bytes <= budget) {
        considered.back().chosen = true;
        return built;
      }
      if (considered.size() > 1 && built->bytes >= considered[considered.size() - 2].bytes) {
        considered.pop_back();
        continue;
      }
    }
    smallest = &policy;
    if (hopeless && lastKeep)
      break;
  }
  considered.back().chosen = true;
  Expected<T> built = build(*smallest);
  if (built)
    considered.back().bytes = built->bytes;
  return built;
}

} // namespace bpt
