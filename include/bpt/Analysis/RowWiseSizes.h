// Workspaces of the row-wise kernels: norm gradients, embedding gradient, global norm.
#pragma once

#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/SizeFormula.h"

namespace bpt {
/// Gradients of weights of norms are summed over at most `normBlocks` blocks of at least `normRowsOfBlock` rows each;
/// the workspace holds the blocks' partial sums `[blocks, weight and bias, E]`.
constexpr int64_t normBlocks = 64, normRowsOfBlock = 16;
SizeFormula getNormWorkspaceBytes(LayerNormGradOp op);
SizeFormula getNormWorkspaceBytes(RMSNormGradOp op);

/// Tokens of one id as linked lists: `[V + 2 N + 1]` of i32 for N tokens.
SizeFormula getEmbeddingWorkspaceBytes(EmbeddingGradOp op);

/// Pieces a memory-bound kernel cuts rows x columns into: about `elementsPerItem` elements, parts of at most
/// `columnsPerPiece` columns where rows are longer. Not a function of layout or threads.
constexpr int64_t elementsPerItem = 16384, columnsPerPiece = 65536;
/// One f64 for each piece of each operand.
SizeFormula getGlobalNormWorkspaceBytes(GlobalNormOp op);
} // namespace bpt
