// Text, generic form and bytecode give the same feed-forward ops back.
// RUN: bpt-opt %s | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --mlir-print-op-generic | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --emit-bytecode | bpt-opt | FileCheck %s

// The example of the op's page; gelu_tanh is the default.
// CHECK-LABEL: func @feed_forward
func.func @feed_forward(%x: tensor<2x128x64xf32>, %w1: tensor<64x256xf32>, %b1: tensor<256xf32>,
                        %w2: tensor<256x64xf32>, %b2: tensor<64xf32>) -> tensor<2x128x64xf32> {
  // CHECK: bpt.feed_forward ins(%{{.*}} : tensor<2x128x64xf32>) up(%{{.*}} : tensor<64x256xf32> bias %{{.*}} : tensor<256xf32>) down(%{{.*}} : tensor<256x64xf32> bias %{{.*}} : tensor<64xf32>) outs(%{{.*}} : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
  %y = bpt.feed_forward {activation = #bpt.activation<gelu_tanh>} ins(%x : tensor<2x128x64xf32>)
    up(%w1 : tensor<64x256xf32> bias %b1 : tensor<256xf32>) down(%w2 : tensor<256x64xf32> bias %b2 : tensor<64xf32>)
    outs(%x : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
  return %y : tensor<2x128x64xf32>
}

// SwiGLU with [out, in] weights; the hidden holds both pre-activations.
// CHECK-LABEL: func @feed_forward_gated
func.func @feed_forward_gated(%x: tensor<?x?x64xbf16>, %up: tensor<96x64xbf16>, %down: tensor<32x96xbf16>,
    %b: tensor<96xbf16>, %o: tensor<?x?x32xbf16>, %h: tensor<?x?x192xbf16>) -> tensor<?x?x192xbf16> {
  // CHECK: bpt.feed_forward {activation = #bpt.activation<silu>, weights_transposed} ins(%{{.*}} : tensor<?x?x64xbf16>) up(%{{.*}} : tensor<96x64xbf16>) gate(%{{.*}} : tensor<96x64xbf16>) gate_bias(%{{.*}} : tensor<96xbf16>) down(%{{.*}} : tensor<32x96xbf16>)
  %r:2 = bpt.feed_forward {activation = #bpt.activation<silu>, weights_transposed} ins(%x : tensor<?x?x64xbf16>)
    up(%up : tensor<96x64xbf16>) gate(%up : tensor<96x64xbf16>) gate_bias(%b : tensor<96xbf16>)
    down(%down : tensor<32x96xbf16>) outs(%o, %h : tensor<?x?x32xbf16>, tensor<?x?x192xbf16>)
    -> tensor<?x?x32xbf16>, tensor<?x?x192xbf16>
  return %r#1 : tensor<?x?x192xbf16>
}

// One row, no leading dims, on memrefs.
// CHECK-LABEL: func @feed_forward_row
func.func @feed_forward_row(%x: memref<8xf64>, %w: memref<8x8xf64>) {
  // CHECK: bpt.feed_forward {activation = #bpt.activation<relu>} ins(%{{.*}} : memref<8xf64>) up(%{{.*}} : memref<8x8xf64>) down(%{{.*}} : memref<8x8xf64>) outs(%{{.*}} : memref<8xf64>){{$}}
  bpt.feed_forward {activation = #bpt.activation<relu>} ins(%x : memref<8xf64>) up(%w : memref<8x8xf64>)
    down(%w : memref<8x8xf64>) outs(%x : memref<8xf64>)
  return
}

// CHECK-LABEL: func @feed_forward_grad
func.func @feed_forward_grad(%x: tensor<2x128x64xf32>, %w1: tensor<64x256xf32>, %w2: tensor<256x64xf32>)
    -> tensor<64x256xf32> {
  // CHECK: bpt.feed_forward_grad {activation = #bpt.activation<relu>} cotangent(%{{.*}} : tensor<2x128x64xf32>) ins(%{{.*}} : tensor<2x128x64xf32>) up(%{{.*}} : tensor<64x256xf32>) down(%{{.*}} : tensor<256x64xf32>) outs(
  %dx, %dw1, %dw2 = bpt.feed_forward_grad {activation = #bpt.activation<relu>} cotangent(%x : tensor<2x128x64xf32>)
    ins(%x : tensor<2x128x64xf32>) up(%w1 : tensor<64x256xf32>) down(%w2 : tensor<256x64xf32>)
    outs(%x, %w1, %w2 : tensor<2x128x64xf32>, tensor<64x256xf32>, tensor<256x64xf32>)
    -> tensor<2x128x64xf32>, tensor<64x256xf32>, tensor<256x64xf32>
  return %dw1 : tensor<64x256xf32>
}

// Seven gradients, hidden given.
// CHECK-LABEL: func @feed_forward_grad_everything
func.func @feed_forward_grad_everything(%x: tensor<6x4xf16>, %w: tensor<4x8xf16>, %b: tensor<8xf16>, %d: tensor<8x2xf16>,
    %c: tensor<2xf16>, %dy: tensor<6x2xf16>, %h: tensor<6x16xf16>) -> tensor<2xf16> {
  // CHECK: bpt.feed_forward_grad cotangent(%{{.*}} : tensor<6x2xf16>)
  // CHECK-SAME: hidden(%{{.*}} : tensor<6x16xf16>) outs(
  %r:7 = bpt.feed_forward_grad cotangent(%dy : tensor<6x2xf16>) ins(%x : tensor<6x4xf16>)
    up(%w : tensor<4x8xf16> bias %b : tensor<8xf16>) gate(%w : tensor<4x8xf16>) gate_bias(%b : tensor<8xf16>)
    down(%d : tensor<8x2xf16> bias %c : tensor<2xf16>) hidden(%h : tensor<6x16xf16>)
    outs(%x, %w, %b, %w, %b, %d, %c : tensor<6x4xf16>, tensor<4x8xf16>, tensor<8xf16>, tensor<4x8xf16>, tensor<8xf16>,
         tensor<8x2xf16>, tensor<2xf16>)
    -> tensor<6x4xf16>, tensor<4x8xf16>, tensor<8xf16>, tensor<4x8xf16>, tensor<8xf16>, tensor<8x2xf16>, tensor<2xf16>
  return %r#6 : tensor<2xf16>
}
