// A compiled training program with its memory: one arena that holds parameters, moments, the batch and the step's
// buffers.
#pragma once
#include "bpt/Runtime/Arena.h"
#include "bpt/Runtime/Profile.h"
#include "bpt/Runtime/Program.h"
#include "bpt/Runtime/TrainPlan.h"
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bpt {

/// What one step gives.
struct StepResult {
  double loss = 0;
  double gradNorm = 0;
};

/// Runs the entries `train_step`, `loss` and `next_logits` of a program. Nothing is allocated before
/// allocate().
///
/// Arena: parameters, moments, tokens and targets at its head; behind them the work region, which is as large as the
/// largest entry needs, since only one runs at a time. `loss` and `next_logits` take the graph's own types: where the
/// masters are wider, their parameters are rounded into the work region first.
class TrainProgram {
public:
  /// Plans for the sizes of `options`. Errors: exit 1 for a program that cannot be trained or does not fit the options.
  static Expected<TrainProgram> create(Program program, const TrainOptions &options, int threads);

  const TrainPlan &getPlan() const { return plan; }
  const Manifest &manifest() const { return program.manifest(); }
  /// The target that the loss ignores.
  int64_t ignoredTarget() const { return train->info().arguments[plan.signature.targets].ignoreIndex.value_or(-100); }

  /// Has the steps report to a profile; null where the program was not compiled for one.
  void profileSteps();
  const Profile *stepProfile() const { return profile.get(); }

  /// Allocates the arena. Errors: exit 4.
  Status allocate();

  /// Brings parameters and moments to state() from a device that has them.
  Status fetchState() { return train->fetchUpdates(); }
  /// Parameters and moments; after allocate(). As of the last fetchState() where steps run on a device with memory of its own.
  const TrainState &state() const { return views; }
  /// The batch to fill before runStep: batchShape().tokens() ids each; of validate: the first batch·context of them.
  int32_t *tokens() const { return tokenView.as<int32_t>(); }
  int32_t *targets() const { return targetView.as<int32_t>(); }

  /// Runs step `number` (from 1), updating the state in place.
  Expected<StepResult> runStep(int64_t number, double lr, int64_t seed);
  /// On a device with memory of its own: each step calls `work` while it runs; the next batch may be filled in.
  void whileStepRuns(std::function<void()> work) { train->whileRunning(std::move(work)); }

  /// The loss of the first micro-batch in tokens() and targets(), without any update.
  Expected<double> validate();

  /// Before the first nextLogits after a step or validation.
  Status beginSampling();
  /// Logits of the token that follows position `position` (from 0) of `ids`, which has sampleContext() ids at most.
  Expected<std::vector<float>> nextLogits(const std::vector<int32_t> &ids, int64_t position);
  /// Tokens that nextLogits can look back on.
  int64_t sampleContext() const;

private:
  struct Inference {
    Entry entry;
    std::vector<Tensor> arguments; ///< after allocate()
  };

  Status bindInference(Inference &inference, const InferencePlan &planned);
  Status bindStep();
  void convertParameters(const Inference &inference, const InferencePlan &planned);

  Program program = {};
  TrainPlan plan;
  std::optional<Entry> train;
  std::optional<Inference> validation, sampling;
  int threadCount = 1;

  Arena arena;
  std::shared_ptr<Arena> workArena;
  TrainState views;
  Tensor tokenView, targetView;
  std::vector<Tensor> trainArguments;
  std::unique_ptr<ThreadPool> pool;
  std::unique_ptr<Profile> profile;
};

} // namespace bpt
