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

} // namespace bpt
