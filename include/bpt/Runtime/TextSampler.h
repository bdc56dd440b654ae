// Continues a prompt token by token, to see during training what a model has learned.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bpt {

/// Logits of the token after position `position` of `window`.
using NextLogits = std::function<Expected<std::vector<float>>(const std::vector<int32_t> &window, int64_t position)>;

struct SampleOptions {
  int64_t count = 200;      ///< tokens to add
  double temperature = 0.8; ///< 0: the likeliest token
  int64_t context = 1;      ///< tokens a window may have; longer texts are continued from their end
  uint64_t seed = 0;        ///< with `stream` it determines the sample
  uint32_t stream = 0;
};

/// Ids of a prompt: the bytes of `text` where the vocabulary is 256 bytes, else ids separated by commas. An empty text
/// is a line break, or id 0. Errors: exit 2 with the part that is no id of the vocabulary.
Expected<std::vector<int32_t>> parsePrompt(std::string_view text, std::optional<int64_t> range);

/// `prompt` followed by up to `options.count` sampled tokens; fewer when `stop` says so between tokens.
Expected<std::vector<int32_t>> sampleTokens(std::vector<int32_t> prompt, const SampleOptions &options,
                                            const NextLogits &logits, const std::function<bool()> &stop);

/// Text where the vocabulary is 256 bytes (what is no valid UTF-8 or a control character appears as \xNN), else the
/// ids.
std::string showTokens(const std::vector<int32_t> &ids, std::optional<int64_t> range);

} // namespace bpt
