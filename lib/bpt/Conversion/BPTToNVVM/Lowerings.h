// How each op becomes kernels and their launches: one function per op, called by the pass.
#pragma once

#include "Kernels.h"
#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace bpt::hopper {
// Each replaces the op by launches, or emits an error and fails. Preconditions: memrefs, and no refusal
// (HopperTiles.h).
mlir::LogicalResult lowerAttention(AttentionOp op, KernelLibrary &kernels);
mlir::LogicalResult lowerAttentionGrad(AttentionGradOp op, KernelLibrary &kernels);

// Each replaces the op by launches and returns an empty text, or leaves it as it is for the kernels of other passes and
// returns why: another element type, rows the TMA unit cannot walk, an odd number of columns. Preconditions: memrefs,
// and workspaces as getHopperChunkWorkspaceBytes has them.
/// A contraction (isContraction), together with the zeros before it.
std::string lowerContraction(mlir::linalg::LinalgOp op, KernelLibrary &kernels);
std::string lowerFeedForward(FeedForwardOp op, KernelLibrary &kernels);
std::string lowerFeedForwardGrad(FeedForwardGradOp op, KernelLibrary &kernels);
std::string lowerLinearCrossEntropy(LinearCrossEntropyOp op, KernelLibrary &kernels);
std::string lowerLinearCrossEntropyGrad(LinearCrossEntropyGradOp op, KernelLibrary &kernels);
} // namespace bpt::hopper
