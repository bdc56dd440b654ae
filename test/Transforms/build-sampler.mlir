// RUN: bpt-opt %s --bpt-build-sampler --split-input-file --verify-diagnostics | FileCheck %s

// Logits of one row; targets, seed and dropout are gone, parameters stay.
// CHECK-LABEL: func.func @next_logits(
// CHECK-SAME: %[[W:.*]]: tensor<16x8xf32> {bpt.init = #bpt.zeros, bpt.name = "w"}, %[[TOKENS:.*]]: tensor<2x4xi32> {bpt.name = "tokens"}, %[[POSITION:.*]]: tensor<i64> {bpt.name = "position"}) -> (tensor<16xf32> {bpt.name = "logits"})
// CHECK: %[[X:.*]] = bpt.embedding
// CHECK-NOT: bpt.dropout
// CHECK: %[[ROW:.*]] = tensor.extract_slice %[[X]][0, %{{.*}}, 0] [1, 1, 8] [1, 1, 1] : tensor<2x4x8xf32> to tensor<8xf32>
// CHECK: linalg.contract {{.*}} ins(%[[ROW]], %[[W]] : tensor<8xf32>, tensor<16x8xf32>)
func.func @loss(%w: tensor<16x8xf32> {bpt.init = #bpt.zeros, bpt.name = "w"}, %tokens: tensor<2x4xi32> {bpt.name = "tokens"},
                %targets: tensor<2x4xi32> {bpt.name = "targets"}, %seed: tensor<i64> {bpt.name = "seed"})
    -> (tensor<f32> {bpt.name = "loss"}) {
  %e = tensor.empty() : tensor<2x4x8xf32>
  %x = bpt.embedding ins(%tokens, %w : tensor<2x4xi32>, tensor<16x8xf32>) outs(%e : tensor<2x4x8xf32>) -> tensor<2x4x8xf32>
  %d = bpt.dropout {probability = 0.5 : f64} ins(%x : tensor<2x4x8xf32>) seed(%seed : tensor<i64>) outs(%e : tensor<2x4x8xf32>)
    -> tensor<2x4x8xf32>
  %l = tensor.empty() : tensor<f32>
  %s = tensor.empty() : tensor<2x4xf32>
  %loss:2 = bpt.linear_cross_entropy {weights_transposed}
    ins(%d, %w, %targets : tensor<2x4x8xf32>, tensor<16x8xf32>, tensor<2x4xi32>) outs(%l, %s : tensor<f32>, tensor<2x4xf32>)
    -> tensor<f32>, tensor<2x4xf32>
  return %loss#0 : tensor<f32>
}

// -----

// expected-error @below {{expected one bpt.linear_cross_entropy to take the logits from, but got 0}}
func.func @loss(%x: tensor<f32>) -> tensor<f32> {
  return %x : tensor<f32>
}
