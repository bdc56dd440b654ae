// Blocks and scratch layouts of the attention kernels: what the kernels carve from their scratch is what the plan
// holds.
#pragma once

#include "bpt/Analysis/TargetInfo.h"
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/SizeFormula.h"

namespace bpt {
/// What a kernel for bpt.attention or bpt.attention_grad does beyond the plain product, softmax, product.
struct AttentionFeatures {
  bool bias = false, segments = false, softcap = false, dropout = false;
  bool probabilities = false; ///< a third out (forward), or an operand used instead of scores (gradient)

  static AttentionFeatures get(AttentionOp op);
  static AttentionFeatures get(AttentionGradOp op);
};

/// Blocks of one kernel. Scores are computed transposed: rows are keys, lanes are queries, so that the softmax of a
/// query stays in its lane, keys are broadcast as they are and nothing is reduced across lanes
/// (prototype/cpu/attention).
struct AttentionTiles {
  int64_t lanes;      ///< elements of a vector of the compute type
  int64_t vectors;    ///< vectors of a register tile
  int64_t rows;       ///< rows of a register tile
  int64_t headDim;    ///< D
  int64_t queryBlock; ///< queries of a work item (forward) or of a step (gradient)
  int64_t keyBlock;   ///< keys of a step; a multiple of 48
  int64_t bytes;      ///< of the compute type
  /// Products are made by AMX tiles, from operands that are packed as bf16; `rows` rows of their sums are taken at a time. The head
  /// dim and blocks of keys are padded to `matrixStep`.
  bool isMatrix = false;
  static constexpr int64_t matrixStep = 32;
  /// Work items that share the keys of a head, each with sums of its own: of dquery (gradient), of a block of queries (forward).
  int64_t splits = 1;

  /// Lanes of one panel of transposed queries.
  int64_t getPanel() const { return vectors * lanes; }
  int64_t getPanels() const { return queryBlock / getPanel(); }
  /// D in whole vectors (or AMX tiles): the rows of transposed queries, the row length of accumulators.
  int64_t getPaddedDim() const {
    int64_t unit = isMatrix ? matrixStep : lanes;
    return (headDim + unit - 1) / unit * unit;
  }
  /// Row length of copied blocks: rows of 512 bytes and more get a vector in between, or they meet in few cache sets.
  int64_t getRowLength() const;
  /// Row length of blocks of transposed scores; tiles of `rows` queries may read past the last panel.
  int64_t getScoreLength() const { return queryBlock + lanes; }
  /// Queries in whole register tiles.
  int64_t getPaddedQueries() const { return (queryBlock + rows - 1) / rows * rows; }

  static AttentionTiles getForward(AttentionOp op, const TargetInfo &target);
  /// Blocks of the gradients of query, key and value, and of that of the bias.
  static AttentionTiles getGradient(AttentionGradOp op, const TargetInfo &target);
  static AttentionTiles getBiasGradient(AttentionGradOp op, const TargetInfo &target);
};

/// A scratch layout: each block of elements of the compute type starts at a multiple of 64 bytes.
class ScratchLayout {
public:
  explicit ScratchLayout(int64_t elementBytes) : elementBytes(elementBytes) {}
  /// Reserves `elements` and returns the byte offset of the first.
  int64_t add(int64_t elements) {
    int64_t offset = size;
    size += (elements * elementBytes + 63) / 64 * 64;
    return offset;
  }
  int64_t getBytes() const { return size; }

private:
  int64_t elementBytes, size = 0;
};

/// Byte offsets into the scratch of one work item; -1 for what the kernel does not use. With AMX the operands of products (query,
/// queryRows, dout, doutRows, key, value) are as many elements of bf16 in the order of GemmTiles::isMatrix, and the accumulator is
/// transposed, [paddedDim][queryBlock].
struct AttentionScratch {
  int64_t query = -1;       ///< [panels][paddedDim][panel] transposed queries
  int64_t queryRows = -1;   ///< [queryBlock][rowLength]
  int64_t dout = -1;        ///< [panels][paddedDim][panel] transposed cotangent
  int64_t doutRows = -1;    ///< [queryBlock][rowLength]
  int64_t key = -1;         ///< [keyBlock][rowLength]
  int64_t value = -1;       ///< [keyBlock][rowLength]
  int64_t scores = -1;      ///< [keyBlock][scoreLength] scores, then probabilities; bf16 with AMX
  int64_t gradient = -1;    ///< [keyBlock][scoreLength] gradient of probabilities, then of scores; bf16 with AMX
  int64_t bias = -1;        ///< [keyBlock][scoreLength]
  int64_t keep = -1;        ///< [keyBlock][scoreLength] dropout factors
  int64_t softcap = -1;     ///< [keyBlock][scoreLength] derivative of the softcap
  int64_t sum = -1;         ///< [keyBlock][scoreLength] sum of gradients of scores (dbias)
  int64_t accumulator = -1; ///< [paddedQueries][paddedDim] out, or dquery of a step
  int64_t dkey = -1;        ///< [keyBlock][paddedDim]
  int64_t dvalue = -1;      ///< [keyBlock][paddedDim]
  int64_t maximum = -1;     ///< [queryBlock]
  int64_t total = -1;       ///< [queryBlock] sums of exponentials; delta in the gradient
  int64_t factor = -1;      ///< [queryBlock] rescaling factors; -lse in base 2 in the gradient
  int64_t keyColumns = -1;  ///< AMX: transposed keys, [paddedDim / 32][keyBlock / 32][32][32]
  int64_t pairs = -1;       ///< AMX: pairs of rows of scores or their gradient, [panels][keyBlock / 2][panel][2]
  int64_t products = -1;    ///< AMX: sums of a tile, [32][panel]
  int64_t bytes = 0;        ///< of the whole

  static AttentionScratch getForward(const AttentionTiles &tiles, const AttentionFeatures &features);
  static AttentionScratch getGradient(const AttentionTiles &tiles, const AttentionFeatures &features);
  static AttentionScratch getBiasGradient(const AttentionTiles &tiles, const AttentionFeatures &features);
};

/// Scratch bytes a thread needs for the kernel of the op.
int64_t getAttentionScratchBytes(AttentionOp op, const TargetInfo &target);
int64_t getAttentionScratchBytes(AttentionGradOp op, const TargetInfo &target);
/// How many of the items that share the keys of a head sum dquery in the workspace: all but the first, which adds to
/// the result itself; all where the result has a narrower type than the sum and is rounded once.
int64_t getQuerySums(AttentionGradOp op, const AttentionTiles &tiles);
/// Workspace of bpt.attention: where keys are shared, unscaled sums `[splits][B,H,S][D]`, then maxima and sums of exponentials
/// `[splits][B,H,S]`.
SizeFormula getAttentionWorkspaceBytes(AttentionOp op, const TargetInfo &target);
/// Workspace of bpt.attention_grad: delta `[B,H,S]`, then sums of dquery `[getQuerySums][B,S,H,D]`.
SizeFormula getAttentionWorkspaceBytes(AttentionGradOp op, const TargetInfo &target);
} // namespace bpt
