// Pieces that the kernels of bpt.linear_cross_entropy and its gradient share.
#pragma once

#include "Gemm.h"

namespace bpt {

/// The targets of the rows of a batch.
struct Targets {
  Emitter &e;
  mlir::Value memref;
  int64_t ignoreIndex;
  mlir::Value vocabulary;

  /// Whether row `row` counts (i1), and its column: clamped to the vocabulary, so that no target reads out of bounds.
  std::pair<mlir::Value, mlir::Value> get(mlir::Value row) const;
  /// The number of rows that count as a float of the accumulator type: `given` (0-d i64) if not null, else counted.
  mlir::Value count(mlir::Value rows, mlir::Value given) const;
};

/// Indices of position `row` of a memref of any rank, in row-major order.
llvm::SmallVector<mlir::Value> getPosition(Emitter &e, mlir::Value memref, mlir::Value row);

class WorkspaceSections;

/// The forward of a chunk of rows: blocks of logits, of each row a maximum and a sum of exponentials for each block of columns,
/// and from these lse and the loss.
class LogitStatistics {
public:
  /// `columns`: of a block of logits.
  LogitStatistics(Gemm &gemm, mlir::Value input, mlir::Value weight, bool transposed, const Targets &targets, int64_t columns);

  /// Takes [capacity, parts] twice and [1, all] from the workspace.
  void takeSections(WorkspaceSections &sections, mlir::Value capacity, mlir::Value all);
  /// Statistics of rows [start, start + rows). Logits go to `kept` [rows, V] if that is not null.
  void emitBlocks(mlir::Value start, mlir::Value rows, mlir::Value kept = {});
  /// lse of these rows, to position start + row of `lse`: the parts of each row, in their order.
  void emitLse(mlir::Value start, mlir::Value rows, mlir::Value lse);
  /// The mean over the rows that count, summed in f64 so that it is exact to the last place of f32 for any batch.
  void emitLoss(mlir::Value all, mlir::Value lse, mlir::Value validCount, mlir::Value loss);

private:
  void emitRow(mlir::Value logits, mlir::Value row, mlir::Value offset, mlir::Value position, mlir::Value local, mlir::Value part);

  Emitter &e;
  Gemm &gemm;
  mlir::Value input, weight;
  bool transposed;
  Targets targets;
  int64_t blockColumns;
  mlir::Value parts;                     ///< blocks of columns
  mlir::Value maxima, sums, targetLogit; ///< in the workspace
};

} // namespace bpt
