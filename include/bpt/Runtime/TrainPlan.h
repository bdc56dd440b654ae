// What training asks of a program, and the memory a run of it takes: known from the manifest alone.
#pragma once
#include "bpt/Runtime/Plan.h"
#include "bpt/Runtime/TrainOptions.h"
#include "bpt/Runtime/TrainState.h"
#include <cstdint>
#include <optional>
#include <vector>

namespace bpt {

/// What the arguments and results of `train_step` are: positions in its signature.
struct StepSignature {
  std::vector<TrainedParameter> parameters;
  std::vector<size_t> values, firstMoments, secondMoments; ///< arguments of each parameter
  std::vector<bool> decays;
  size_t step = 0, lr = 0, tokens = 0, targets = 0;
  std::optional<size_t> seed;
  size_t loss = 0, gradNorm = 0; ///< results
  std::optional<int64_t> range;  ///< of the tokens: the size of the vocabulary
};

/// Where the data of a loss graph, training step or inference entry goes: the arguments called `tokens`, `targets` and
/// `seed`; where these names are not used, the first and second i32 argument of two or three dimensions and the first
/// i64 scalar that is not called `step` or `position`.
struct DataArguments {
  std::optional<size_t> tokens, targets, seed;
};
DataArguments findDataArguments(const std::vector<ArgumentInfo> &arguments);

/// Reads the signature of `train_step` by the names of its arguments: parameters, `<p>.m`, `<p>.v`, `step`, `lr`,
/// `seed`, `tokens`, `targets`. Errors (exit 1): an argument missing, one that training cannot give, a parameter or
/// moment that is not updated in place.
Expected<StepSignature> readStepSignature(const EntryInfo &entry);

/// Sizes of a batch.
struct BatchShape {
  int64_t accumulate = 1; ///< micro-steps
  int64_t batch = 0;      ///< sequences of a micro-step
  int64_t context = 0;    ///< tokens of a sequence

  int64_t sequences() const { return accumulate * batch; }
  int64_t tokens() const { return accumulate * batch * context; }
};

/// The sizes that the argument `tokens` ([AxB]xT, -1: dynamic) and the options agree on. Errors (exit 1) show both
/// sides.
Expected<BatchShape> resolveBatch(const ArgumentInfo &tokens, const TrainOptions &options);

/// An entry besides `train_step`: its plan and where its arguments come from.
struct InferencePlan {
  Plan plan;
  std::vector<Shape> shapes;        ///< of the arguments
  std::vector<int64_t> parameterOf; ///< of each argument: index into the parameters of the training step, or -1
  int64_t convertedBytes = 0;       ///< of parameters whose type differs from the master's
  std::optional<size_t> tokens, targets, position;
};

/// The entries of a training program, planned for the sizes of a run. They run one at a time in one region of the
/// arena; parameters, moments, tokens and targets lie before it.
struct TrainPlan {
  StepSignature signature;
  BatchShape batch;
  std::vector<Shape> shapes;                         ///< of the arguments of the step
  Plan step;                                         ///< without the head
  std::optional<InferencePlan> validation, sampling; ///< entries `loss` and `next_logits`
  int64_t stateBytes = 0;                            ///< parameters and moments
  int64_t headBytes = 0;                             ///< these, tokens and targets
  int64_t workBytes = 0;                             ///< what the largest entry needs
  int64_t flops = 0;                                 ///< model FLOPs of one step; 0 where the program does not say

  /// Bytes of the arena: the planned peak of the run.
  int64_t plannedBytes() const { return headBytes + workBytes; }
  int64_t parameterCount() const;
  /// The head as slots for the plot.
  std::vector<PlannedSlot> headSlots() const;
};

/// A way of choosing between time and memory, and what a run would take with it.
struct PolicyCost {
  std::string name;  ///< "attention", "input in segments of 4, input in the last 2 layers"
  int64_t bytes = 0; ///< planned peak of the run
  double flops = 0;  ///< of a step, with what is computed twice; 0: unknown
  bool chosen = false;
};

/// A training program without code: enough to know what a run takes.
struct PlannedTraining {
  Manifest manifest;
  TrainPlan plan;
  std::vector<PolicyCost> policies; ///< what was considered, from the fastest to the smallest
  std::vector<PolicyCost> frontier; ///< with TrainOptions::frontier: what else there is, none of it slower and larger than another
};

/// Needs no code: what a run takes is known before there is any. Errors: exit 1 for a program that cannot be trained or
/// does not fit the options.
Expected<TrainPlan> planTraining(const Manifest &manifest, const TrainOptions &options, int threads,
                                 PackEffort effort = PackEffort::Full);

} // namespace bpt
