// The kernels before and after the main kernel of bpt.attention_grad: one warp for each row of a head.
#pragma once

#include "Kernels.h"

namespace bpt::hopper {

/// Sizes of the row kernels, and their arguments of i32: batch and queries.
struct RowSizes {
  int64_t heads, headDim, paddedDim, queryBlock;
  unsigned batch, queries;
};

/// Threads of a block of the row kernels: a warp takes a row.
constexpr int64_t rowKernelThreads = 256;

/// Arguments of the kernel before, by number.
struct PrepareArguments {
  StridedArgument dout, out, lse;
  std::optional<StridedArgument> dlse;
  unsigned negatedLse, negatedDelta, querySums; ///< of the workspace
};

/// For every row [B,H,S'], S' = S in whole query blocks: negatedLse = -lse / ln 2, negatedDelta = dlse - sum_d dout *
/// out, and zeros for the sums of dquery. Rows that saw nothing or do not exist get -inf and 0: their probabilities are
/// 2^-inf.
void emitPrepareRows(KernelBuilder &e, const RowSizes &sizes, const PrepareArguments &arguments, mlir::Type element);

/// dquery += scale * its sums.
void emitFinishQuery(KernelBuilder &e, const RowSizes &sizes, unsigned querySums, const StridedArgument &dquery,
                     mlir::Type element, double scale);

/// Threads of a block of the elementwise kernels below.
constexpr int64_t elementThreads = 256;

/// `count` (an i32 argument) zeros of f32 behind `pointer`.
void emitFillZero(KernelBuilder &e, unsigned pointer, unsigned count);

/// out += sums for a 4-d `out` of the i32 arguments `sizes`, and dense sums of f32.
void emitAddSums(KernelBuilder &e, unsigned sums, const StridedArgument &out, std::array<unsigned, 4> sizes,
                 mlir::Type element);

} // namespace bpt::hopper
