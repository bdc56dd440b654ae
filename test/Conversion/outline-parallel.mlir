// RUN: bpt-opt %s --bpt-outline-parallel --split-input-file --verify-diagnostics | FileCheck %s

// The body becomes a function; captured buffers travel in a closure, constants are repeated in the body.
// CHECK-LABEL: func.func private @scale.body0(
// CHECK-SAME: %[[CLOSURE:.*]]: !llvm.ptr, %[[ITEM:.*]]: i64, %{{.*}}: !llvm.ptr)
// CHECK-DAG: arith.constant 2.0
// CHECK-DAG: llvm.getelementptr %[[CLOSURE]][0, 0]
// CHECK: memref.store
// CHECK-LABEL: func.func @scale(
// CHECK-SAME: %[[CONTEXT:.*]]: !llvm.ptr {bpt.context}, %[[X:.*]]: memref<?xf32>)
// CHECK: %[[SPACE:.*]] = llvm.alloca
// CHECK: llvm.store
// CHECK: %[[BODY:.*]] = constant @scale.body0
// CHECK: %[[POINTER:.*]] = builtin.unrealized_conversion_cast %[[BODY]]
// CHECK: call @bpt_parallel_for(%[[CONTEXT]], %[[POINTER]], %[[SPACE]], %{{.*}})
// CHECK-NOT: scf.forall
func.func @scale(%x: memref<?xf32>) {
  %c0 = arith.constant 0 : index
  %two = arith.constant 2.0 : f32
  %n = memref.dim %x, %c0 : memref<?xf32>
  scf.forall (%i) in (%n) {
    %a = memref.load %x[%i] : memref<?xf32>
    %b = arith.mulf %a, %two : f32
    memref.store %b, %x[%i] : memref<?xf32>
  }
  return
}

// -----

// A caller of a function that runs a parallel loop hands its context on.
// CHECK-LABEL: func.func @caller(
// CHECK-SAME: %[[CONTEXT:.*]]: !llvm.ptr {bpt.context}, %[[X:.*]]: memref<4xf32>)
// CHECK: call @callee(%[[CONTEXT]], %[[X]])
func.func private @callee(%x: memref<4xf32>) {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (4) {
    memref.store %zero, %x[%i] : memref<4xf32>
  }
  return
}
func.func @caller(%x: memref<4xf32>) {
  func.call @callee(%x) : (memref<4xf32>) -> ()
  return
}

// -----

// Per-thread scratch is what the runtime hands to the body.
// CHECK-LABEL: func.func private @scratch.body0(
// CHECK-SAME: %{{.*}}: !llvm.ptr, %{{.*}}: i64, %[[SCRATCH:.*]]: !llvm.ptr)
// CHECK: llvm.insertvalue %[[SCRATCH]]
// CHECK-NOT: bpt.thread_scratch
module attributes {bpt.thread_scratch = 256 : i64} {
  func.func @scratch(%x: memref<4xi8>) {
    scf.forall (%i) in (4) {
      %s = bpt.thread_scratch : memref<?xi8>
      %c0 = arith.constant 0 : index
      %a = memref.load %x[%i] : memref<4xi8>
      memref.store %a, %s[%c0] : memref<?xi8>
    }
    return
  }
}

// -----

// A region of a profile lies between two calls of the runtime.
// CHECK-LABEL: func.func @profiled(
// CHECK-SAME: %[[CONTEXT:.*]]: !llvm.ptr {bpt.context}
// CHECK: %[[REGION:.*]] = llvm.mlir.constant(3 : i64)
// CHECK: %[[BEGINS:.*]] = llvm.mlir.constant(1 : i32)
// CHECK: call @bpt_profile(%[[CONTEXT]], %[[REGION]], %[[BEGINS]])
// CHECK-NEXT: call @kernel() : () -> ()
// CHECK-NEXT: %[[ENDS:.*]] = llvm.mlir.constant(0 : i32)
// CHECK-NEXT: call @bpt_profile(%[[CONTEXT]], %[[REGION]], %[[ENDS]])
func.func @profiled() {
  call @kernel() {bpt.region = 3 : i64} : () -> ()
  return
}
func.func private @kernel() {
  return
}

// -----

func.func @nested(%x: memref<4xf32>) {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (4) {
    // expected-error @below {{expected no parallel loop inside another}}
    scf.forall (%j) in (4) {
      memref.store %zero, %x[%j] : memref<4xf32>
    }
  }
  return
}
