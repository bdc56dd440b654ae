// Row-wise ops: norms, rotary embedding, dropout.
// RUN: bpt-opt %s --convert-bpt-to-linalg --canonicalize --split-input-file | FileCheck %s

// Mean, variance, then the affine map.
// CHECK-LABEL: func @layer_norm
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]
// CHECK: arith.divf
// CHECK: arith.subf
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "reduction"]
// CHECK: math.sqrt
func.func @layer_norm(%x: tensor<2x?x64xf32>, %w: tensor<64xf32>) -> tensor<2x?x64xf32> {
  %y = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<2x?x64xf32>) weight(%w : tensor<64xf32>) bias(%w : tensor<64xf32>)
    outs(%x : tensor<2x?x64xf32>) -> tensor<2x?x64xf32>
  return %y : tensor<2x?x64xf32>
}

// -----

// The gradient of a bf16 weight is summed over the rows in f32, from what is there, and rounded once.
// CHECK-LABEL: func @weight_gradient
// CHECK-SAME: %[[BEFORE:[a-z0-9]+]]: tensor<64xbf16>)
// CHECK: %[[START:.*]] = linalg.generic {{.*}} ins(%[[BEFORE]] : tensor<64xbf16>) outs(%{{.*}} : tensor<64xf32>)
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]} {{.*}} outs(%[[START]] : tensor<64xf32>)
// CHECK: %[[ROUNDED:.*]] = linalg.generic {{.*}} ins(%[[SUM]] : tensor<64xf32>) outs(%[[BEFORE]] : tensor<64xbf16>)
// CHECK: return %[[ROUNDED]]
func.func @weight_gradient(%x: tensor<8x64xbf16>, %w: tensor<64xbf16>, %before: tensor<64xbf16>) -> tensor<64xbf16> {
  %dx, %dw = bpt.rms_norm_grad {eps = 1.0e-6 : f64} cotangent(%x : tensor<8x64xbf16>) ins(%x : tensor<8x64xbf16>)
    weight(%w : tensor<64xbf16>) outs(%x, %before : tensor<8x64xbf16>, tensor<64xbf16>) -> tensor<8x64xbf16>, tensor<64xbf16>
  return %dw : tensor<64xbf16>
}

// -----

// Element d and its partner, half the head dim away.
// CHECK-DAG: #[[$SELF:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, d3)>
// CHECK-DAG: #[[$PARTNER:.*]] = affine_map<(d0, d1, d2, d3) -> (d0, d1, d2, (d3 + 8) mod 16)>
// CHECK-DAG: #[[$ANGLE:.*]] = affine_map<(d0, d1, d2, d3) -> (d1, d3 mod 8)>
// CHECK-LABEL: func @rotary
// CHECK-SAME: (%[[X:.*]]: tensor<2x8x4x16xf32>)
// CHECK: math.powf
// CHECK: linalg.generic {indexing_maps = [#[[$SELF]], #[[$PARTNER]], #[[$ANGLE]], #[[$SELF]]], {{.*}} ins(%[[X]], %[[X]],
func.func @rotary(%x: tensor<2x8x4x16xf32>) -> tensor<2x8x4x16xf32> {
  %y = bpt.rotary {theta = 10000.0 : f64} ins(%x : tensor<2x8x4x16xf32>) outs(%x : tensor<2x8x4x16xf32>) -> tensor<2x8x4x16xf32>
  return %y : tensor<2x8x4x16xf32>
}

// -----

// The element index is that of the flattened trailing dims.
// CHECK-LABEL: func @dropout
// CHECK: %[[E:.*]] = linalg.index 2
// CHECK: %[[ROW:.*]] = arith.muli %[[E]], %{{.*}} : index
// CHECK: %[[F:.*]] = linalg.index 3
// CHECK: arith.addi %[[ROW]], %[[F]] : index
// CHECK-COUNT-20: arith.mului_extended
func.func @dropout(%x: tensor<2x8x4x16xf32>, %seed: tensor<i64>) -> tensor<2x8x4x16xf32> {
  %y = bpt.dropout {probability = 0.1 : f64} ins(%x : tensor<2x8x4x16xf32>) seed(%seed : tensor<i64>)
    outs(%x : tensor<2x8x4x16xf32>) -> tensor<2x8x4x16xf32>
  return %y : tensor<2x8x4x16xf32>
}
