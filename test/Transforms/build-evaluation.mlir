// RUN: bpt-opt %s --bpt-build-evaluation --split-input-file --verify-diagnostics | FileCheck %s

// Dropout and the seed are gone from the copy; the loss itself keeps them.
// CHECK-LABEL: func.func @loss(
// CHECK: bpt.dropout
// CHECK: seed(
// CHECK-LABEL: func.func @loss.evaluation(
// CHECK-SAME: %[[X:.*]]: tensor<2x4x8x8xf32>) -> tensor<2x4x8x8xf32>
// CHECK-NOT: bpt.dropout
// CHECK: bpt.attention
// CHECK-NOT: seed(
// CHECK: return
func.func @loss(%x: tensor<2x4x8x8xf32>, %seed: tensor<i64>) -> tensor<2x4x8x8xf32> {
  %e = tensor.empty() : tensor<2x4x8x8xf32>
  %d = bpt.dropout {probability = 0.5 : f64} ins(%x : tensor<2x4x8x8xf32>) seed(%seed : tensor<i64>) outs(%e : tensor<2x4x8x8xf32>)
    -> tensor<2x4x8x8xf32>
  %l = tensor.empty() : tensor<2x8x4xf32>
  %a, %lse = bpt.attention {scale = 1.0 : f64, dropout = 0.5 : f64}
    ins(%d, %d, %d : tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>, tensor<2x4x8x8xf32>) seed(%seed : tensor<i64>)
    outs(%e, %l : tensor<2x4x8x8xf32>, tensor<2x8x4xf32>) -> tensor<2x4x8x8xf32>, tensor<2x8x4xf32>
  return %a : tensor<2x4x8x8xf32>
}

// -----

// expected-error @below {{expected a function `loss` with a body, but got none; name it with function=}}
module {}
