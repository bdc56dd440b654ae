// Which windows of a token file are trained on, in which order: a function of (seed, index) alone, so that a resumed run
// needs no saved position.
#pragma once

#include <cstdint>

namespace bpt {

/// Shuffles the non-overlapping windows of a token file anew in every epoch.
///
/// A window is `length` inputs and their targets, which are the same tokens one further on. An epoch visits each window once;
/// its windows begin at a phase drawn from [0, length), so that their borders move from epoch to epoch. The order comes from
/// a Feistel permutation: no table, any length, any position in constant time.
class TokenSampler {
public:
  /// `tokens` >= length + 1 is the caller's duty.
  TokenSampler(int64_t tokens, int64_t length, uint64_t seed);

  int64_t windowsPerEpoch() const { return windows; }

  /// Index in the file of the first token of the `index`-th sequence of the run (from 0).
  int64_t start(int64_t index) const;

private:
  int64_t permute(int64_t window, uint64_t key) const;

  int64_t length;
  int64_t windows;
  int64_t phases;
  uint64_t seed;
  int halfBits;
};

} // namespace bpt
