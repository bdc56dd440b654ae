// The learning rate as a function of the step: linear warm-up, then half a cosine down to a minimum.
#pragma once

#include <cstdint>

namespace bpt {

/// lr(s) = peak·s/warmup for s <= warmup, then minimum + (peak - minimum)/2 · (1 + cos(π (s - warmup)/(steps - warmup))).
/// It follows `steps`, the length of the whole run, and knows nothing of where a run stopped or was resumed.
struct LearningRate {
  double peak = 0;
  double minimum = 0;
  int64_t warmup = 0;
  int64_t steps = 0;

  /// The rate of step `step`, counted from 1. Steps beyond `steps` have the minimum.
  double at(int64_t step) const;
};

} // namespace bpt
