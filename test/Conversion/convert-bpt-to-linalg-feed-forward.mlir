// The feed-forward layer with its whole hidden.
// RUN: bpt-opt %s --convert-bpt-to-linalg --canonicalize --split-input-file | FileCheck %s

// The activated hidden is rounded to bf16 before the second product, which is rounded once.
// CHECK-LABEL: func @rounded_hidden
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<2x8x64xf32>)
// CHECK: math.tanh
// CHECK: arith.truncf {{.*}} : f32 to bf16
// CHECK: -> tensor<2x8x64xbf16>
// CHECK: ins(%{{.*}}, %{{.*}} : tensor<2x8x64xbf16>, tensor<64x16xbf16>) outs(%{{.*}} : tensor<2x8x16xf32>)
// CHECK: arith.truncf
// CHECK-NOT: arith.truncf
func.func @rounded_hidden(%x: tensor<2x8x16xbf16>, %up: tensor<16x64xbf16>, %down: tensor<64x16xbf16>) -> tensor<2x8x16xbf16> {
  %y = bpt.feed_forward ins(%x : tensor<2x8x16xbf16>) up(%up : tensor<16x64xbf16>) down(%down : tensor<64x16xbf16>)
    outs(%x : tensor<2x8x16xbf16>) -> tensor<2x8x16xbf16>
  return %y : tensor<2x8x16xbf16>
}

// -----

// Weights [out, in] are read the other way round.
// CHECK-DAG: #[[$UP:.*]] = affine_map<(d0, d1, d2) -> (d2, d1)>
// CHECK-LABEL: func @transposed
// CHECK: linalg.generic {indexing_maps = [#{{.*}}, #[[$UP]], #{{.*}}]
func.func @transposed(%x: tensor<?x16xf32>, %up: tensor<64x16xf32>, %down: tensor<16x64xf32>) -> tensor<?x16xf32> {
  %y = bpt.feed_forward {weights_transposed, activation = #bpt.activation<relu>} ins(%x : tensor<?x16xf32>)
    up(%up : tensor<64x16xf32>) down(%down : tensor<16x64xf32>) outs(%x : tensor<?x16xf32>) -> tensor<?x16xf32>
  return %y : tensor<?x16xf32>
}

// -----

// The kept hidden of a gated layer holds g, then u.
// CHECK-LABEL: func @kept_halves
// CHECK-SAME: %[[HIDDEN:[a-z0-9]+]]: tensor<8x128xf32>
// CHECK-DAG: %[[U:.*]] = tensor.extract_slice %[[HIDDEN]][0, 64] [8, 64] [1, 1]
// CHECK-DAG: %[[G:.*]] = tensor.extract_slice %[[HIDDEN]][0, 0] [8, 64] [1, 1]
// CHECK: linalg.generic {{.*}} ins(%[[U]], %[[G]] :
func.func @kept_halves(%x: tensor<8x16xf32>, %w: tensor<16x64xf32>, %down: tensor<64x16xf32>, %hidden: tensor<8x128xf32>)
    -> tensor<64x16xf32> {
  %dx, %du, %dg, %dd = bpt.feed_forward_grad {activation = #bpt.activation<silu>} cotangent(%x : tensor<8x16xf32>)
    ins(%x : tensor<8x16xf32>) up(%w : tensor<16x64xf32>) gate(%w : tensor<16x64xf32>) down(%down : tensor<64x16xf32>)
    hidden(%hidden : tensor<8x128xf32>) outs(%x, %w, %w, %down : tensor<8x16xf32>, tensor<16x64xf32>, tensor<16x64xf32>, tensor<64x16xf32>)
    -> tensor<8x16xf32>, tensor<16x64xf32>, tensor<16x64xf32>, tensor<64x16xf32>
  return %dd : tensor<64x16xf32>
}
