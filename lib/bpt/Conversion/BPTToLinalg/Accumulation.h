// What the graph's own linalg ops are computed in. Private to BPTToLinalg.
#pragma once

namespace mlir {
class Operation;
}

namespace bpt {
/// Makes elementwise arith and math ops on tensors linalg.generic, and lets every linalg op under `root` on bf16 or f16
/// compute in f32: inputs extended, sums carried in f32, results rounded once. Other ops are left alone.
llvm::LogicalResult accumulateInWideType(mlir::Operation *root);
} // namespace bpt
