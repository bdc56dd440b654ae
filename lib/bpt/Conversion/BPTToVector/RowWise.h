// Pieces that kernels working row by row have in common: items of several rows, sums over the columns of a row.
#pragma once

#include "Kernels.h"
#include "bpt/Analysis/RowWiseSizes.h"
#include <functional>

namespace bpt {

/// One parallel phase over all rows of `columns` columns, several rows an item: body(row).
void parallelRows(Emitter &e, mlir::Value rows, mlir::Value columns, llvm::function_ref<void(mlir::Value row)> body);

/// Rows x columns cut into the pieces of Analysis/RowWiseSizes.h.
struct Pieces {
  Pieces(Emitter &e, mlir::Value rows, mlir::Value columns);
  mlir::Value count;
  /// Visits the rows of a piece: body(row, column begin, column end).
  void visit(Emitter &e, mlir::Value piece, llvm::function_ref<void(mlir::Value, mlir::Value, mlir::Value)> body) const;

private:
  mlir::Value rows, columns, rowsPerPiece, piecesPerRow;
};

/// Fetches the row after `row`, the last one after the last, while this one is worked on: the function it returns does so for one
/// vector of columns.
std::function<void(mlir::Value column)> fetchNextRow(Emitter &e, mlir::Value memref, mlir::Value row, mlir::Value rows);

/// Emits a kernel that writes `out` once. `streams` is true where its stores of whole vectors should go past the caches (Emitter::stream):
/// where `out` is larger than caches, a line would be read from memory only to be overwritten, and all its rows are whole vectors at
/// aligned addresses. Both are asked when it runs.
void emitStreaming(Emitter &e, mlir::Value out, llvm::function_ref<void(bool streams)> emit);

/// Sums of `count` terms over columns [begin, end): scalars. `terms` gets a column and a mask (null for full vectors);
/// its terms in lanes outside the mask are not counted. Four partial sums of vectors hide the latency of addition;
/// their order is fixed.
llvm::SmallVector<mlir::Value>
sumColumns(Emitter &e, mlir::Value begin, mlir::Value end, unsigned count,
           llvm::function_ref<llvm::SmallVector<mlir::Value>(mlir::Value column, mlir::Value mask)> terms);

/// `leading` followed by `column`.
llvm::SmallVector<mlir::Value> at(llvm::ArrayRef<mlir::Value> leading, mlir::Value column);

/// Visits columns [begin, end) a vector at a time, the last one masked.
void visitColumns(Emitter &e, mlir::Value begin, mlir::Value end,
                  llvm::function_ref<void(mlir::Value column, mlir::Value mask)> body);

/// 0-d memrefs as memrefs of one element; others as they are.
mlir::Value expandScalar(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value memref);
} // namespace bpt
