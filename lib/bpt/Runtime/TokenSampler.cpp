// Shuffled windows from a Feistel network with cycle walking (Black & Rogaway 2002, "Ciphers with arbitrary finite domains").
#include "bpt/Runtime/TokenSampler.h"

#include <algorithm>

namespace bpt {

// Finaliser of SplitMix64 (Steele, Lea & Flood 2014). Changing it changes the data order of every run.
static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

TokenSampler::TokenSampler(int64_t tokens, int64_t length, uint64_t seed) : length(length), seed(seed) {
  int64_t pairs = tokens - 1; // the last token is a target only
  // One window less where that leaves room for every phase.
  windows = std::max<int64_t>(1, (pairs - length + 1) / length);
  phases = std::min(length, pairs - windows * length + 1);
  halfBits = 1;
  while (halfBits < 31 && (int64_t(1) << (2 * halfBits)) < windows)
    ++halfBits;
}

int64_t TokenSampler::permute(int64_t window, uint64_t key) const {
  const uint64_t mask = (uint64_t(1) << halfBits) - 1;
  uint64_t x = static_cast<uint64_t>(window);
  do {
    uint64_t left = x >> halfBits, right = x & mask;
    for (uint64_t round = 0; round < 6; ++round) {
      uint64_t next = left ^ (mix(key ^ mix(round << 32 | right)) & mask);
      left = right;
      right = next;
    }
    x = left << halfBits | right;
  } while (x >= static_cast<uint64_t>(windows)); // the domain is at most 4 times too large
  return static_cast<int64_t>(x);
}

int64_t TokenSampler::start(int64_t index) const {
  uint64_t epoch = static_cast<uint64_t>(index / windows);
  uint64_t key = mix(seed ^ mix(epoch));
  int64_t phase = static_cast<int64_t>(mix(key ^ 0x7068617365) % static_cast<uint64_t>(phases));
  return phase + permute(index % windows, key) * length;
}

} // namespace bpt
