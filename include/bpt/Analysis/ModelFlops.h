// Model FLOPs of a function: what the mathematics needs, whatever the program recomputes.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include <optional>

namespace bpt {
struct ModelFlops {
  int64_t forward = 0;
  int64_t backward = 0; ///< of the gradients with respect to everything
};
/// Of one op: by its cost model, or the points of a contraction; 0 for what is no product, none where sizes (or what an
/// attention sees) are dynamic.
std::optional<int64_t> countOpFlops(mlir::Operation *op);
/// Counts a function in the stage *graph*. A function that went through bpt-form-blocks carries its count as the attribute
/// `bpt.model_flops`; none where sizes are dynamic.
std::optional<ModelFlops> countModelFlops(mlir::func::FuncOp function);
/// Records the count on the function, before a pass changes its form.
void recordModelFlops(mlir::func::FuncOp function);
/// Says that one run of `function` costs this much (`bpt.flops`, read by bpt-plan-memory).
void setRunFlops(mlir::func::FuncOp function, int64_t flops);
} // namespace bpt
