// RUN: bpt-opt %s --bpt-outline-kernels --split-input-file --verify-diagnostics | FileCheck %s

// The loop is a launch of as many warps as there are workers; what it captures is the kernel's first argument.
// CHECK: gpu.module @bpt_kernels
// CHECK: func.func private @fill.body0
// CHECK: memref.store
// CHECK: llvm.func @fill_kernel0(%{{.*}}: !llvm.ptr {{{.*}}llvm.byval = !llvm.struct{{.*}}nvvm.grid_constant}
// CHECK-SAME: nvvm.reqntid = array<i32: 32>
// CHECK: nvvm.read.ptx.sreg.ctaid.x
// CHECK: scf.for
// CHECK: func.call @fill.body0
// CHECK-LABEL: func.func @fill(%{{.*}}: !llvm.ptr {bpt.context}
// CHECK: %[[CLOSURE:.*]] = llvm.alloca
// CHECK: %[[ITEMS:.*]] = arith.index_cast %{{.*}} : index to i64
// CHECK: %[[WORKERS:.*]] = call @bpt_workers
// CHECK: %[[SCRATCH:.*]] = call @bpt_thread_scratch
// CHECK: %[[LEAST:.*]] = arith.minsi %[[ITEMS]], %[[WORKERS]] : i64
// CHECK: %[[BLOCKS:.*]] = arith.index_cast %[[LEAST]] : i64 to index
// CHECK: gpu.launch_func @bpt_kernels::@fill_kernel0 blocks in (%[[BLOCKS]], %{{.*}}, %{{.*}}) threads in (%c32{{.*}}) args(%[[CLOSURE]] : !llvm.ptr, %[[ITEMS]] : i64, %[[SCRATCH]] : !llvm.ptr)
// CHECK-NOT: scf.forall
func.func @fill(%m: memref<?xf32>, %n: index) {
  %zero = arith.constant 0.0 : f32
  scf.forall (%i) in (%n) {
    memref.store %zero, %m[%i] : memref<?xf32>
  }
  return
}

// -----

// Functions that bodies call go along.
// CHECK: gpu.module @bpt_kernels
// CHECK: call @helper
// CHECK: func.func private @helper
// CHECK-LABEL: func.func @calls
// CHECK-NOT: @helper
func.func private @helper(%m: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %zero = arith.constant 0.0 : f32
  scf.for %i = %c0 to %c0 step %c0 {
    memref.store %zero, %m[%i] : memref<4xf32>
  }
  return
}
func.func @calls(%m: memref<4xf32>) {
  scf.forall (%i) in (4) {
    func.call @helper(%m) : (memref<4xf32>) -> ()
  }
  return
}

// -----

// Two bodies share a helper through helpers of their own: none of them stays on the host.
// CHECK: gpu.module @bpt_kernels
// CHECK-DAG: func.func private @a(
// CHECK-DAG: func.func private @b(
// CHECK-DAG: func.func private @c(
// CHECK-LABEL: func.func @shared
// CHECK-NOT: func.func private @{{a|b|c}}(
func.func private @c(%m: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %x = memref.load %m[%c0] : memref<4xf32>
  memref.store %x, %m[%c0] : memref<4xf32>
  return
}
func.func private @a(%m: memref<4xf32>) {
  call @c(%m) : (memref<4xf32>) -> ()
  return
}
func.func private @b(%m: memref<4xf32>) {
  call @c(%m) : (memref<4xf32>) -> ()
  return
}
func.func @shared(%m: memref<4xf32>) {
  scf.forall (%i) in (4) {
    func.call @a(%m) : (memref<4xf32>) -> ()
  }
  scf.forall (%i) in (4) {
    func.call @b(%m) : (memref<4xf32>) -> ()
  }
  return
}

// -----

func.func @host_reads(%m: memref<4xf32>) -> f32 {
  %c0 = arith.constant 0 : index
  // expected-error @below {{expected data to be read and written by kernels only}}
  %x = memref.load %m[%c0] : memref<4xf32>
  return %x : f32
}
