// Cuts windows out of token files.
#include "TrainData.h"
#include <algorithm>
#include <fmt/format.h>

namespace bpt {

Expected<TrainData> TrainData::open(const std::string &path, const std::string &type, std::optional<int64_t> range,
                                    const BatchShape &batch, uint64_t seed) {
  Expected<TokenFile> file = TokenFile::open(path, type, range);
  if (!file)
    return file.takeError();
  int64_t needed = 0;
  if (__builtin_mul_overflow(batch.batch, batch.context, &needed) || file->count() <= needed)
    return badInput(
        fmt::format("{}: expected more than {} tokens, one batch of {} sequences of {}, but got {}; give a longer "
                    "file, or a smaller --batch or --context",
                    file->path(), needed, batch.batch, batch.context, file->count()));
  return TrainData(file.take(), batch, seed);
}

Status TrainData::readWindow(int64_t start, int32_t *ids, int32_t *targets) const {
  std::vector<int32_t> window(static_cast<size_t>(batch.context) + 1);
  if (Status status = tokens.read(start, batch.context + 1, window.data()); !status)
    return status;
  std::copy(window.begin(), window.end() - 1, ids);
  std::copy(window.begin() + 1, window.end(), targets);
  return {};
}

Status TrainData::readStep(int64_t step, int32_t *ids, int32_t *targets) const {
  int64_t first = (step - 1) * batch.sequences();
  for (int64_t i = 0; i < batch.sequences(); ++i, ids += batch.context, targets += batch.context)
    if (Status status = readWindow(sampler.start(first + i), ids, targets); !status)
      return status;
  return {};
}

Status TrainData::readInOrder(int64_t index, int32_t *ids, int32_t *targets) const {
  for (int64_t i = 0; i < batch.batch; ++i, ids += batch.context, targets += batch.context)
    if (Status status = readWindow((index * batch.batch + i) * batch.context, ids, targets); !status)
      return status;
  return {};
}

} // namespace bpt
