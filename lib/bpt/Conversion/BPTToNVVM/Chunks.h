// Host code of ops that visit their rows in chunks: loops around launches, and sums over the chunks.
#pragma once

#include "GemmEpilogues.h"
#include "Operands.h"

namespace bpt::hopper {

/// A box of the rows `[outer, inner]` of a RowSpace; all index values.
struct RowChunk {
  mlir::Value outerStart, outer, innerStart, inner;
  mlir::Value isFirst, isLast; ///< 0 or 1

  /// The chunk of a view `[outer, inner, ..]` of all rows.
  mlir::Value of(mlir::ImplicitLocOpBuilder &b, mlir::Value view) const {
    return slice(b, view, {outerStart, innerStart}, {outer, inner});
  }
};

/// Loops over the rows of `view` in chunks of at most `most` rows (a multiple of 128), about equal; `b` stands in the
/// loop while `body` runs. One chunk needs no loop where that is known.
void visitChunks(mlir::ImplicitLocOpBuilder &b, mlir::Value view, int64_t most,
                 llvm::function_ref<void(const RowChunk &chunk)> body);

/// Rows of the largest chunk, index.
mlir::Value getChunkCapacity(mlir::ImplicitLocOpBuilder &b, mlir::Value view, int64_t most);
/// 1 where there are several chunks, else 0; index.
mlir::Value haveSeveralChunks(mlir::ImplicitLocOpBuilder &b, mlir::Value view, int64_t most);

/// A matrix or vector that every chunk adds to: `out` itself where it is f32, else f32 sums in a workspace until the
/// last chunk.
struct ChunkSum {
  mlir::Value out, between;
};

/// Takes the f32 sums of `out` from a workspace; none for an f32 out, an empty section for a single chunk.
ChunkSum takeChunkSum(mlir::ImplicitLocOpBuilder &b, WorkspaceSections &sections, mlir::Value out,
                      mlir::Value severalChunks);

/// dest += A B as one launch in a chunk.
void launchSum(KernelLibrary &kernels, mlir::ImplicitLocOpBuilder &b, llvm::StringRef name, const GemmProblem &problem,
               const ChunkSum &dest, const RowChunk &chunk);

/// to += A B, rows of their own in each chunk: 16 bits or f32.
void launchAdded(KernelLibrary &kernels, mlir::ImplicitLocOpBuilder &b, const GemmProblem &problem, mlir::Value to);

/// Sums over the rows of `[outer, inner, columns]` (16 bits) are added to `dest` `[columns]`. `partial`: f32
/// `[getColumnSumPieces(rows), columns]`.
void launchColumnSums(KernelLibrary &kernels, mlir::ImplicitLocOpBuilder &b, mlir::Value matrix, mlir::Value partial,
                      const ChunkSum &dest, const RowChunk &chunk);

} // namespace bpt::hopper
