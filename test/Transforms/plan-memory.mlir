// RUN: bpt-opt %s --bpt-plan-memory --split-input-file | FileCheck %s
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-plan-memory{print=true})' --split-input-file -o /dev/null | FileCheck %s --check-prefix=PLAN

// Two buffers that are never alive together share their place; the result has a slot of its own.
// CHECK-LABEL: func.func @one_after_the_other(
// CHECK-SAME: %[[CONTEXT:.*]]: !llvm.ptr {bpt.context}, %[[ARENA:.*]]: memref<?xi8>, %[[OFFSETS:.*]]: memref<?xi64>, %[[BASE:.*]]: index, %{{.*}}: memref<64xf32> {bpt.name = "x"})
// CHECK-SAME: bpt.plan =
// CHECK-NOT: memref.alloc
// CHECK: memref.load %[[OFFSETS]]
// CHECK: memref.view %[[ARENA]]
// CHECK: return
// CHECK-NOT: return %
// PLAN-LABEL: memory plan of @one_after_the_other
// PLAN: 512 B
func.func @one_after_the_other(%x: memref<64xf32> {bpt.name = "x"}) -> (memref<64xf32> {bpt.name = "y"}) {
  %a = memref.alloc() : memref<64xf32>
  memref.copy %x, %a : memref<64xf32> to memref<64xf32>
  %b = memref.alloc() : memref<64xf32>
  memref.copy %a, %b : memref<64xf32> to memref<64xf32>
  %c = memref.alloc() : memref<64xf32>
  memref.copy %b, %c : memref<64xf32> to memref<64xf32>
  return %c : memref<64xf32>
}

// -----

// A callee's buffers are slots of the entry, once for each call.
// CHECK-LABEL: func.func private @callee(
// CHECK-LABEL: func.func @calls_twice(
// CHECK-SAME: 256,\22first\22
// CHECK: call @callee(%arg0, %arg1, %arg2, %{{.*}}, %{{.*}})
// CHECK: call @callee(%arg0, %arg1, %arg2, %{{.*}}, %{{.*}})
// PLAN-LABEL: memory plan of @calls_twice
func.func private @callee(%x: memref<64xf32>) {
  %a = memref.alloc() : memref<64xf32>
  memref.copy %x, %a : memref<64xf32> to memref<64xf32>
  memref.copy %a, %x : memref<64xf32> to memref<64xf32>
  return
}
func.func @calls_twice(%x: memref<64xf32>) -> memref<64xf32> {
  %y = memref.alloc() : memref<64xf32>
  memref.copy %x, %y : memref<64xf32> to memref<64xf32>
  func.call @callee(%y) : (memref<64xf32>) -> ()
  func.call @callee(%y) : (memref<64xf32>) -> ()
  return %y : memref<64xf32>
}

// -----

// Sizes of dynamic buffers are formulas over the dynamic dims of the arguments.
// CHECK-LABEL: func.func @dynamic(
// CHECK-SAME: \22shape\22:[\22d0 2 *\22,8]
// CHECK-SAME: \22bytes\22:\22d0 2 * 8 * 4 *\22
func.func @dynamic(%x: memref<?x8xf32>) -> memref<?x8xf32> {
  %c0 = arith.constant 0 : index
  %c2 = arith.constant 2 : index
  %n = memref.dim %x, %c0 : memref<?x8xf32>
  %m = arith.muli %n, %c2 : index
  %y = memref.alloc(%m) : memref<?x8xf32>
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<?x8xf32>)
  return %y : memref<?x8xf32>
}

// -----

// A result that updates an argument in place has no slot.
// CHECK-LABEL: func.func @in_place(
// CHECK-SAME: \22argument\22:0
// CHECK-NOT: memref.copy
// CHECK: return
func.func @in_place(%p: memref<8xf32>) -> (memref<8xf32> {bpt.inplace = 0 : i64}) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%p : memref<8xf32>)
  return %p : memref<8xf32>
}

// -----

// An argument that is returned as it is becomes a copy: results belong to the run.
// CHECK-LABEL: func.func @returns_argument(
// CHECK: memref.copy
func.func @returns_argument(%p: memref<8xf32>) -> memref<8xf32> {
  return %p : memref<8xf32>
}

// -----

// What is used in a loop and made before it lives through the whole loop: two buffers, no sharing.
// PLAN-LABEL: memory plan of @loop
// PLAN: 768 B
func.func @loop(%x: memref<64xf32>) -> memref<64xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %y = memref.alloc() : memref<64xf32>
  %a = memref.alloc() : memref<64xf32>
  %b = memref.alloc() : memref<64xf32>
  scf.for %i = %c0 to %c4 step %c1 {
    memref.copy %x, %a : memref<64xf32> to memref<64xf32>
    memref.copy %a, %b : memref<64xf32> to memref<64xf32>
    memref.copy %b, %y : memref<64xf32> to memref<64xf32>
  }
  return %y : memref<64xf32>
}

// -----

// What is copied is in use until the copy was waited for: %b does not take the place of %a. What is in host memory is not in the arena.
// PLAN-LABEL: memory plan of @copies
// PLAN-NEXT: arena 768 B
// PLAN-NEXT: and 256 B in host memory
// CHECK-LABEL: func.func @copies
// CHECK: gpu.memcpy async
// CHECK: gpu.wait
func.func @copies(%x: memref<64xf32>) -> memref<64xf32> {
  %a = memref.alloc() : memref<64xf32>
  memref.copy %x, %a : memref<64xf32> to memref<64xf32>
  %host = memref.alloc() {bpt.host} : memref<64xf32>
  %out = gpu.memcpy async %host, %a : memref<64xf32>, memref<64xf32>
  %b = memref.alloc() : memref<64xf32>
  memref.copy %x, %b : memref<64xf32> to memref<64xf32>
  %y = memref.alloc() : memref<64xf32>
  memref.copy %b, %y : memref<64xf32> to memref<64xf32>
  gpu.wait [%out]
  %in = gpu.memcpy async %y, %host : memref<64xf32>, memref<64xf32>
  gpu.wait [%in]
  return %y : memref<64xf32>
}
