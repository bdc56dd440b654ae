// How each op becomes kernels and their launches: one function per op, called by the pass.
#pragma once

#include "Kernels.h"
#include "bpt/IR/BPT.h"

namespace bpt::hopper {
// Each replaces the op by launches, or emits an error and fails. Preconditions: memrefs, and no refusal
// (HopperTiles.h).
mlir::LogicalResult lowerAttention(AttentionOp op, KernelLibrary &kernels);
mlir::LogicalResult lowerAttentionGrad(AttentionGradOp op, KernelLibrary &kernels);
} // namespace bpt::hopper
