// What the kernels of every target ask of contractions.
#pragma once

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace bpt {

/// Whether the op is a product of two float memrefs that is added to a third one: matmul, batch_matmul, contract ..
bool isContraction(mlir::linalg::LinalgOp op);

/// The fill that gives the outs of a contraction zeros that nothing has read: just before, with only address arithmetic
/// in between. Null where there is none.
mlir::Operation *findZeroFill(mlir::linalg::LinalgOp op);

} // namespace bpt
