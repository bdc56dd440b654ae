// Packs buffers with known lifetimes into one arena. Used by the runtime when a program starts and by the compiler when
// it reports a plan. Depends on nothing but the standard library and Error.h.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <vector>

namespace bpt {

/// Offsets and sizes in the arena are multiples of this: one cache line, one AVX-512 vector.
inline constexpr int64_t arenaAlignment = 64;

/// A buffer of `bytes` that is alive from `first` to `last`, both inclusive.
struct Interval {
  int64_t first = 0;
  int64_t last = 0;
  int64_t bytes = 0;
};

struct Packing {
  std::vector<int64_t> offsets; ///< of each interval, in the order given; 0 for empty buffers
  int64_t arenaBytes = 0;       ///< one past the last byte used
  int64_t lowerBound = 0;       ///< largest sum of sizes alive at once: no packing is smaller
  int64_t peakTime = 0;         ///< first time at which lowerBound is reached
};

/// Sizes rounded up to arenaAlignment, or an error when that does not fit in 63 bits.
Expected<int64_t> alignedSize(int64_t bytes);

/// How much work a placement is worth.
enum class PackEffort {
  Bound, ///< none: no offsets, the size is the lower bound; for questions
  Full
};

/// Offsets such that buffers alive at the same time do not overlap. Deterministic: depends on the intervals only. Tries
/// several orders with first fit and best fit, then improves the best while a fixed amount of work lasts (10,000
/// intervals: about a second at most); stops at once when the lower bound is reached.
/// Errors: last < first, negative bytes, a total that does not fit in 63 bits.
Expected<Packing> packIntervals(const std::vector<Interval> &intervals, PackEffort effort = PackEffort::Full);

} // namespace bpt
