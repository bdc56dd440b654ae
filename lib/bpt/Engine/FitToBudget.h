// The choice between time and memory: the fastest program that fits.
#pragma once

#include "bpt/Engine/Compiler.h"
#include "bpt/Runtime/TrainPlan.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <map>
#include <optional>

namespace bpt {

/// What layers keep between forward and backward, and how much of a layer exists at a time.
struct LayerPolicy {
  std::string keep;     ///< input | attention | qkv | all
  int64_t segment = 1;  ///< layers of a segment
  int64_t heads = 0;    ///< key heads at a time; 0: all. The output projection then sums in another order
  bool offload = false; ///< what is kept waits in host memory
  int64_t lastLayers = 0; ///< layers at the end that keep `lastKeep` instead and are in no segment
  std::string lastKeep = "all";
  /// "input offloaded in segments of 4 with heads by 1", "input, all in the last 3 layers"
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
  double projectionsAgain = 0;                            ///< of `projections`: those of queries, keys and values
  double feedForwardAgain = 0;                            ///< of `feedForward`: what leads to the hidden
  double inputBytes = 0;                                  ///< of the inputs of all layers
  int64_t layers = 0;
  /// With what `policy` computes again. Copies to host memory run beside the kernels: where they take longer, what a
  /// GPU computes in that time.
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

/// The search for the fastest program that fits. Each policy is estimated once.
class PolicySearch {
public:
  using Estimate = llvm::function_ref<Expected<MemoryEstimate>(const LayerPolicy &)>;

  /// `policies` go from the fastest to the smallest; `estimate` is never above what a build takes. With `split`, layers
  /// at the end may have a faster policy than the others.
  PolicySearch(llvm::ArrayRef<LayerPolicy> policies, const StepWork &work, bool split, Estimate estimate)
      : policies(policies), work(work), split(split), estimate(estimate), tried(policies.size()) {}

  struct Choice {
    LayerPolicy policy;
    int64_t bytes = 0;
  };
  /// The fastest that takes at most `budget`, or else the smallest.
  Expected<Choice> find(int64_t budget);
  /// Those tried, `chosen` with the bytes of what was built, but for those that are neither faster nor smaller than
  /// another.
  std::vector<PolicyCost> getConsidered(const Choice &chosen) const;

private:
  /// Of a policy; null after an error.
  const MemoryEstimate *get(size_t number);
  /// The first policy that fits if what layers keep were all that differs from the first one.
  size_t guess(int64_t budget) const;
  /// The first policy that fits; the smallest of all where none does; none after an error.
  std::optional<size_t> findUniform(int64_t budget);
  /// Gives layers at the end to a policy before `number`, which fits, as many as fit.
  Expected<Choice> splitLayers(size_t number, int64_t budget);
  /// The one before `number` that layers at the end save most with, by the line between the bytes of both.
  std::optional<size_t> findFaster(size_t number, int64_t budget) const;

  llvm::ArrayRef<LayerPolicy> policies;
  const StepWork &work;
  bool split;
  Estimate estimate;
  llvm::SmallVector<std::optional<MemoryEstimate>> tried; ///< of `policies`
  std::map<std::string, Choice> splits;                   ///< that were tried, by name
  std::optional<Error> error;
};

/// Builds the fastest of `policies` whose program (with its `bytes`) fits into `budget`, or else the smallest.
template <typename T>
Expected<T> fitToBudget(llvm::ArrayRef<LayerPolicy> policies, const StepWork &work, int64_t budget, bool split,
                        PolicySearch::Estimate estimate, llvm::function_ref<Expected<T>(const LayerPolicy &)> build,
                        std::vector<PolicyCost> &considered) {
  PolicySearch search(policies, work, split, estimate);
  // What is built may be larger than the estimate by what packing loses; then as much less is asked for.
  for (int64_t asked = budget;;) {
    Expected<PolicySearch::Choice> choice = search.find(asked);
    if (!choice)
      return choice.takeError();
    Expected<T> built = build(choice->policy);
    if (!built)
      return built.takeError();
    int64_t lost = built->bytes - choice->bytes;
    bool isSmallest = policies.size() == 1 || choice->bytes > asked;
    if (built->bytes <= budget || isSmallest) {
      choice->bytes = built->bytes;
      considered = search.getConsidered(*choice);
      return built;
    }
    asked = budget - lost;
  }
}

} // namespace bpt
