// The arithmetic of a wgmma: plain loops, compiled for several vector units.
#include "WgmmaProduct.h"
#include <cmath>

namespace bpt::emulator {

#if defined(__x86_64__)
#define BPT_VECTOR_VERSIONS __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define BPT_VECTOR_VERSIONS
#endif

using Vector = float __attribute__((vector_size(32)));

static inline __attribute__((always_inline)) Vector load(const float *from) {
  Vector value;
  __builtin_memcpy(&value, from, sizeof value); // not aligned
  return value;
}

/// 4 rows by 16 columns (or 8) of c in registers.
template <int rows, int vectors>
static inline __attribute__((always_inline)) void tile(float *c, const float *a, const float *b, uint32_t n, uint32_t k,
                                                       bool accumulate) {
  Vector sum[rows][vectors];
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v)
      sum[r][v] = accumulate ? load(c + r * n + v * 8) : Vector{};
  for (uint32_t i = 0; i < k; ++i)
    for (int r = 0; r < rows; ++r)
      for (int v = 0; v < vectors; ++v)
        sum[r][v] += a[r * k + i] * load(b + i * n + v * 8);
  for (int r = 0; r < rows; ++r)
    for (int v = 0; v < vectors; ++v)
      __builtin_memcpy(c + r * n + v * 8, &sum[r][v], sizeof(Vector));
}

BPT_VECTOR_VERSIONS void multiply64(float *c, const float *a, const float *b, uint32_t n, uint32_t k, bool accumulate) {
#pragma clang fp contract(fast)
  uint32_t column = 0;
  for (; column + 16 <= n; column += 16)
    for (uint32_t row = 0; row < 64; row += 4)
      tile<4, 2>(c + row * n + column, a + row * k, b + column, n, k, accumulate);
  for (; column < n; column += 8)
    for (uint32_t row = 0; row < 64; row += 4)
      tile<4, 1>(c + row * n + column, a + row * k, b + column, n, k, accumulate);
}

float fromF16(uint16_t bits) {
  uint32_t sign = uint32_t(bits & 0x8000) << 16, exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
  if (exponent == 0) {
    float value = std::ldexp(float(fraction), -24);
    return sign ? -value : value;
  }
  uint32_t wide = sign | (exponent == 31 ? 0x7f800000u : (exponent + 112) << 23) | fraction << 13;
  float value;
  __builtin_memcpy(&value, &wide, 4);
  return value;
}

} // namespace bpt::emulator
