// A layer that is not row by row stays whole in its checkpoint; the remark names the op.
// RUN: bpt-opt %s --bpt-form-blocks=block=4 | FileCheck %s
// RUN: bpt-opt %s --bpt-form-blocks=block=4 --remark-format=emitRemark --remarks-filter=bpt.* -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// REMARK: remark: [Missed] layer {{.*}} Remark="layer is a checkpoint, but not blockwise: tensor.expand_shape is not row by row along the sequence"
// CHECK: bpt.checkpoint keep(input)
// CHECK-NOT: bpt.blockwise
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
  %v3 = tensor.collapse_shape %v2 [[0, 1], [2]] : tensor<2x13x16xf64> into tensor<26x16xf64>
  %v4 = arith.constant 0.0 : f64
  %v5 = tensor.empty() : tensor<26x16xf64>
  %v6 = linalg.fill ins(%v4 : f64) outs(%v5 : tensor<26x16xf64>) -> tensor<26x16xf64>
  %v7 = linalg.matmul ins(%v3, %c0 : tensor<26x16xf64>, tensor<16x16xf64>) outs(%v6 : tensor<26x16xf64>) -> tensor<26x16xf64>
  %v8 = tensor.expand_shape %v7 [[0, 1], [2]] output_shape [2, 13, 16] : tensor<26x16xf64> into tensor<2x13x16xf64>
  %v9 = tensor.expand_shape %v8 [[0], [1], [2, 3]] output_shape [2, 13, 4, 4] : tensor<2x13x16xf64> into tensor<2x13x4x4xf64>
  %v10 = tensor.collapse_shape %v2 [[0, 1], [2]] : tensor<2x13x16xf64> into tensor<26x16xf64>
  %v11 = arith.constant 0.0 : f64
  %v12 = tensor.empty() : tensor<26x16xf64>
  %v13 = linalg.fill ins(%v11 : f64) outs(%v12 : tensor<26x16xf64>) -> tensor<26x16xf64>
  %v14 = linalg.matmul ins(%v10, %b0 : tensor<26x16xf64>, tensor<16x16xf64>) outs(%v13 : tensor<26x16xf64>) -> tensor<26x16xf64>
  %v15 = tensor.expand_shape %v14 [[0, 1], [2]] output_shape [2, 13, 16] : tensor<26x16xf64> into tensor<2x13x16xf64>
  %v16 = tensor.expand_shape %v15 [[0], [1], [2, 3]] output_shape [2, 13, 4, 4] : tensor<2x13x16xf64> into tensor<2x13x4x4xf64>
  %v17 = tensor.collapse_shape %v2 [[0, 1], [2]] : tensor<2x13x16xf64> into tensor<26x16xf64>
  %v18 = arith.constant 0.0 : f64
  %v19 = tensor.empty() : tensor<26x16xf64>
  %v20 = linalg.fill ins(%v18 : f64) outs(%v19 : tensor<26x16xf64>) -> tensor<26x16xf64>
  %v21 = linalg.matmul ins(%v17, %a0 : tensor<26x16xf64>, tensor<16x16xf64>) outs(%v20 : tensor<26x16xf64>) -> tensor<26x16xf64>
  %v22 = tensor.expand_shape %v21 [[0, 1], [2]] output_shape [2, 13, 16] : tensor<26x16xf64> into tensor<2x13x16xf64>
  %v23 = tensor.expand_shape %v22 [[0], [1], [2, 3]] output_shape [2, 13, 4, 4] : tensor<2x13x16xf64> into tensor<2x13x4x4xf64>
  %v24 = tensor.empty() : tensor<2x13x4x4xf64>
  %v25 = tensor.empty() : tensor<2x4x13xf64>
  %v26:2 = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64} ins(%v9, %v16, %v23 : tensor<2x13x4x4xf64>, tensor<2x13x4x4xf64>, tensor<2x13x4x4xf64>)  outs(%v24, %v25 : tensor<2x13x4x4xf64>, tensor<2x4x13xf64>) -> tensor<2x13x4x4xf64>, tensor<2x4x13xf64>
  %v27 = tensor.collapse_shape %v26#0 [[0], [1], [2, 3]] : tensor<2x13x4x4xf64> into tensor<2x13x16xf64>
  %v28 = tensor.collapse_shape %v27 [[0, 1], [2]] : tensor<2x13x16xf64> into tensor<26x16xf64>
  %v29 = arith.constant 0.0 : f64
  %v30 = tensor.empty() : tensor<26x16xf64>
  %v31 = linalg.fill ins(%v29 : f64) outs(%v30 : tensor<26x16xf64>) -> tensor<26x16xf64>
  %v32 = linalg.matmul ins(%v28, %d0 : tensor<26x16xf64>, tensor<16x16xf64>) outs(%v31 : tensor<26x16xf64>) -> tensor<26x16xf64>
  %v33 = tensor.expand_shape %v32 [[0, 1], [2]] output_shape [2, 13, 16] : tensor<26x16xf64> into tensor<2x13x16xf64>
  %v34 = arith.addf %x, %v33 : tensor<2x13x16xf64>
  %v35 = tensor.empty() : tensor<2x13x16xf64>
  %v36 = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%v34 : tensor<2x13x16xf64>) weight(%n20 : tensor<16xf64>) outs(%v35 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v37 = arith.constant 0.0 : f64
  %v38 = tensor.empty() : tensor<2x13x40xf64>
  %v39 = linalg.fill ins(%v37 : f64) outs(%v38 : tensor<2x13x40xf64>) -> tensor<2x13x40xf64>
  %v40 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v36, %e0 : tensor<2x13x16xf64>, tensor<40x16xf64>) outs(%v39 : tensor<2x13x40xf64>) -> tensor<2x13x40xf64>
  %v41 = arith.constant 0.0 : f64
  %v42 = tensor.empty() : tensor<2x13x40xf64>
  %v43 = linalg.generic {indexing_maps = [#id3, #id3], iterator_types = ["parallel", "parallel", "parallel"]} ins(%v40 : tensor<2x13x40xf64>) outs(%v42 : tensor<2x13x40xf64>) {
  ^bb0(%a: f64, %b: f64):
    %m = arith.maximumf %a, %v41 : f64
    linalg.yield %m : f64
  } -> tensor<2x13x40xf64>
  %v44 = arith.constant 0.0 : f64
  %v45 = tensor.empty() : tensor<2x13x16xf64>
  %v46 = linalg.fill ins(%v44 : f64) outs(%v45 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v47 = linalg.contract indexing_maps = [#row, #out_in, #res] ins(%v43, %f0 : tensor<2x13x40xf64>, tensor<16x40xf64>) outs(%v46 : tensor<2x13x16xf64>) -> tensor<2x13x16xf64>
  %v48 = arith.addf %v34, %v47 : tensor<2x13x16xf64>
  return %v48 : tensor<2x13x16xf64>
}
