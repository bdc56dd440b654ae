// Checkpoints of a training run: folders `step-N` that are complete or absent, verified when they are read.
#pragma once
#include "bpt/Runtime/Tensor.h"
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bpt {

/// What a checkpoint says besides its tensors. Everything in it is a function of model, numerical configuration, seed
/// and step, so that equal runs have equal bytes.
struct CheckpointState {
  int64_t step = 0;
  int64_t seed = 0;
  std::string configuration = "{}"; ///< JSON object: see numericalConfiguration()
};

/// A complete checkpoint on disk.
struct CheckpointInfo {
  CheckpointState state;
  std::string path;
};

/// Writes `<folder>/step-N` with `model.safetensors`, `optimizer.safetensors` and `state.json` (which holds sizes and
/// XXH64 of the others and of itself). Everything is written and synchronised in a hidden folder that is then renamed:
/// after any crash the checkpoint is complete or absent, and others are untouched. A damaged `step-N` in its place is
/// replaced. Errors: exit 5; nothing of this checkpoint is left behind then.
Status writeCheckpoint(const std::string &folder, const CheckpointState &state, const std::vector<NamedTensor> &model,
                       const std::vector<NamedTensor> &optimizer);

/// Reads state.json of the checkpoint at `path` and, with `contents`, every byte of its files. Errors: exit 1 says what
/// is damaged; exit 5 is a failing read.
Expected<CheckpointInfo> verifyCheckpoint(const std::string &path, bool contents);

/// The outcome of looking for a checkpoint.
struct NewestCheckpoint {
  std::optional<CheckpointInfo> checkpoint;
  std::vector<std::string> skipped; ///< why newer ones were passed over, one message each
};

/// The complete checkpoint in `folder` with the highest step, if any. `contents` as in verifyCheckpoint.
Expected<NewestCheckpoint> findNewestCheckpoint(const std::string &folder, bool contents);

/// Reads the tensors of `checkpoint` into the buffers of `model` and `optimizer`. Errors: exit 1 when names, types or
/// shapes are not these, with both sides.
Status loadCheckpoint(const CheckpointInfo &checkpoint, const std::vector<NamedTensor> &model,
                      const std::vector<NamedTensor> &optimizer);

/// The steps of the folders `step-N` in `folder`, ascending; whether they are complete is not looked at.
Expected<std::vector<int64_t>> listCheckpoints(const std::string &folder);

/// Removes `step-N`: it disappears at once, then its space is freed.
Status removeCheckpoint(const std::string &folder, int64_t step);

/// Removes all but the `keep` newest up to `step` (0: keeps all), and damaged ones beyond `step`.
Status pruneCheckpoints(const std::string &folder, int64_t keep, int64_t step);

/// Removes what an interrupted write or removal left behind.
Status removeLeftovers(const std::string &folder);

} // namespace bpt
