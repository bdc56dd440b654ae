// Pieces of bpt.linear_cross_entropy and its gradient: ends of tiles of logits, and kernels that work row by row.
#pragma once

#include "Chunks.h"
#include "bpt/IR/BPT.h"

namespace bpt::hopper {

/// The targets of rows inside a kernel.
struct TargetColumns {
  StridedArgument argument; ///< i32 [outer, inner]
  int64_t ignoreIndex;

  /// The target of a row, moved into the vocabulary, so that it addresses a column; whether the row counts (i1).
  struct Target {
    mlir::Value column, counts;
  };
  Target load(KernelBuilder &e, mlir::ValueRange row, mlir::Value vocabulary) const;
};

/// f32 `[outer, inner, parts]` and `[outer, inner]`: what the tiles of a chunk leave of its logits. A part is
/// `hopperStatisticsColumns` columns.
struct LogitStatistics {
  mlir::Value maxima, sums; ///< of each part; sums of exp(logit - maximum)
  mlir::Value targetLogit;
  mlir::Value lse;
};

/// What of the op all kernels want to know.
struct CrossEntropyRows {
  mlir::Value targets;    ///< [outer, inner]
  mlir::Value vocabulary; ///< index
  int64_t ignoreIndex;
};

/// Statistics of the logits of rows [outer, inner, E]; `kept` not null: 16-bit [outer, inner, padded vocabulary] gets
/// exp(logit - maximum of the part), zeros beyond the vocabulary.
void launchStatistics(KernelLibrary &kernels, mlir::ImplicitLocOpBuilder &b, const GemmProblem &logits,
                      const CrossEntropyRows &rows, const LogitStatistics &statistics, mlir::Value kept);
/// dlogits = scale * (exp(logit - lse) - [target]) of rows that count, else 0. `scale`: f32 [1].
void launchDLogits(KernelLibrary &kernels, mlir::ImplicitLocOpBuilder &b, const GemmProblem &logits,
                   const CrossEntropyRows &rows, mlir::Value lse, mlir::Value scale, mlir::Value dlogits);

/// lse of each row from its parts.
void launchLse(KernelLibrary &kernels, mlir::ImplicitLocOpBuilder &b, const LogitStatistics &statistics);
/// What launchStatistics kept becomes dlogits in place.
void launchRescale(KernelLibrary &kernels, mlir::ImplicitLocOpBuilder &b, const CrossEntropyRows &rows,
                   const LogitStatistics &statistics, mlir::Value scale, mlir::Value kept);
/// loss = sum of lse - target logit over the rows that count / their number, which is `validCount` (0-d i64) if not
/// null.
void launchLoss(KernelLibrary &kernels, mlir::ImplicitLocOpBuilder &b, const CrossEntropyRows &rows, mlir::Value lse,
                mlir::Value targetLogit, mlir::Value validCount, mlir::Value loss);
/// scale = dloss / number of rows that count.
void launchScale(KernelLibrary &kernels, mlir::ImplicitLocOpBuilder &b, const CrossEntropyRows &rows, mlir::Value dloss,
                 mlir::Value validCount, mlir::Value scale);

} // namespace bpt::hopper
