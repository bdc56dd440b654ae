// A training program whose "compiled" entries are C functions: a table of next-token logits, trained with AdamW without
// decay.
#pragma once
#include "bpt/Runtime/Trainer.h"
#include <functional>

/// How the fake behaves; reset by each test that changes it.
struct FakeTraining {
  int64_t nanAt = 0;                        ///< step whose loss is NaN
  int64_t infiniteNormAt = 0;               ///< step whose norm is infinite
  std::function<void(int64_t step)> atStep; ///< called in train_step, after the update
  std::function<void()> atLoss;             ///< called in loss
  std::vector<int64_t> seeds;               ///< every seed a step was given
  int64_t steps = 0;                        ///< calls of train_step
};
extern FakeTraining fake;

/// What the manifest declares.
struct FakeModel {
  int vocabulary = 16;
  bool accumulates = false;   ///< tokens are AxBxT
  bool seeded = false;        ///< takes a dropout seed
  bool halfInference = false; ///< loss and next_logits take bf16 parameters
  bool inference = true;      ///< has loss and next_logits
};

/// Entries `train_step`, `loss`, `next_logits` of parameters `table.weight` [V, V] (normal) and `table.bias` [V]
/// (zeros).
bpt::Manifest fakeTrainingManifest(const FakeModel &model = {});
bpt::Expected<bpt::Program> fakeTrainingProgram(const FakeModel &model = {});
bpt::Expected<bpt::CompiledTraining> fakeCompiledTraining(const FakeModel &model = {});
/// The arguments of the loss graph.
std::vector<bpt::ArgumentInfo> fakeSignature(const FakeModel &model = {});
