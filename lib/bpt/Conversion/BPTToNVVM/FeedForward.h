// What bpt.feed_forward and its gradient share on the host.
#pragma once

#include "Chunks.h"
#include "bpt/IR/BPT.h"

namespace bpt::hopper {

/// A product of rows of the input with a weight, or with its transpose. Weights are `[in, out]`, or `[out, in]` with
/// `weightsTransposed`; `backwards`: rows of outs times the weight's transpose.
GemmProblem getWeightProduct(mlir::ImplicitLocOpBuilder &b, mlir::Value rows, mlir::ValueRange weights,
                             bool weightsTransposed, bool backwards);

/// The gradient of a weight, ins^T outs, in the layout of the weight; both are `[outer, inner, columns]`.
GemmProblem getWeightGradProduct(mlir::ImplicitLocOpBuilder &b, mlir::Value ins, mlir::Value outs,
                                 bool weightsTransposed);

/// Columns [part * columns / parts, ..) of a view `[outer, inner, columns]`.
mlir::Value sliceColumns(mlir::ImplicitLocOpBuilder &b, mlir::Value view, int64_t part, int64_t parts);

/// Why a workspace is not large enough for getHopperChunkWorkspaceBytes, as far as that is known; empty when it is.
std::string refuseWorkspace(mlir::Operation *op, mlir::Value workspace);

} // namespace bpt::hopper
