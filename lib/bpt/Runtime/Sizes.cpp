// Parses and prints byte counts.
#include "bpt/Runtime/Sizes.h"
#include <array>
#include <charconv>
#include <fmt/format.h>
#include <utility>

namespace bpt {

std::string formatBytes(int64_t bytes) {
  static constexpr std::array<const char *, 6> units = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  if (bytes < 1024 && bytes > -1024)
    return fmt::format("{} B", bytes);
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  // 1023.995 would print as 1024.00.
  while ((value >= 1023.995 || value <= -1023.995) && unit + 1 < units.size()) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.2f} {}", value, units[unit]);
}

Expected<int64_t> parseBytes(std::string_view text) {
  static constexpr std::array<std::pair<std::string_view, int64_t>, 15> units = {{{"", 1},
                                                                                  {"B", 1},
                                                                                  {"kB", 1000},
                                                                                  {"MB", 1000000},
                                                                                  {"GB", 1000000000},
                                                                                  {"TB", 1000000000000},
                                                                                  {"KiB", 1LL << 10},
                                                                                  {"MiB", 1LL << 20},
                                                                                  {"GiB", 1LL << 30},
                                                                                  {"TiB", 1LL << 40},
                                                                                  {"k", 1LL << 10},
                                                                                  {"m", 1LL << 20},
                                                                                  {"g", 1LL << 30},
                                                                                  {"t", 1LL << 40},
                                                                                  {"K", 1LL << 10}}};
  Error wrong =
      usageError(fmt::format("expected a size such as 2000000, 512MiB, 1.5GB or 2g, but got '{}'", text.substr(0, 40)));
  size_t split = text.find_first_not_of("0123456789.");
  std::string_view number = text.substr(0, split);
  std::string_view unit = split == std::string_view::npos ? "" : text.substr(split);
  if (!unit.empty() && unit.front() == ' ')
    unit.remove_prefix(1);
  int64_t factor = 0;
  for (auto [name, value] : units)
    if (name == unit)
      factor = value;
  if (number.empty() || !factor)
    return wrong;

  // Whole numbers stay exact; a double would lose bytes beyond 2^53.
  int64_t whole = 0;
  const char *end = number.data() + number.size();
  auto [stop, failure] = std::from_chars(number.data(), end, whole);
  int64_t bytes;
  if (failure == std::errc() && stop == end) {
    if (__builtin_mul_overflow(whole, factor, &bytes))
      return wrong;
    return bytes;
  }
  double fraction = 0;
  auto [fractionStop, fractionFailure] = std::from_chars(number.data(), end, fraction);
  if (fractionFailure != std::errc() || fractionStop != end || fraction * static_cast<double>(factor) >= 0x1p63)
    return wrong;
  return static_cast<int64_t>(fraction * static_cast<double>(factor));
}

} // namespace bpt
