// Row-wise ops that change nothing.
// RUN: bpt-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func @dropout_nothing
// CHECK-SAME: %[[X:.*]]: tensor<2x8x4xf32>, %{{.*}}: tensor<2x8x4xf32>
// CHECK-NEXT: return %[[X]]
func.func @dropout_nothing(%x: tensor<2x8x4xf32>, %o: tensor<2x8x4xf32>, %seed: tensor<i64>) -> tensor<2x8x4xf32> {
  %y = bpt.dropout {probability = 0.0 : f64} ins(%x : tensor<2x8x4xf32>) seed(%seed : tensor<i64>)
    outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return %y : tensor<2x8x4xf32>
}

// CHECK-LABEL: func @dropout_some
// CHECK: bpt.dropout
func.func @dropout_some(%x: tensor<2x8x4xf32>, %seed: tensor<i64>) -> tensor<2x8x4xf32> {
  %y = bpt.dropout {probability = 0.1 : f64} ins(%x : tensor<2x8x4xf32>) seed(%seed : tensor<i64>)
    outs(%x : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
  return %y : tensor<2x8x4xf32>
}

// On memrefs it copies.
// CHECK-LABEL: func @dropout_memref
// CHECK: bpt.dropout
func.func @dropout_memref(%x: memref<2x8x4xf32>, %o: memref<2x8x4xf32>, %seed: memref<i64>) {
  bpt.dropout {probability = 0.0 : f64} ins(%x : memref<2x8x4xf32>) seed(%seed : memref<i64>)
    outs(%o : memref<2x8x4xf32>)
  return
}

// CHECK-LABEL: func @rotary_position_zero
// CHECK-SAME: %[[X:.*]]: tensor<2x1x4x16xf32>, %{{.*}}: tensor<2x1x4x16xf32>
// CHECK-NEXT: return %[[X]]
func.func @rotary_position_zero(%x: tensor<2x1x4x16xf32>, %o: tensor<2x1x4x16xf32>) -> tensor<2x1x4x16xf32> {
  %y = bpt.rotary {theta = 10000.0 : f64} ins(%x : tensor<2x1x4x16xf32>) outs(%o : tensor<2x1x4x16xf32>)
    -> tensor<2x1x4x16xf32>
  return %y : tensor<2x1x4x16xf32>
}

// CHECK-LABEL: func @rotary_offset
// CHECK: bpt.rotary
func.func @rotary_offset(%x: tensor<2x1x4x16xf32>, %i: index) -> tensor<2x1x4x16xf32> {
  %y = bpt.rotary {theta = 10000.0 : f64} ins(%x : tensor<2x1x4x16xf32>) offset(%i) outs(%x : tensor<2x1x4x16xf32>)
    -> tensor<2x1x4x16xf32>
  return %y : tensor<2x1x4x16xf32>
}
