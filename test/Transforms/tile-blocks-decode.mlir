// RUN: bpt-opt %s --bpt-tile-blocks=cpu=x86-64-v4 | FileCheck %s

// One query of two heads against many keys: four work items for each head, whose sums [4][2][64], maxima and sums of exponentials
// lie in the workspace.
// CHECK-LABEL: func.func @decode(
// CHECK: tensor.empty() : tensor<2176xi8>
// CHECK: bpt.attention {{.*}} workspace(
func.func @decode(%q: tensor<1x1x2x64xf32>, %k: tensor<1x4096x2x64xf32>, %o: tensor<1x1x2x64xf32>, %l: tensor<1x2x1xf32>)
    -> (tensor<1x1x2x64xf32>, tensor<1x2x1xf32>) {
  %r:2 = bpt.attention {mask = #bpt.full, scale = 0.125 : f64} ins(%q, %k, %k : tensor<1x1x2x64xf32>, tensor<1x4096x2x64xf32>, tensor<1x4096x2x64xf32>)
    outs(%o, %l : tensor<1x1x2x64xf32>, tensor<1x2x1xf32>) -> tensor<1x1x2x64xf32>, tensor<1x2x1xf32>
  return %r#0, %r#1 : tensor<1x1x2x64xf32>, tensor<1x2x1xf32>
}

// A long query has blocks enough: no workspace.
// CHECK-LABEL: func.func @prefill(
// CHECK-NOT: workspace
// CHECK: return
func.func @prefill(%q: tensor<1x4096x2x64xf32>, %k: tensor<1x4096x2x64xf32>, %o: tensor<1x4096x2x64xf32>, %l: tensor<1x2x4096xf32>)
    -> (tensor<1x4096x2x64xf32>, tensor<1x2x4096xf32>) {
  %r:2 = bpt.attention {mask = #bpt.full, scale = 0.125 : f64} ins(%q, %k, %k : tensor<1x4096x2x64xf32>, tensor<1x4096x2x64xf32>, tensor<1x4096x2x64xf32>)
    outs(%o, %l : tensor<1x4096x2x64xf32>, tensor<1x2x4096xf32>) -> tensor<1x4096x2x64xf32>, tensor<1x2x4096xf32>
  return %r#0, %r#1 : tensor<1x4096x2x64xf32>, tensor<1x2x4096xf32>
}
