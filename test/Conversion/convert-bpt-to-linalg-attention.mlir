// Attention as loops over all scores; numbers are checked by the conformance list.
// RUN: bpt-opt %s --convert-bpt-to-linalg --canonicalize --split-input-file | FileCheck %s

// Scores, their maximum and sum, probabilities, the product with value; out and lse are written in place of the outs.
// CHECK-DAG: #[[$QUERY:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d2, d1, d4)>
// CHECK-DAG: #[[$KEY:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d3, d1, d4)>
// CHECK-DAG: #[[$SCORES:.*]] = affine_map<(d0, d1, d2, d3, d4) -> (d0, d1, d2, d3)>
// CHECK-LABEL: func @full
// CHECK-SAME: (%[[Q:.*]]: tensor<2x8x4x16xf32>, %[[K:.*]]: tensor<2x9x4x16xf32>, %[[OUT:.*]]: tensor<2x8x4x16xf32>, %[[LSE:.*]]: tensor<2x4x8xf32>)
// CHECK: linalg.generic {indexing_maps = [#[[$QUERY]], #[[$KEY]], #[[$SCORES]]], iterator_types = ["parallel", "parallel", "parallel", "parallel", "reduction"]} ins(%[[Q]], %[[K]] :
// CHECK: arith.maximumf
// CHECK: math.exp
// CHECK: math.log
// CHECK: linalg.generic {{.*}} outs(%{{.*}} : tensor<2x4x8x9xf32>)
// CHECK: %[[ZERO:.*]] = linalg.fill {{.*}} outs(%[[OUT]] :
// CHECK: linalg.generic {indexing_maps = [#[[$SCORES]], #[[$KEY]], #[[$QUERY]]], iterator_types = ["parallel", "parallel", "parallel", "reduction", "parallel"]} ins(%{{.*}}, %[[K]] : {{.*}}) outs(%[[ZERO]] :
// CHECK-NOT: bpt.
func.func @full(%q: tensor<2x8x4x16xf32>, %k: tensor<2x9x4x16xf32>, %o: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>)
    -> (tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) {
  %a, %lse = bpt.attention {scale = 0.25 : f64} ins(%q, %k, %k : tensor<2x8x4x16xf32>, tensor<2x9x4x16xf32>, tensor<2x9x4x16xf32>)
    outs(%o, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return %a, %lse : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
}

// -----

// Two query heads share a key head.
// CHECK: affine_map<(d0, d1, d2, d3, d4) -> (d0, d3, d1 floordiv 2, d4)>
// CHECK-LABEL: func @grouped
func.func @grouped(%q: tensor<?x?x4x16xf32>, %k: tensor<?x?x2x16xf32>, %l: tensor<?x4x?xf32>) -> tensor<?x?x4x16xf32> {
  %a, %lse = bpt.attention {scale = 0.25 : f64} ins(%q, %k, %k : tensor<?x?x4x16xf32>, tensor<?x?x2x16xf32>, tensor<?x?x2x16xf32>)
    outs(%q, %l : tensor<?x?x4x16xf32>, tensor<?x4x?xf32>) -> tensor<?x?x4x16xf32>, tensor<?x4x?xf32>
  return %a : tensor<?x?x4x16xf32>
}

// -----

// The mask speaks of global rows: the offset is added.
// CHECK-LABEL: func @causal_offset
// CHECK-SAME: %[[OFFSET:[a-z0-9]+]]: index)
// CHECK: %[[LOCAL:.*]] = linalg.index 2
// CHECK: %[[ROW:.*]] = arith.addi %[[LOCAL]], %[[OFFSET]]
// CHECK: %[[COLUMN:.*]] = linalg.index 3
// CHECK: arith.cmpi
// CHECK: arith.select
func.func @causal_offset(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %offset: index) -> tensor<2x8x4x16xf32> {
  %a, %lse = bpt.attention {scale = 0.25 : f64, mask = #bpt.causal}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) offset(%offset)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return %a : tensor<2x8x4x16xf32>
}

// -----

// bf16 is extended on the way in, everything is f32, and each result is rounded once.
// CHECK-LABEL: func @narrow
// CHECK-COUNT-2: arith.extf {{.*}} : bf16 to f32
// CHECK-NOT: f32 to bf16
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel", "parallel", "parallel", "reduction", "parallel"]} {{.*}} outs(%{{.*}} : tensor<2x8x4x16xf32>)
// CHECK: arith.truncf {{.*}} : f32 to bf16
// CHECK-NOT: arith.truncf
func.func @narrow(%q: tensor<2x8x4x16xbf16>, %o: tensor<2x8x4x16xbf16>, %l: tensor<2x4x8xf32>) -> tensor<2x8x4x16xbf16> {
  %a, %lse = bpt.attention {scale = 0.25 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xbf16>, tensor<2x8x4x16xbf16>, tensor<2x8x4x16xbf16>)
    outs(%o, %l : tensor<2x8x4x16xbf16>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xbf16>, tensor<2x4x8xf32>
  return %a : tensor<2x8x4x16xbf16>
}

// -----

// A bias of one row for all: its gradient sums over batch, heads and rows, on top of what is there.
// CHECK: #[[$BIAS:.*]] = affine_map<(d0, d1, d2, d3) -> (0, 0, 0, d3)>
// CHECK-LABEL: func @bias_gradient
// CHECK-SAME: %[[BEFORE:[a-z0-9]+]]: tensor<1x1x1x8xf32>)
// CHECK: linalg.generic {indexing_maps = [#{{.*}}, #[[$BIAS]]], iterator_types = ["reduction", "reduction", "reduction", "parallel"]} {{.*}} outs(%[[BEFORE]] :
func.func @bias_gradient(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %bias: tensor<1x1x1x8xf32>, %before: tensor<1x1x1x8xf32>)
    -> tensor<1x1x1x8xf32> {
  %dq, %dk, %dv, %db = bpt.attention_grad {scale = 0.25 : f64} cotangent(%q : tensor<2x8x4x16xf32>)
    ins(%q, %q, %q, %q, %l : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x4x8xf32>)
    bias(%bias : tensor<1x1x1x8xf32>)
    outs(%q, %q, %q, %before : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<1x1x1x8xf32>)
    -> tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<1x1x1x8xf32>
  return %db : tensor<1x1x1x8xf32>
}

// -----

// Ten rounds of Philox a score, and the threshold round(0.1 * 65536).
// CHECK-LABEL: func @dropout
// CHECK-COUNT-20: arith.mului_extended
// CHECK-NOT: arith.mului_extended
// CHECK: %[[KEPT:.*]] = arith.cmpi sgt, %{{.*}}, %c6554_i32
// CHECK: arith.select %[[KEPT]]
func.func @dropout(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %seed: tensor<i64>) -> tensor<2x8x4x16xf32> {
  %a, %lse = bpt.attention {scale = 0.25 : f64, dropout = 0.1 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) seed(%seed : tensor<i64>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return %a : tensor<2x8x4x16xf32>
}
