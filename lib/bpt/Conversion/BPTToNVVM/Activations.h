// Activation functions in registers.
#pragma once

#include "KernelBuilder.h"
#include "bpt/IR/BPT.h"

namespace bpt::hopper {

/// act(x), x in f32; a few units in the last place of f32, and 2e-7 of x for erf.
mlir::Value emitActivation(KernelBuilder &e, Activation activation, mlir::Value x);

/// act(x) and its derivative.
struct ActivationSlope {
  mlir::Value value, slope;
};
ActivationSlope emitActivationSlope(KernelBuilder &e, Activation activation, mlir::Value x);

} // namespace bpt::hopper
