// Hopper kernels of ops that visit their rows in chunks (feed-forward, linear cross-entropy): how many rows at a time,
// what their workspaces hold, and what they do not take.
#pragma once

#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/SizeFormula.h"
#include <string>

namespace bpt {

/// Rows that one partial sum of a bias gradient stands for.
constexpr int64_t columnSumRows = 64;
/// Columns that one maximum and one sum of a row of logits stand for: no tile of logits is narrower.
constexpr int64_t hopperStatisticsColumns = 64;

/// Rows of the hidden that exist at a time in bpt.feed_forward and its gradient, a multiple of 128: the op's schedule
/// (`rows`), or as many as keep the hidden in the L2 cache, in the gradient enough to hide the traffic of weight
/// gradients.
int64_t getHopperFeedForwardRows(mlir::Operation *op);
/// Rows whose logits exist at a time in bpt.linear_cross_entropy and its gradient, a multiple of 128.
int64_t getHopperLogitsRows(mlir::Operation *op);

/// Why the op has no Hopper kernels; empty when it has. What only memrefs tell (strides) is not asked here.
std::string getHopperRefusal(FeedForwardOp op);
std::string getHopperRefusal(FeedForwardGradOp op);
std::string getHopperRefusal(LinearCrossEntropyOp op);
std::string getHopperRefusal(LinearCrossEntropyGradOp op);

/// Bytes of workspace of these ops on Hopper, in the numbering of dims of getWorkspaceBytes (TileSizes.h); 0 for others
/// and for what is refused. Sections begin at multiples of 128 bytes.
SizeFormula getHopperChunkWorkspaceBytes(mlir::Operation *op);

} // namespace bpt
