// What training asks of the entry `train_step`, and the memory a run of it takes: known from the manifest alone.
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

/// The entry `train_step` of a manifest, planned for the sizes of a run.
struct StepPlan {
  StepSignature signature;
  BatchShape batch;
  std::vector<Shape> shapes; ///< of the arguments
  Plan plan;
  int64_t stateBytes = 0; ///< parameters and moments
  int64_t headBytes = 0;  ///< these, tokens and targets
  int64_t flops = 0;      ///< model FLOPs of one step; 0 where the program does not say
};

/// Needs no code: what a run takes is known before there is any. Errors: exit 1 for a program that cannot be trained or
/// does not fit the options.
Expected<StepPlan> planTrainStep(const Manifest &manifest, const TrainOptions &options, int threads);

} // namespace bpt
