// The arithmetic of a wgmma: f32 panels and their product.
#pragma once
#include <cstdint>

namespace bpt::emulator {

/// c[64][n] (+)= a[64][k] * b[k][n], all dense; `accumulate` false overwrites c. n is a multiple of 8, k is 8 or 16.
void multiply64(float *c, const float *a, const float *b, uint32_t n, uint32_t k, bool accumulate);

/// f32 from 16 bits.
inline float fromBF16(uint16_t bits) {
  uint32_t wide = uint32_t(bits) << 16;
  float value;
  __builtin_memcpy(&value, &wide, 4);
  return value;
}
float fromF16(uint16_t bits);
/// tf32 as the tensor cores read it: the low 13 bits of the f32 are ignored.
inline float fromTF32(uint32_t bits) {
  bits &= ~0x1fffu;
  float value;
  __builtin_memcpy(&value, &bits, 4);
  return value;
}

} // namespace bpt::emulator
