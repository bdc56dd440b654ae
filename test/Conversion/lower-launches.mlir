// RUN: bpt-opt %s --bpt-lower-launches --split-input-file --verify-diagnostics | FileCheck %s

// Arguments are addresses: of values on the stack, or of the struct itself.
// CHECK: module attributes {bpt.kernels = [{name = "k", place = "{{.*}}lower-launches.mlir:{{[0-9]+}}"}]
// CHECK: func.func @launch(%{{.*}}: !llvm.ptr {bpt.context}, %[[S:.*]]: !llvm.ptr, %[[N:.*]]: i64)
// CHECK: %[[AT:.*]] = llvm.getelementptr %[[VALUE:.*]][0] : (!llvm.ptr) -> !llvm.ptr, i64
// CHECK: llvm.store %[[N]], %[[AT]] : i64, !llvm.ptr
// CHECK: llvm.store %[[S]], %{{.*}} : !llvm.ptr, !llvm.ptr
// CHECK: llvm.store %[[VALUE]], %{{.*}} : !llvm.ptr, !llvm.ptr
// CHECK: call @bpt_launch
module attributes {gpu.container_module} {
  gpu.module @bpt_kernels {
    llvm.func @k(%s: !llvm.ptr {llvm.byval = !llvm.struct<(i64)>}, %n: i64) attributes {gpu.kernel, nvvm.kernel} {
      llvm.return
    }
  }
  func.func @launch(%s: !llvm.ptr, %n: i64) {
    %c1 = arith.constant 1 : index
    %c32 = arith.constant 32 : index
    gpu.launch_func @bpt_kernels::@k blocks in (%c1, %c1, %c1) threads in (%c32, %c1, %c1) args(%s : !llvm.ptr, %n : i64)
    return
  }
}

// -----

// Sizes and strides innermost first, strides in bytes.
// CHECK-LABEL: func.func @map
// CHECK: llvm.alloca %{{.*}} x i64 {alignment = 64 : i64}
// CHECK: memref.extract_strided_metadata
// CHECK: arith.muli %{{.*}}, %c2{{.*}} : i64
// CHECK: call @bpt_tensor_map
func.func @map(%m: memref<?x64xbf16, strided<[192, 1], offset: ?>>) {
  %c64 = arith.constant 64 : index
  %any = memref.cast %m : memref<?x64xbf16, strided<[192, 1], offset: ?>> to memref<*xbf16>
  %map = nvgpu.tma.create.descriptor %any box[%c64, %c64] : memref<*xbf16>
    -> !nvgpu.tensormap.descriptor<tensor = memref<64x64xbf16, 3>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
  return
}

// -----

func.func @no_cast(%m: memref<*xbf16>) {
  %c64 = arith.constant 64 : index
  // expected-error @below {{expected the cast of a memref of rank 1 to 5}}
  %map = nvgpu.tma.create.descriptor %m box[%c64, %c64] : memref<*xbf16>
    -> !nvgpu.tensormap.descriptor<tensor = memref<64x64xbf16, 3>, swizzle = swizzle_128b, l2promo = none, oob = zero, interleave = none>
  return
}

// -----

// A copy and the wait for it.
// CHECK-LABEL: func.func @copy
// CHECK: %[[NUMBER:.*]] = call @bpt_begin_copy(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) : (!llvm.ptr, !llvm.ptr, !llvm.ptr, i64) -> i64
// CHECK-NEXT: call @bpt_wait_copy(%{{.*}}, %[[NUMBER]]) : (!llvm.ptr, i64) -> ()
func.func @copy(%from: memref<?x4xf32>, %to: memref<?x4xf32>) {
  %token = gpu.memcpy async %to, %from : memref<?x4xf32>, memref<?x4xf32>
  gpu.wait [%token]
  return
}

// -----

func.func @never_waited(%from: memref<4xf32>, %to: memref<4xf32>) {
  // expected-error @below {{expected an asynchronous copy that depends on no token, and that gpu.wait waits for by itself}}
  %token = gpu.memcpy async %to, %from : memref<4xf32>, memref<4xf32>
  return
}
