// Tile sizes of the CPU kernels, the scratch each thread needs and the workspaces the threads share: known before kernels
// exist, so that the plan can hold them. Everything here is a function of shapes, attributes and target; threads never enter.
#pragma once

#include "bpt/Analysis/TargetInfo.h"
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/SizeFormula.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/IR/Operation.h"

namespace bpt {
/// The register tile and cache blocks of a matrix product (performance.md, B2 and E3).
struct GemmTiles {
  /// Rows and vectors of the register tile: rows * vectors accumulators, `vectors` operands and one broadcast fit the registers.
  int64_t rows, vectors;
  /// Lanes of a vector of accumulators; columns of a packed panel = vectors * lanes.
  int64_t lanes;
  /// Largest block of C a work item owns (blockRows a multiple of `rows`, blockColumns of the panel), and the depth
  /// between two additions into C. The depth fixes the order of sums: it depends on the instruction set only.
  int64_t blockRows, blockColumns, blockDepth;
  /// Bytes of a packed element, and what packed depths and the rows of a tile that is cut are multiples of.
  int64_t packedBytes, depthStep, rowStep = 1;
  /// The register tile is 2 x 2 tiles of AMX. Operands are packed as bf16, A as [tile][depth / 32][row][32], panels of
  /// B as [depth / 2][column][2].
  bool isMatrix = false;

  int64_t getPanel() const { return vectors * lanes; }
  /// Elements from one tile of a packed block of A to the next: [blockDepth][rows], and room for the end of the last
  /// vector.
  int64_t getPackedTile() const { return rows * blockDepth + (isMatrix ? 0 : lanes > 16 ? lanes : 16); }
  /// `accumulator` is f32 or f64. `operand`: the element type of both operands, where it is known.
  static GemmTiles get(mlir::Type accumulator, const TargetInfo &target, mlir::Type operand = {});
  /// Scratch of one work item: the block of C (several products share it: each has fewer columns), one packed block of A and
  /// one panel of B.
  int64_t getScratchBytes(mlir::Type accumulator) const;
};

/// The element type of both operands of a contraction as its product sees them: f64 if any operand is, bf16 if both
/// are, else f32.
mlir::Type getProductOperandType(mlir::linalg::LinalgOp contraction);

/// When products pack their right operand [depth, columns] once for all work items, into scratch the threads share. Where it is small,
/// or few blocks of rows use it, each item packs what it needs. A function of sizes only.
struct SharedPacking {
  /// Most bytes of the scratch: so many columns are packed at a time, for all products that share the columns.
  static constexpr int64_t mostBytes = 8 << 20;
  /// Fewer bytes stay in a cache anyway, and memory counts where operands are so small.
  static constexpr int64_t leastBytes = 1 << 20;
  /// With fewer columns at a time, blocks of A would be packed too often; with fewer blocks of rows nothing is gained.
  static constexpr int64_t leastColumns = 512, leastRowBlocks = 4;
  /// Bytes of a column of a part: products with a greater depth are taken in parts where their destination can keep the sums.
  static constexpr int64_t partBytes = 16 << 10;
  /// The depth of a part.
  static int64_t getDepthPart(mlir::Type accumulator) { return partBytes * 8 / accumulator.getIntOrFloatBitWidth(); }
};

/// An integer of the op's `schedule` attribute, or nothing.
std::optional<int64_t> getScheduleEntry(mlir::Operation *op, llvm::StringRef name);

/// Scratch bytes of each thread that the kernel of `op` needs at most; 0 for ops that have no kernel. Ops on tensors and
/// memrefs give the same number.
int64_t getThreadScratchBytes(mlir::Operation *op, const TargetInfo &target);

/// Bytes of scratch that all threads of the kernel of `op` share at most; 0 where it needs none.
int64_t getSharedScratchBytes(mlir::Operation *op, const TargetInfo &target);

/// Bytes of the workspace all threads of the kernel of `op` share, as a formula over the dynamic dims of the operands of
/// `op` (d0, d1, .. count the dynamic dims of shaped operands in order, a workspace operand not counted); 0 when the op
/// needs none.
SizeFormula getWorkspaceBytes(mlir::Operation *op, const TargetInfo &target);

/// Sections of a workspace begin at multiples of a cache line.
inline SizeFormula alignSection(const SizeFormula &bytes) { return ceilDiv(bytes, 64) * 64; }

/// The dim `dim` of `operand` of `op` in the numbering of `getWorkspaceBytes`.
SizeFormula getOperandDim(mlir::Operation *op, mlir::Value operand, int64_t dim);
/// The product of the leading dims (all but the last `inner`) of `operand`.
SizeFormula getOperandRows(mlir::Operation *op, mlir::Value operand, int64_t inner = 1);

/// Rows of the hidden that exist at a time in bpt.feed_forward and its gradient (`hidden` columns of `bytes` bytes each).
int64_t getFeedForwardRows(mlir::Operation *op, const TargetInfo &target);

/// Rows and columns of the block of logits that exists at a time in bpt.linear_cross_entropy_grad. Where it computes the loss as
/// well, the rows of which all logits exist, and the columns that one maximum and one sum stand for.
struct LogitsBlock {
  int64_t rows, columns;
};
LogitsBlock getLogitsBlock(mlir::Operation *op, const TargetInfo &target);
/// Whether logits of a block of rows over the whole vocabulary are within bounds: 2 Mi elements (8 MiB of f32), or half as many as the
/// weight has.
bool fitsWholeLogits(LinearCrossEntropyGradOp op);
} // namespace bpt
