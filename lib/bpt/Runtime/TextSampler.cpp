// Sampling from logits with a counter-based generator: the same seed, step and model give the same text.
#include "bpt/Runtime/TextSampler.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Random.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>

namespace bpt {

static constexpr int64_t byteRange = 256;

Expected<std::vector<int32_t>> parsePrompt(std::string_view text, std::optional<int64_t> range) {
  std::vector<int32_t> ids;
  if (range == byteRange) {
    for (char c : text.empty() ? std::string_view("\n") : text)
      ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  if (text.empty())
    text = "0";
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    int32_t id = 0;
    auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), id);
    if (error != std::errc() || end != part.data() + part.size() || id < 0 || (range && id >= *range))
      return usageError(fmt::format("--sample-prompt: expected token ids{} separated by commas, but got {}",
                                    range ? fmt::format(" below {}", *range) : "", inQuotes(part)));
    ids.push_back(id);
  }
  return ids;
}

/// A uniform number in [0, 1).
static double uniform(const SampleOptions &options, int64_t index) {
  // The last word keeps these numbers apart from those of initial parameters, which have 0 there.
  auto bits = philox4x32({static_cast<uint32_t>(index), 0, options.stream, 1},
                         {static_cast<uint32_t>(options.seed), static_cast<uint32_t>(options.seed >> 32)});
  return bits[0] * 0x1p-32;
}

static int32_t choose(const std::vector<float> &logits, double temperature, double u) {
  auto largest = std::max_element(logits.begin(), logits.end());
  if (temperature <= 0)
    return static_cast<int32_t>(largest - logits.begin());
  std::vector<double> weights;
  double sum = 0;
  for (float logit : logits) {
    weights.push_back(std::exp((static_cast<double>(logit) - *largest) / temperature));
    sum += weights.back();
  }
  double left = u * sum;
  for (size_t i = 0; i < weights.size(); ++i)
    if ((left -= weights[i]) < 0)
      return static_cast<int32_t>(i);
  return static_cast<int32_t>(largest - logits.begin()); // rounding, or logits that are no numbers
}

Expected<std::vector<int32_t>> sampleTokens(std::vector<int32_t> ids, const SampleOptions &options,
                                            const NextLogits &logits, const std::function<bool()> &stop) {
  for (int64_t i = 0; i < options.count && !stop(); ++i) {
    auto length = std::min<int64_t>(options.context, static_cast<int64_t>(ids.size()));
    Expected<std::vector<float>> next = logits({ids.end() - length, ids.end()}, length - 1);
    if (!next)
      return next.takeError();
    if (next->empty())
      return badInput("expected logits of the next token, but got none");
    ids.push_back(choose(*next, options.temperature, uniform(options, i)));
  }
  return ids;
}

/// Length of the valid UTF-8 sequence at `p`, of at most `left` bytes; 0 when there is none.
static size_t utf8Length(const unsigned char *p, size_t left) {
  size_t length = *p < 0x80 ? 1 : (*p & 0xe0) == 0xc0 ? 2 : (*p & 0xf0) == 0xe0 ? 3 : (*p & 0xf8) == 0xf0 ? 4 : 0;
  if (length == 0 || length > left || *p == 0xc0 || *p == 0xc1 || *p > 0xf4)
    return 0;
  for (size_t i = 1; i < length; ++i)
    if ((p[i] & 0xc0) != 0x80)
      return 0;
  // Overlong forms, surrogates, beyond U+10FFFF; and U+0080..9F, which terminals take for control characters.
  bool bad = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xed && p[1] > 0x9f) || (*p == 0xf0 && p[1] < 0x90) ||
             (*p == 0xf4 && p[1] > 0x8f) || (*p == 0xc2 && p[1] < 0xa0);
  return bad ? 0 : length;
}

std::string showTokens(const std::vector<int32_t> &ids, std::optional<int64_t> range) {
  if (range != byteRange)
    return fmt::format("{}", fmt::join(ids, ","));
  std::string bytes, text;
  for (int32_t id : ids)
    bytes += static_cast<char>(id);
  for (size_t i = 0; i < bytes.size();) {
    auto *p = reinterpret_cast<const unsigned char *>(bytes.data()) + i;
    size_t length = utf8Length(p, bytes.size() - i);
    bool control = length == 1 && (*p < 0x20 || *p == 0x7f) && *p != '\n' && *p != '\t';
    if (length == 0 || control) {
      text += fmt::format("\\x{:02x}", *p);
      ++i;
    } else {
      text.append(bytes, i, length);
      i += length;
    }
  }
  return text;
}

} // namespace bpt
