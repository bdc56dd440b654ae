// RUN: bpt-opt %s --bpt-plan-memory --bpt-create-entries | FileCheck %s

// One C function (context, args, dims, arena, offsets) -> status per entry; the planned function is private from then on.
// CHECK: func.func private @f.grad(
// CHECK-LABEL: llvm.func @bpt_entry_f_grad(
// CHECK-SAME: %[[CONTEXT:.*]]: !llvm.ptr, %[[ARGS:.*]]: !llvm.ptr, %[[DIMS:.*]]: !llvm.ptr, %[[ARENA:.*]]: !llvm.ptr, %[[OFFSETS:.*]]: !llvm.ptr) -> i32
// CHECK: llvm.getelementptr %[[ARGS]][0]
// CHECK: llvm.getelementptr %[[DIMS]][0]
// CHECK: call @f.grad(%[[CONTEXT]],
// CHECK: llvm.return
func.func @f.grad(%x: memref<?x8xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%x : memref<?x8xf32>)
  return
}
