// Activations by exp2 and reciprocal: one approximation instruction each.
#include "Activations.h"

#include <cmath>

using namespace mlir;

namespace bpt::hopper {

static constexpr double log2e = 1.4426950408889634;
/// 0.5 (1 + tanh(a (x + b x^3))) = sigmoid(2 a (x + b x^3)).
static constexpr double geluCube = 0.044715;
static double getGeluFactor() { return 2 * std::sqrt(2 / M_PI); }

/// 1 / (1 + e^-x): far below 0, 1 / inf.
static Value emitSigmoid(KernelBuilder &e, Value x) {
  Value exponential = e.exp2(e.mulf(x, e.f32(-log2e)));
  return e.reciprocal(e.addf(exponential, e.f32(1)));
}

static Value emitGeluSigmoid(KernelBuilder &e, Value x, Value square) {
  Value inner = e.fma(square, e.f32(geluCube), e.f32(1));
  return emitSigmoid(e, e.mulf(e.mulf(x, inner), e.f32(getGeluFactor())));
}

/// The normal distribution function, and e^(-x^2 / 2) on the way: Abramowitz and Stegun, 7.1.26, for erfc(|x| / sqrt
/// 2).
static std::array<Value, 2> emitNormal(KernelBuilder &e, Value x) {
  Value size = e.mulf(e.maxf(x, e.negf(x)), e.f32(M_SQRT1_2));
  Value bell = e.exp2(e.mulf(e.mulf(x, x), e.f32(-0.5 * log2e)));
  Value t = e.reciprocal(e.fma(size, e.f32(0.3275911), e.f32(1))), polynomial = e.f32(1.061405429);
  for (double coefficient : {-1.453152027, 1.421413741, -0.284496736, 0.254829592})
    polynomial = e.fma(polynomial, t, e.f32(coefficient));
  Value tail = e.mulf(e.mulf(e.mulf(polynomial, t), bell), e.f32(0.5));
  Value isNegative = e.compareFloat(arith::CmpFPredicate::OLT, x, e.f32(0));
  return {e.select(isNegative, tail, e.subf(e.f32(1), tail)), bell};
}

Value emitActivation(KernelBuilder &e, Activation activation, Value x) {
  switch (activation) {
  case Activation::GeluTanh:
    return e.mulf(x, emitGeluSigmoid(e, x, e.mulf(x, x)));
  case Activation::GeluErf:
    return e.mulf(x, emitNormal(e, x)[0]);
  case Activation::Relu:
    return e.maxf(x, e.f32(0));
  case Activation::Silu:
    return e.mulf(x, emitSigmoid(e, x));
  case Activation::Identity:
    return x;
  }
  llvm_unreachable("all activations are handled");
}

ActivationSlope emitActivationSlope(KernelBuilder &e, Activation activation, Value x) {
  Value one = e.f32(1), zero = e.f32(0);
  switch (activation) {
  case Activation::GeluTanh: {
    // y = x s with s = sigmoid(u): y' = s + x s (1 - s) u'.
    Value square = e.mulf(x, x), s = emitGeluSigmoid(e, x, square), value = e.mulf(x, s);
    Value slopeOfInner = e.mulf(e.fma(square, e.f32(3 * geluCube), one), e.f32(getGeluFactor()));
    return {value, e.fma(e.mulf(value, e.subf(one, s)), slopeOfInner, s)};
  }
  case Activation::GeluErf: {
    auto [normal, bell] = emitNormal(e, x);
    return {e.mulf(x, normal), e.fma(e.mulf(x, bell), e.f32(1 / std::sqrt(2 * M_PI)), normal)};
  }
  case Activation::Relu: {
    Value isPositive = e.compareFloat(arith::CmpFPredicate::OGT, x, zero);
    return {e.maxf(x, zero), e.select(isPositive, one, zero)};
  }
  case Activation::Silu: {
    Value s = emitSigmoid(e, x), value = e.mulf(x, s);
    return {value, e.fma(value, e.subf(one, s), s)};
  }
  case Activation::Identity:
    return {x, one};
  }
  llvm_unreachable("all activations are handled");
}

} // namespace bpt::hopper
