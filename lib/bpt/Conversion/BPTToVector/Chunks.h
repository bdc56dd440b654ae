// Kernels that visit their rows in chunks: the workspace, sums over the chunks, products that are added.
#pragma once

#include "Gemm.h"

namespace bpt {

/// A destination that is summed over several chunks of rows. 16-bit destinations are kept in an f32 workspace between the
/// chunks, and rounded once, after the last one.
struct ChunkSum {
  mlir::Value out;            ///< what the op writes; read by the first chunk
  mlir::Value between = {};   ///< f32 sums of the same shape in the workspace; null when `out` itself keeps them
  mlir::Value first = {}, last = {}; ///< i1: this chunk is the first, the last

  /// out[indices] += sum, in the accumulator type. `betweenIndices` where the sums between are addressed differently.
  void add(Emitter &e, mlir::Value sum, mlir::ValueRange indices, mlir::Value mask, mlir::ValueRange betweenIndices = {}) const;
};

/// Takes sections from a workspace of bytes; each begins at a multiple of 64 bytes, as Analysis/TileSizes counts them.
class WorkspaceSections {
public:
  WorkspaceSections(Emitter &e, mlir::Value bytes) : e(e), bytes(bytes), offset(e.index(0)) {}
  /// A matrix [rows, columns] of `element`.
  mlir::Value take(mlir::Value rows, mlir::Value columns, mlir::Type element);
  /// A section with the shape of `like` (rank 1 or 2).
  mlir::Value takeLike(mlir::Value like, mlir::Type element);

private:
  Emitter &e;
  mlir::Value bytes, offset;
};

/// Visits `all` rows in as few chunks of at most `most` rows as there must be, of about equal size.
void emitChunks(Emitter &e, mlir::Value all, int64_t most, llvm::function_ref<void(mlir::Value start, mlir::Value rows)> body);

/// dest[r, c] += sum over k of a(r, k) * b(k, c), r < m and c < n: one phase over blocks of dest. Row r is row `start + r` of
/// `dest.out`, which may have any rank.
void emitAddedProduct(Gemm &gemm, llvm::ArrayRef<std::pair<Matrix, Matrix>> factors, mlir::Value start, mlir::Value m,
                      mlir::Value n, mlir::Value k, const ChunkSum &dest);
/// dest[c] += sum over rows [first, first + count) of matrix(row, c): one phase over columns, rows in order.
void emitAddedColumnSums(Emitter &e, mlir::Value matrix, mlir::Value first, mlir::Value count, const ChunkSum &dest);

} // namespace bpt
