// Layers whose results are not one activation: keys and values that the next layer takes as well, and nothing behind groups of heads.
// RUN: bpt-opt %s --split-input-file --bpt-form-blocks="block=4 heads=1" | FileCheck %s --check-prefix=HEADS
// RUN: bpt-opt %s --split-input-file --bpt-form-blocks=block=4 | FileCheck %s

// CHECK-LABEL: func.func @loss(
// CHECK: %[[LAYER:.*]]:3 = bpt.checkpoint keep(input)
// CHECK: %[[KV:.*]]:2 = bpt.blockwise {{.*}} dims = [1, 1, 1] block = 4
// CHECK: %[[K:.*]] = tensor.expand_shape %[[KV]]#0
// CHECK: %[[V:.*]] = tensor.expand_shape %[[KV]]#1
// CHECK: %[[OUT:.*]] = bpt.blockwise
// CHECK: bpt.yield %[[OUT]], %[[K]], %[[V]]
// CHECK: bpt.checkpoint keep(input) inputs(%[[LAYER]]#0, {{.*}}%[[LAYER]]#1, %[[LAYER]]#2
// CHECK-NOT: dims = [1, 1, 1]
// CHECK: return
#row = affine_map<(b, s, n, k) -> (b, s, k)>
#in_out = affine_map<(b, s, n, k) -> (k, n)>
#res = affine_map<(b, s, n, k) -> (b, s, n)>
func.func @loss(%x: tensor<1x8x8xf32>, %wq: tensor<8x8xf32>, %wk: tensor<8x8xf32>, %wv: tensor<8x8xf32>, %wo: tensor<8x8xf32>) -> tensor<1x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %q0 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%x, %wq : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %k0 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%x, %wk : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %v0 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%x, %wv : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %q = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [1, 8, 2, 4] : tensor<1x8x8xf32> into tensor<1x8x2x4xf32>
  %k = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [1, 8, 2, 4] : tensor<1x8x8xf32> into tensor<1x8x2x4xf32>
  %v = tensor.expand_shape %v0 [[0], [1], [2, 3]] output_shape [1, 8, 2, 4] : tensor<1x8x8xf32> into tensor<1x8x2x4xf32>
  %o = tensor.empty() : tensor<1x8x2x4xf32>
  %l = tensor.empty() : tensor<1x2x8xf32>
  %out, %lse = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64} ins(%q, %k, %v : tensor<1x8x2x4xf32>, tensor<1x8x2x4xf32>, tensor<1x8x2x4xf32>) outs(%o, %l : tensor<1x8x2x4xf32>, tensor<1x2x8xf32>) -> tensor<1x8x2x4xf32>, tensor<1x2x8xf32>
  %flat = tensor.collapse_shape %out [[0], [1], [2, 3]] : tensor<1x8x2x4xf32> into tensor<1x8x8xf32>
  %y0 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%flat, %wo : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %y = arith.addf %y0, %x : tensor<1x8x8xf32>
  // The next layer takes keys and values of the one before.
  %r0 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%y, %wq : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %r = tensor.expand_shape %r0 [[0], [1], [2, 3]] output_shape [1, 8, 2, 4] : tensor<1x8x8xf32> into tensor<1x8x2x4xf32>
  %out2, %lse2 = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64} ins(%r, %k, %v : tensor<1x8x2x4xf32>, tensor<1x8x2x4xf32>, tensor<1x8x2x4xf32>) outs(%o, %l : tensor<1x8x2x4xf32>, tensor<1x2x8xf32>) -> tensor<1x8x2x4xf32>, tensor<1x2x8xf32>
  %flat2 = tensor.collapse_shape %out2 [[0], [1], [2, 3]] : tensor<1x8x2x4xf32> into tensor<1x8x8xf32>
  %y1 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%flat2, %wo : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %y2 = arith.addf %y1, %y : tensor<1x8x8xf32>
  return %y2 : tensor<1x8x8xf32>
}

// -----

// Two groups, each of a head; the second adds to what the first gives.
// HEADS: {{^//}} -----
// HEADS: func.func @loss(
// HEADS: bpt.checkpoint keep(input)
// HEADS: %[[FIRST:.*]] = bpt.checkpoint keep(input)
// HEADS: %[[SECOND:.*]] = bpt.checkpoint keep(input) inputs({{.*}}, %[[FIRST]] :
// HEADS: bpt.yield %[[SECOND]]
// HEADS: return
#row = affine_map<(b, s, n, k) -> (b, s, k)>
#in_out = affine_map<(b, s, n, k) -> (k, n)>
#res = affine_map<(b, s, n, k) -> (b, s, n)>
func.func @loss(%x: tensor<1x8x8xf32>, %wq: tensor<8x8xf32>, %wk: tensor<8x8xf32>, %wv: tensor<8x8xf32>, %wo: tensor<8x8xf32>) -> tensor<1x8x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<1x8x8xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %q0 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%x, %wq : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %k0 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%x, %wk : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %v0 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%x, %wv : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  %q = tensor.expand_shape %q0 [[0], [1], [2, 3]] output_shape [1, 8, 2, 4] : tensor<1x8x8xf32> into tensor<1x8x2x4xf32>
  %k = tensor.expand_shape %k0 [[0], [1], [2, 3]] output_shape [1, 8, 2, 4] : tensor<1x8x8xf32> into tensor<1x8x2x4xf32>
  %v = tensor.expand_shape %v0 [[0], [1], [2, 3]] output_shape [1, 8, 2, 4] : tensor<1x8x8xf32> into tensor<1x8x2x4xf32>
  %o = tensor.empty() : tensor<1x8x2x4xf32>
  %l = tensor.empty() : tensor<1x2x8xf32>
  %out, %lse = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64} ins(%q, %k, %v : tensor<1x8x2x4xf32>, tensor<1x8x2x4xf32>, tensor<1x8x2x4xf32>) outs(%o, %l : tensor<1x8x2x4xf32>, tensor<1x2x8xf32>) -> tensor<1x8x2x4xf32>, tensor<1x2x8xf32>
  %flat = tensor.collapse_shape %out [[0], [1], [2, 3]] : tensor<1x8x2x4xf32> into tensor<1x8x8xf32>
  %y0 = linalg.contract indexing_maps = [#row, #in_out, #res] ins(%flat, %wo : tensor<1x8x8xf32>, tensor<8x8xf32>) outs(%z : tensor<1x8x8xf32>) -> tensor<1x8x8xf32>
  return %y0 : tensor<1x8x8xf32>
}
