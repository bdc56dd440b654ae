// RUN: bpt-opt %s --convert-bpt-to-nvvm --split-input-file | FileCheck %s

// Logits never leave the registers: each tile leaves a maximum and a sum of each row.
// CHECK: llvm.func @logits_0
// CHECK: wgmma.mma_async.sync.aligned.m64n256k16
// CHECK: llvm.intr.exp2
// CHECK-NOT: nvvm.stmatrix
// CHECK-LABEL: func.func @loss
// CHECK: scf.for
// CHECK: gpu.launch_func @bpt_kernels::@logits_0
// CHECK: gpu.launch_func @bpt_kernels::@lse_0
// CHECK: gpu.launch_func @bpt_kernels::@loss_0
// CHECK-NOT: bpt.linear_cross_entropy
func.func @loss(%x: memref<?x?x768xbf16>, %w: memref<50257x768xbf16>, %t: memref<?x?xi32>, %o: memref<f32>, %l: memref<?x?xf32>,
                %ws: memref<?xi8>) {
  bpt.linear_cross_entropy {weights_transposed} ins(%x, %w, %t : memref<?x?x768xbf16>, memref<50257x768xbf16>, memref<?x?xi32>)
    outs(%o, %l : memref<f32>, memref<?x?xf32>) workspace(%ws : memref<?xi8>)
  return
}

// -----

// With lse, dlogits are made at the end of a tile of logits; two products with them.
// CHECK: llvm.func @dlogits_0
// CHECK: llvm.intr.exp2
// CHECK: nvvm.stmatrix
// CHECK-LABEL: func.func @gradient
// CHECK: gpu.launch_func @bpt_kernels::@scale_0
// CHECK: scf.for
// CHECK: memref.view %{{.*}} : memref<?xi8> to memref<?x?x50304xbf16>
// CHECK: gpu.launch_func @bpt_kernels::@dlogits_0
// CHECK: gpu.launch_func @bpt_kernels::@product_0
// CHECK: gpu.launch_func @bpt_kernels::@weight_grad_0
func.func @gradient(%d: memref<f32>, %x: memref<?x?x768xbf16>, %w: memref<50257x768xbf16>, %t: memref<?x?xi32>, %l: memref<?x?xf32>,
                    %dx: memref<?x?x768xbf16>, %dw: memref<50257x768xbf16>, %ws: memref<?xi8>) {
  bpt.linear_cross_entropy_grad {weights_transposed} cotangent(%d : memref<f32>)
    ins(%x, %w, %t, %l : memref<?x?x768xbf16>, memref<50257x768xbf16>, memref<?x?xi32>, memref<?x?xf32>)
    outs(%dx, %dw : memref<?x?x768xbf16>, memref<50257x768xbf16>) workspace(%ws : memref<?xi8>)
  return
}

// -----

// Without lse one product of logits: exponentials relative to the maximum of their part are kept, and become dlogits.
// CHECK: llvm.func @rescale_0
// CHECK: llvm.load %{{.*}} : !llvm.ptr -> vector<4xi32>
// CHECK-LABEL: func.func @loss_and_gradient
// CHECK: gpu.launch_func @bpt_kernels::@logits_0
// CHECK: gpu.launch_func @bpt_kernels::@lse_0
// CHECK: gpu.launch_func @bpt_kernels::@rescale_0
// CHECK: gpu.launch_func @bpt_kernels::@product_0
// CHECK: gpu.launch_func @bpt_kernels::@weight_grad_0
// CHECK: gpu.launch_func @bpt_kernels::@loss_0
func.func @loss_and_gradient(%d: memref<f32>, %x: memref<?x768xf16>, %w: memref<768x50432xf16>, %t: memref<?xi32>, %n: memref<i64>,
                             %dx: memref<?x768xf16>, %dw: memref<768x50432xf32>, %o: memref<f32>, %ws: memref<?xi8>) {
  bpt.linear_cross_entropy_grad cotangent(%d : memref<f32>)
    ins(%x, %w, %t : memref<?x768xf16>, memref<768x50432xf16>, memref<?xi32>) count(%n : memref<i64>)
    outs(%dx, %dw, %o : memref<?x768xf16>, memref<768x50432xf32>, memref<f32>) workspace(%ws : memref<?xi8>)
  return
}

// -----

// Rows of the weight that are no multiple of 16 bytes: left to other kernels.
// CHECK-LABEL: func.func @others
// CHECK: bpt.linear_cross_entropy
func.func @others(%x: memref<8x64xbf16>, %w: memref<64x100xbf16>, %t: memref<8xi32>, %o: memref<f32>, %l: memref<8xf32>, %ws: memref<65536xi8>) {
  bpt.linear_cross_entropy ins(%x, %w, %t : memref<8x64xbf16>, memref<64x100xbf16>, memref<8xi32>)
    outs(%o, %l : memref<f32>, memref<8xf32>) workspace(%ws : memref<65536xi8>)
  return
}
