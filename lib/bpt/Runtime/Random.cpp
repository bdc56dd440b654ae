// Philox4x32-10 and the fills built on it.
#include "bpt/Runtime/Random.h"
#include "bpt/Runtime/Threads.h"
#include <algorithm>
#include <cmath>

namespace bpt {

namespace {

// Multipliers and key increments of Philox4x32 (Salmon et al. 2011, table 2).
constexpr uint64_t multiplier0 = 0xD2511F53;
constexpr uint64_t multiplier1 = 0xCD9E8D57;
constexpr uint32_t weyl0 = 0x9E3779B9;
constexpr uint32_t weyl1 = 0xBB67AE85;

constexpr double twoPi = 6.283185307179586476925;
constexpr int64_t elementsPerTask = 1 << 16;

std::array<uint32_t, 4> bitsOfBlock(uint64_t block, uint64_t seed, uint32_t stream) {
  return philox4x32({static_cast<uint32_t>(block), static_cast<uint32_t>(block >> 32), stream, 0},
                    {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)});
}

/// Two normal values from two words (Box-Muller). The first uniform is in (0, 1], so that its logarithm is finite.
void normalPair(uint32_t a, uint32_t b, double *out) {
  double radius = std::sqrt(-2.0 * std::log((a + 1.0) * 0x1p-32));
  double angle = twoPi * (b * 0x1p-32);
  out[0] = radius * std::cos(angle);
  out[1] = radius * std::sin(angle);
}

/// Calls fill(block, count) for each block of four elements; count < 4 in the last one.
template <typename Fill> void forEachBlock(int64_t elements, const Fill &fill) {
  int64_t tasks = (elements + elementsPerTask - 1) / elementsPerTask;
  ThreadPool(availableProcessors()).parallelFor(tasks, [&](int64_t task, int) {
    int64_t end = std::min(elements, (task + 1) * elementsPerTask);
    for (int64_t element = task * elementsPerTask; element < end; element += 4)
      fill(element / 4, std::min<int64_t>(4, end - element));
  });
}

} // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    uint64_t product0 = multiplier0 * counter[0];
    uint64_t product1 = multiplier1 * counter[2];
    counter = {static_cast<uint32_t>(product1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(product1),
               static_cast<uint32_t>(product0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(product0)};
    key[0] += weyl0;
    key[1] += weyl1;
  }
  return counter;
}

void fillNormal(const Tensor &tensor, uint64_t seed, uint32_t stream, double std) {
  forEachBlock(tensor.elements(), [&](int64_t block, int64_t count) {
    std::array<uint32_t, 4> bits = bitsOfBlock(static_cast<uint64_t>(block), seed, stream);
    double values[4];
    normalPair(bits[0], bits[1], values);
    normalPair(bits[2], bits[3], values + 2);
    for (int64_t i = 0; i < count; ++i)
      tensor.set(block * 4 + i, std * values[i]);
  });
}

void fillIntegers(const Tensor &tensor, uint64_t seed, uint32_t stream, int64_t range) {
  forEachBlock(tensor.elements(), [&](int64_t block, int64_t count) {
    std::array<uint32_t, 4> bits = bitsOfBlock(static_cast<uint64_t>(block), seed, stream);
    for (int64_t i = 0; i < count; ++i) {
      // The high half of a product maps 32 bits onto [0, range) without a division; the bias is at most range / 2^32.
      auto value = static_cast<int64_t>(
          (static_cast<unsigned __int128>(bits[static_cast<size_t>(i)]) * static_cast<uint64_t>(range)) >> 32);
      if (tensor.type() == DataType::I64)
        tensor.as<int64_t>()[block * 4 + i] = value;
      else
        tensor.as<int32_t>()[block * 4 + i] = static_cast<int32_t>(std::min<int64_t>(value, INT32_MAX));
    }
  });
}

} // namespace bpt
