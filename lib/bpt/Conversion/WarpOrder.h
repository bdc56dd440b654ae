// Order of memory accesses within a warp.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace bpt {

/// Lanes of a warp run on their own: what one writes another sees, and what one reads another may overwrite, only after
/// `nvvm.bar.warp.sync`. Puts one before each access that might depend on an earlier one of another lane. Control flow must be
/// the same for all lanes, but for branches that hold a single access.
void orderWarpAccesses(mlir::func::FuncOp function);

} // namespace bpt
