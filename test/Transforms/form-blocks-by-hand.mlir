// Layers somebody wrote by hand: unfused projections by [out, in] weights in any order, a feed-forward layer of two products, arith on
// tensors, segments and a bias; no name or attribute helps.
// RUN: bpt-opt %s --split-input-file --bpt-form-blocks=block=4 | FileCheck %s
// RUN: bpt-opt %s --split-input-file --bpt-form-blocks=block=4 --remark-format=emitRemark --remarks-filter=bpt.* -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: remark: [Passed] layer {{.*}} Remark="layer of 40 ops, 2 results, then 1, in blocks of 4 of 13 rows, keep input"
// CHECK-LABEL: func.func @loss(
// CHECK: bpt.checkpoint keep(input)
// CHECK: %[[KV:.*]]:2 = bpt.blockwise {{.*}} dims = [1, 1, 1] block = 4
// CHECK-COUNT-2: linalg.contract
// CHECK-NOT: linalg.contract
// CHECK: bpt.yield
// CHECK: bpt.blockwise {{.*}} dims = [1, 1] block = 4
// CHECK: linalg.contract
// CHECK: bpt.attention
// CHECK: linalg.contract
// CHECK: arith.addf
// CHECK: bpt.rms_norm
// CHECK: linalg.contract {{.*}} -> tensor<2x?x40xf64>
// A constant the region captures comes along.
// CHECK: arith.maximumf
// CHECK: linalg.contract {{.*}} -> tensor<2x?x16xf64>
// CHECK: arith.addf {{.*}} : tensor<2x?x16xf64>
// CHECK: bpt.yield
// CHECK: bpt.yield
// CHECK: return
#row = affine_map<(b, s, n, k) -> (b, s, k)>
#in_out = affine_map<(b, s, n, k) -> (k, n)>
#out_in = affine_map<(b, s, n, k) -> (n, k)>
#res = affine_map<(b, s, n, k) -> (b, s, n)>
#id3 = affine_map<(a, b, c) -> (a, b, c)>
#last = affine_map<(a, b, c) -> (c)>
#red = affine_map<(a, b, c) -> (a, b)>
func.func @loss(%x: tensor<2x13x16xf64>, %n10: tensor<16xf64>, %n20: tensor<16xf64>, %a0: tensor<16x16xf64>, %b0: tensor<16x16xf64>, %c0: tensor<16x16xf64>, %d0: tensor<16x16xf64>, %e0: tensor<40x16xf64>, %f0: tensor<16x40xf64>) -> tensor<2x13x16xf64> {
  %v1 = tensor.empty() : tensor<2x13x16xf64>
  %v2 = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%x : tensor<2x13x16xf64>) weight(%n10 : tensor<16xf64>) outs(%v1 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v3 = arith.constant 0.0 : f64
  %v4 = tensor.empty() : tensor<2x13x16xf64>
  %v5 = linalg.fill ins(%v3 : f64) outs(%v4 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v6 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v2, %a0 : tensor<2x13x16xf64>, tensor<16x16xf64>) outs(%v5 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v7 = tensor.expand_shape %v6 [[0], [1], [2, 3]] output_shape [2, 13, 4, 4] : tensor<2x13x16xf64> into tensor<2x13x4x4xf64>
  %v8 = arith.constant 0.0 : f64
  %v9 = tensor.empty() : tensor<2x13x16xf64>
  %v10 = linalg.fill ins(%v8 : f64) outs(%v9 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v11 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v2, %c0 : tensor<2x13x16xf64>, tensor<16x16xf64>) outs(%v10 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v12 = tensor.expand_shape %v11 [[0], [1], [2, 3]] output_shape [2, 13, 4, 4] : tensor<2x13x16xf64> into tensor<2x13x4x4xf64>
  %v13 = arith.constant 0.0 : f64
  %v14 = tensor.empty() : tensor<2x13x16xf64>
  %v15 = linalg.fill ins(%v13 : f64) outs(%v14 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v16 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v2, %b0 : tensor<2x13x16xf64>, tensor<16x16xf64>) outs(%v15 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v17 = tensor.expand_shape %v16 [[0], [1], [2, 3]] output_shape [2, 13, 4, 4] : tensor<2x13x16xf64> into tensor<2x13x4x4xf64>
  %v18 = tensor.empty() : tensor<2x13x4x4xf64>
  %v19 = tensor.empty() : tensor<2x4x13xf64>
  %v20:2 = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64} ins(%v12, %v17, %v7 : tensor<2x13x4x4xf64>, tensor<2x13x4x4xf64>, tensor<2x13x4x4xf64>)  outs(%v18, %v19 : tensor<2x13x4x4xf64>, tensor<2x4x13xf64>) -> tensor<2x13x4x4xf64>, tensor<2x4x13xf64>
  %v21 = tensor.collapse_shape %v20#0 [[0], [1], [2, 3]] : tensor<2x13x4x4xf64> into tensor<2x13x16xf64>
  %v22 = arith.constant 0.0 : f64
  %v23 = tensor.empty() : tensor<2x13x16xf64>
  %v24 = linalg.fill ins(%v22 : f64) outs(%v23 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v25 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v21, %d0 : tensor<2x13x16xf64>, tensor<16x16xf64>) outs(%v24 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v26 = arith.addf %v25, %x : tensor<2x13x16xf64>
  %v27 = tensor.empty() : tensor<2x13x16xf64>
  %v28 = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%v26 : tensor<2x13x16xf64>) weight(%n20 : tensor<16xf64>) outs(%v27 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v29 = arith.constant 0.0 : f64
  %v30 = tensor.empty() : tensor<2x13x40xf64>
  %v31 = linalg.fill ins(%v29 : f64) outs(%v30 : tensor<2x13x40xf64>) -> tensor<2x13x40xf64>
  %v32 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v28, %e0 : tensor<2x13x16xf64>, tensor<40x16xf64>) outs(%v31 : tensor<2x13x40xf64>) -> tensor<2x13x40xf64>
  %v33 = arith.constant 0.0 : f64
  %v34 = tensor.empty() : tensor<2x13x40xf64>
  %v35 = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%v32 : tensor<2x13x40xf64>) outs(%v34 : tensor<2x13x40xf64>) {
  ^bb0(%a: f64, %b: f64):
    %m = arith.maximumf %a, %v33 : f64
    linalg.yield %m : f64
  } -> tensor<2x13x40xf64>
  %v36 = arith.constant 0.0 : f64
  %v37 = tensor.empty() : tensor<2x13x16xf64>
  %v38 = linalg.fill ins(%v36 : f64) outs(%v37 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v39 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v35, %f0 : tensor<2x13x40xf64>, tensor<16x40xf64>) outs(%v38 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v40 = arith.addf %v26, %v39 : tensor<2x13x16xf64>
  return %v40 : tensor<2x13x16xf64>
}

// -----

// Segments of the queries are cut along their rows, those of the keys are whole; the bias is cut along its rows.
// REMARK: remark: [Passed] layer
// CHECK-LABEL: func.func @loss(
// CHECK-SAME: %[[X:.*]]: tensor<2x13x16xf64>, %[[IDS:.*]]: tensor<2x13xi32>, %[[BIAS:.*]]: tensor<1x4x13x13xf64>
// CHECK: bpt.blockwise
// CHECK: bpt.blockwise sliced(%{{[^,]*}}, %[[BIASB:[^,]*]], %[[IDSB:[^,]*]] : tensor<2x13x16xf64>, tensor<1x4x13x13xf64>, tensor<2x13xi32>) shared({{.*}}%[[IDSB]]{{.*}}) dims = [1, 2, 1, 1] block = 4
// CHECK: bpt.attention {{.*}} bias(%{{.*}} : tensor<1x4x?x13xf64>) segments(%{{.*}}, %{{.*}} : tensor<2x?xi32>, tensor<2x13xi32>) offset(
#row = affine_map<(b, s, n, k) -> (b, s, k)>
#in_out = affine_map<(b, s, n, k) -> (k, n)>
#out_in = affine_map<(b, s, n, k) -> (n, k)>
#res = affine_map<(b, s, n, k) -> (b, s, n)>
#id3 = affine_map<(a, b, c) -> (a, b, c)>
#last = affine_map<(a, b, c) -> (c)>
#red = affine_map<(a, b, c) -> (a, b)>
func.func @loss(%x: tensor<2x13x16xf64>, %ids: tensor<2x13xi32>, %bias: tensor<1x4x13x13xf64>, %n10: tensor<16xf64>, %n20: tensor<16xf64>, %a0: tensor<16x16xf64>, %b0: tensor<16x16xf64>, %c0: tensor<16x16xf64>, %d0: tensor<16x16xf64>, %e0: tensor<40x16xf64>, %f0: tensor<16x40xf64>) -> tensor<2x13x16xf64> {
  %v1 = tensor.empty() : tensor<2x13x16xf64>
  %v2 = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%x : tensor<2x13x16xf64>) weight(%n10 : tensor<16xf64>) outs(%v1 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v3 = arith.constant 0.0 : f64
  %v4 = tensor.empty() : tensor<2x13x16xf64>
  %v5 = linalg.fill ins(%v3 : f64) outs(%v4 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v6 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v2, %c0 : tensor<2x13x16xf64>, tensor<16x16xf64>) outs(%v5 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v7 = tensor.expand_shape %v6 [[0], [1], [2, 3]] output_shape [2, 13, 4, 4] : tensor<2x13x16xf64> into tensor<2x13x4x4xf64>
  %v8 = arith.constant 0.0 : f64
  %v9 = tensor.empty() : tensor<2x13x16xf64>
  %v10 = linalg.fill ins(%v8 : f64) outs(%v9 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v11 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v2, %b0 : tensor<2x13x16xf64>, tensor<16x16xf64>) outs(%v10 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v12 = tensor.expand_shape %v11 [[0], [1], [2, 3]] output_shape [2, 13, 4, 4] : tensor<2x13x16xf64> into tensor<2x13x4x4xf64>
  %v13 = arith.constant 0.0 : f64
  %v14 = tensor.empty() : tensor<2x13x16xf64>
  %v15 = linalg.fill ins(%v13 : f64) outs(%v14 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v16 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v2, %a0 : tensor<2x13x16xf64>, tensor<16x16xf64>) outs(%v15 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v17 = tensor.expand_shape %v16 [[0], [1], [2, 3]] output_shape [2, 13, 4, 4] : tensor<2x13x16xf64> into tensor<2x13x4x4xf64>
  %v18 = tensor.empty() : tensor<2x13x4x4xf64>
  %v19 = tensor.empty() : tensor<2x4x13xf64>
  %v20:2 = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64} ins(%v7, %v12, %v17 : tensor<2x13x4x4xf64>, tensor<2x13x4x4xf64>, tensor<2x13x4x4xf64>) bias(%bias : tensor<1x4x13x13xf64>) segments(%ids, %ids : tensor<2x13xi32>, tensor<2x13xi32>) outs(%v18, %v19 : tensor<2x13x4x4xf64>, tensor<2x4x13xf64>) -> tensor<2x13x4x4xf64>, tensor<2x4x13xf64>
  %v21 = tensor.collapse_shape %v20#0 [[0], [1], [2, 3]] : tensor<2x13x4x4xf64> into tensor<2x13x16xf64>
  %v22 = arith.constant 0.0 : f64
  %v23 = tensor.empty() : tensor<2x13x16xf64>
  %v24 = linalg.fill ins(%v22 : f64) outs(%v23 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v25 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v21, %d0 : tensor<2x13x16xf64>, tensor<16x16xf64>) outs(%v24 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v26 = arith.addf %x, %v25 : tensor<2x13x16xf64>
  return %v26 : tensor<2x13x16xf64>
}
