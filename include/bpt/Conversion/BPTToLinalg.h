// The definition of every op as linalg on tensors.
#pragma once

#include "mlir/Support/LLVM.h"

namespace mlir {
class Operation;
}

namespace bpt {
/// Replaces every compute op of bpt under `root` by its unblocked definition in linalg, tensor, arith, math and scf on
/// tensors; then lets every linalg, arith and math op on bf16 and f16 tensors compute in f32 and round once.
/// Precondition: tensors (an op on memrefs is an error), head counts and head dims static. Postcondition: of bpt, only
/// structure ops are left. Fails after emitting an error.
llvm::LogicalResult convertBPTToLinalg(mlir::Operation *root);
} // namespace bpt
