// Elementary functions on vectors (or scalars) of f32 or f64 as polynomials: no calls, no tables, the same bits on every run.
#pragma once

#include "Emitter.h"
#include "bpt/IR/BPT.h"

namespace bpt {
/// What the argument of exp2 may be. `Any`: overflow gives inf, underflow 0 (below 2^-126, 2^-1022), NaN stays NaN.
/// `NonPositive`: x <= 0 or -inf, as in softmax; three instructions fewer. `Saturating`: as `Any`, but beyond 2^127 (2^1023) it
/// gives that; two instructions fewer.
enum class ExpRange { Any, NonPositive, Saturating };

/// 2^x. f32: a polynomial of degree 6, relative error 1e-7 (performance.md, B4). f64: 3e-16.
mlir::Value emitExp2(Emitter &e, mlir::Value x, ExpRange range = ExpRange::Any);
/// e^x with Cody-Waite reduction: 1e-7 (f64 4e-16) for every x.
mlir::Value emitExp(Emitter &e, mlir::Value x);
/// Natural logarithm; 0 gives -inf, negative numbers NaN. Denormals are taken for 0 in f32.
mlir::Value emitLog(Emitter &e, mlir::Value x);
mlir::Value emitTanh(Emitter &e, mlir::Value x);
mlir::Value emitErf(Emitter &e, mlir::Value x);
/// 1 / (1 + e^-x)
mlir::Value emitSigmoid(Emitter &e, mlir::Value x);
/// sine and cosine, |x| up to 1e5 (f32), 1e9 (f64) with full accuracy.
std::pair<mlir::Value, mlir::Value> emitSinCos(Emitter &e, mlir::Value x);
/// act(x)
mlir::Value emitActivation(Emitter &e, Activation activation, mlir::Value x);
/// act(x) and its derivative, sharing what they have in common.
std::pair<mlir::Value, mlir::Value> emitActivationGrad(Emitter &e, Activation activation, mlir::Value x);
} // namespace bpt
