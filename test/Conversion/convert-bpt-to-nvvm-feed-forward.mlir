// RUN: bpt-opt %s --convert-bpt-to-nvvm --split-input-file | FileCheck %s

// Two products for each chunk of rows; the activation is at the end of a tile of the first one.
// CHECK: llvm.func @hidden_0
// CHECK: wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16
// CHECK: llvm.intr.exp2
// CHECK: nvvm.stmatrix
// CHECK: llvm.func @product_0
// CHECK-NOT: llvm.intr.exp2
// CHECK-LABEL: func.func @gelu
// CHECK: scf.for
// CHECK: scf.for
// CHECK: memref.view %{{.*}} : memref<?xi8> to memref<?x?x4096xbf16>
// CHECK: gpu.launch_func @bpt_kernels::@hidden_0
// CHECK: gpu.launch_func @bpt_kernels::@product_0
// CHECK-NOT: bpt.feed_forward
func.func @gelu(%x: memref<?x?x1024xbf16>, %w1: memref<1024x4096xbf16>, %b1: memref<4096xbf16>, %w2: memref<4096x1024xbf16>,
                %b2: memref<1024xbf16>, %y: memref<?x?x1024xbf16>, %w: memref<?xi8>) {
  bpt.feed_forward {activation = #bpt.activation<gelu_tanh>} ins(%x : memref<?x?x1024xbf16>)
    up(%w1 : memref<1024x4096xbf16> bias %b1 : memref<4096xbf16>) down(%w2 : memref<4096x1024xbf16> bias %b2 : memref<1024xbf16>)
    outs(%y : memref<?x?x1024xbf16>) workspace(%w : memref<?xi8>)
  return
}

// -----

// A gate is a second product of the same rows; kept pre-activations leave with the activated ones. One chunk has no loop.
// CHECK: llvm.func @hidden_0
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n64k16.f32.f16.f16
// CHECK-NOT: wgmma.mma_async
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta
// CHECK: nvvm.cp.async.bulk.commit.group
// CHECK-LABEL: func.func @swiglu
// CHECK-NOT: scf.for
// CHECK: gpu.launch_func @bpt_kernels::@hidden_0
// CHECK: gpu.launch_func @bpt_kernels::@product_0
// CHECK: return
func.func @swiglu(%x: memref<2x64x256xf16>, %w1: memref<512x256xf16>, %wg: memref<512x256xf16>, %w2: memref<256x512xf16>,
                  %y: memref<2x64x256xf16>, %h: memref<2x64x1024xf16>, %w: memref<131072xi8>) {
  bpt.feed_forward {activation = #bpt.activation<silu>, weights_transposed} ins(%x : memref<2x64x256xf16>)
    up(%w1 : memref<512x256xf16>) gate(%wg : memref<512x256xf16>) down(%w2 : memref<256x512xf16>)
    outs(%y, %h : memref<2x64x256xf16>, memref<2x64x1024xf16>) workspace(%w : memref<131072xi8>)
  return
}

// -----

// Recomputed u; da and what follows from it; dinput; weight gradients; bias gradients in pieces, then the pieces.
// CHECK-LABEL: func.func @gradient
// CHECK: gpu.launch_func @bpt_kernels::@product_
// CHECK: gpu.launch_func @bpt_kernels::@hidden_grad_0
// CHECK: gpu.launch_func @bpt_kernels::@product_
// CHECK: gpu.launch_func @bpt_kernels::@weight_grad_0
// CHECK: gpu.launch_func @bpt_kernels::@weight_grad_0
// CHECK: gpu.launch_func @bpt_kernels::@column_sums_0
// CHECK: gpu.launch_func @bpt_kernels::@column_sums_1
// CHECK-NOT: bpt.feed_forward_grad
func.func @gradient(%dy: memref<?x?x1024xbf16>, %x: memref<?x?x1024xbf16>, %w1: memref<1024x4096xbf16>, %b1: memref<4096xbf16>,
                    %w2: memref<4096x1024xbf16>, %dx: memref<?x?x1024xbf16>, %dw1: memref<1024x4096xbf16>, %db1: memref<4096xbf16>,
                    %dw2: memref<4096x1024xbf16>, %w: memref<?xi8>) {
  bpt.feed_forward_grad cotangent(%dy : memref<?x?x1024xbf16>) ins(%x : memref<?x?x1024xbf16>)
    up(%w1 : memref<1024x4096xbf16> bias %b1 : memref<4096xbf16>) down(%w2 : memref<4096x1024xbf16>)
    outs(%dx, %dw1, %db1, %dw2 : memref<?x?x1024xbf16>, memref<1024x4096xbf16>, memref<4096xbf16>, memref<4096x1024xbf16>)
    workspace(%w : memref<?xi8>)
  return
}

// -----

// Kept pre-activations: one product fewer. Gradients of f32 need no sums beside them: without a second chunk or with.
// CHECK-LABEL: func.func @kept
// CHECK: gpu.launch_func @bpt_kernels::@hidden_grad_0
// CHECK: gpu.launch_func @bpt_kernels::@product_0
// CHECK: gpu.launch_func @bpt_kernels::@weight_grad_0
// CHECK: gpu.launch_func @bpt_kernels::@weight_grad_0
// CHECK-NOT: gpu.launch_func
func.func @kept(%dy: memref<?x1024xbf16>, %x: memref<?x1024xbf16>, %w1: memref<1024x4096xbf16>, %w2: memref<4096x1024xbf16>,
                %h: memref<?x4096xbf16>, %dx: memref<?x1024xbf16>, %dw1: memref<1024x4096xf32>, %dw2: memref<4096x1024xf32>,
                %w: memref<?xi8>) {
  bpt.feed_forward_grad cotangent(%dy : memref<?x1024xbf16>) ins(%x : memref<?x1024xbf16>)
    up(%w1 : memref<1024x4096xbf16>) down(%w2 : memref<4096x1024xbf16>) hidden(%h : memref<?x4096xbf16>)
    outs(%dx, %dw1, %dw2 : memref<?x1024xbf16>, memref<1024x4096xf32>, memref<4096x1024xf32>) workspace(%w : memref<?xi8>)
  return
}

// -----

// f32, or a workspace that is too small: left to other kernels.
// CHECK-LABEL: func.func @others
// CHECK-COUNT-2: bpt.feed_forward
// CHECK-NOT: gpu.launch_func
func.func @others(%a: memref<64x64xf32>, %b: memref<64x64xbf16>, %w: memref<64xi8>) {
  bpt.feed_forward ins(%a : memref<64x64xf32>) up(%a : memref<64x64xf32>) down(%a : memref<64x64xf32>) outs(%a : memref<64x64xf32>)
    workspace(%w : memref<64xi8>)
  bpt.feed_forward ins(%b : memref<64x64xbf16>) up(%b : memref<64x64xbf16>) down(%b : memref<64x64xbf16>)
    outs(%b : memref<64x64xbf16>) workspace(%w : memref<64xi8>)
  return
}
