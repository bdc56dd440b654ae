// Batches of training and validation from token files.
#pragma once
#include "bpt/Runtime/TokenFile.h"
#include "bpt/Runtime/TokenSampler.h"
#include "bpt/Runtime/TrainProgram.h"
#include <optional>
#include <string>

namespace bpt {

/// Reads batches: shuffled windows for training, windows in order from the start of the file for validation.
class TrainData {
public:
  /// Opens `path`. Errors: those of TokenFile; exit 1 when the file is shorter than one micro-batch.
  static Expected<TrainData> open(const std::string &path, const std::string &type, std::optional<int64_t> range,
                                  const BatchShape &batch, uint64_t seed);

  const TokenFile &file() const { return tokens; }

  /// Batches of B windows that do not overlap.
  int64_t wholeBatches() const { return (tokens.count() - 1) / batch.context / batch.batch; }

  /// The batch of training step `step` (from 1): accumulate·B windows of T ids each, and the ids one further on.
  Status readStep(int64_t step, int32_t *ids, int32_t *targets) const;
  /// The `index`-th batch in order (from 0, below wholeBatches()): B windows.
  Status readInOrder(int64_t index, int32_t *ids, int32_t *targets) const;

private:
  TrainData(TokenFile file, const BatchShape &batch, uint64_t seed)
      : tokens(std::move(file)), batch(batch), sampler(tokens.count(), batch.context, seed) {}
  Status readWindow(int64_t start, int32_t *ids, int32_t *targets) const;

  TokenFile tokens;
  BatchShape batch;
  TokenSampler sampler;
};

} // namespace bpt
