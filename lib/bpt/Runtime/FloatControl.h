// What this thread makes of denormals, as compiled code wants it: a product with a denormal takes some processors a
// hundred times as long, and softmax and its gradients are full of them.
#pragma once

#include <cstdint>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace bpt {

/// The control register of this thread's vector arithmetic (x86: MXCSR; elsewhere nothing is changed).
inline uint32_t getFloatControl() {
#if defined(__x86_64__)
  return _mm_getcsr();
#else
  return 0;
#endif
}

/// `getFloatControl()` with denormals taken for zero, as operands and as results.
inline uint32_t getFlushingControl() {
  constexpr uint32_t flushToZero = 0x8000, denormalsAreZero = 0x40; // Intel SDM vol. 1, 10.2.3
  return getFloatControl() | flushToZero | denormalsAreZero;
}

/// Sets the register, and sets it back at the end of the scope.
class FloatControlScope {
public:
  explicit FloatControlScope(uint32_t control) : previous(getFloatControl()) { set(control); }
  ~FloatControlScope() { set(previous); }
  FloatControlScope(const FloatControlScope &) = delete;

private:
  static void set([[maybe_unused]] uint32_t control) {
#if defined(__x86_64__)
    _mm_setcsr(control);
#endif
  }
  uint32_t previous;
};

} // namespace bpt
