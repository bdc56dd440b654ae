// RUN: bpt-opt %s --bpt-form-blocks=block=16 | FileCheck %s
// RUN: bpt-opt %s --bpt-form-blocks=block=16 --canonicalize --cse | FileCheck %s --check-prefix=CSE
// RUN: bpt-opt %s --bpt-form-blocks=block=12 | FileCheck %s --check-prefix=ODD
// RUN: bpt-opt %s --bpt-form-blocks=block=4096 | FileCheck %s --check-prefix=ONE
// RUN: bpt-opt %s --bpt-form-blocks="block=16 keep=attention" | FileCheck %s --check-prefix=KEEP
// RUN: bpt-opt %s --bpt-form-blocks=strategy=vanilla | FileCheck %s --check-prefix=VANILLA
// RUN: bpt-opt %s --bpt-form-blocks="strategy=memory-efficient block=16" | FileCheck %s --check-prefix=EFFICIENT

#row = affine_map<(b, s, n, k) -> (b, s, k)>
#weight = affine_map<(b, s, n, k) -> (k, n)>
#out = affine_map<(b, s, n, k) -> (b, s, n)>

// The projection is split by slices of its weight; keys and values come first, everything else in one map behind them.
// CHECK-LABEL: func.func @loss(
// CHECK-SAME: %[[X:.*]]: tensor<2x32x8xf32>, %[[N:.*]]: tensor<8xf32>, %[[W:.*]]: tensor<8x24xf32>
// CHECK: bpt.checkpoint keep(input) inputs(%[[X]], %[[N]], %[[W]],
// CHECK-NEXT: ^bb0(%[[X1:.*]]: tensor<2x32x8xf32>, %[[N1:[^:]*]]: tensor<8xf32>, %[[W1:[^:]*]]: tensor<8x24xf32>
// CHECK-DAG: %[[WQ:.*]] = tensor.extract_slice %[[W1]][0, 0] [8, 8] [1, 1]
// CHECK-DAG: %[[WK:.*]] = tensor.extract_slice %[[W1]][0, 8] [8, 8] [1, 1]
// CHECK-DAG: %[[WV:.*]] = tensor.extract_slice %[[W1]][0, 16] [8, 8] [1, 1]
// CHECK: %[[KV:.*]]:2 = bpt.blockwise sliced(%[[X1]] : tensor<2x32x8xf32>) shared(%[[N1]], %[[WK]], %[[WV]] : {{.*}}) dims = [1, 1, 1] block = 16
// CHECK: bpt.rms_norm
// CHECK-COUNT-2: linalg.contract {{.*}} -> tensor<2x16x8xf32>
// CHECK-NOT: linalg.contract
// CHECK: bpt.yield
// CHECK: %[[K:.*]] = tensor.expand_shape %[[KV]]#0
// CHECK: %[[V:.*]] = tensor.expand_shape %[[KV]]#1
// CHECK: bpt.blockwise sliced(%[[X1]] : tensor<2x32x8xf32>) shared(%[[N1]], %[[WQ]], %[[K]], %[[V]],{{.*}}) dims = [1, 1] block = 16
// CHECK: ^bb0(%[[OFFSET:.*]]: index, %[[XB:.*]]: tensor<2x16x8xf32>
// CHECK: bpt.rms_norm
// CHECK: linalg.contract {{.*}} -> tensor<2x16x8xf32>
// CHECK: bpt.attention {{.*}} offset(%[[OFFSET]])
// CHECK: linalg.add ins(%[[XB]],
// CHECK: bpt.feed_forward
// CHECK: linalg.add
// CHECK: bpt.yield
// The norm behind the layer stays outside.
// CHECK: } -> tensor<2x32x8xf32>
// CHECK: } -> tensor<2x32x8xf32>
// CHECK-NEXT: bpt.rms_norm

// Both maps go on computing the norm.
// CSE: bpt.blockwise
// CSE: bpt.rms_norm
// CSE: bpt.blockwise
// CSE: bpt.rms_norm
// CSE: bpt.attention

// ODD-COUNT-2: bpt.blockwise {{.*}} block = 12
// ODD: bpt.attention {{.*}} -> tensor<2x?x2x4xf32>, tensor<2x2x?xf32>

// ONE-COUNT-2: bpt.blockwise {{.*}} block = 32
// ONE: bpt.attention {{.*}} -> tensor<2x32x2x4xf32>, tensor<2x2x32xf32>

// KEEP: bpt.checkpoint keep(attention)

// VANILLA: bpt.checkpoint keep(all)
// VANILLA-NOT: bpt.blockwise
// VANILLA: bpt.attention {{.*}} -> tensor<2x32x2x4xf32>, tensor<2x2x32xf32>, tensor<2x2x32x32xf32>

// EFFICIENT: bpt.checkpoint keep(all)
// EFFICIENT-NOT: bpt.blockwise
// EFFICIENT: linalg.contract {{.*}} -> tensor<2x32x24xf32>
// EFFICIENT: bpt.attention {{.*}} -> tensor<2x32x2x4xf32>, tensor<2x2x32xf32>
// All is kept, the hidden of the feed-forward layer, too.
// EFFICIENT: bpt.feed_forward {{.*}} -> tensor<2x32x8xf32>, tensor<2x32x16xf32>
func.func @loss(%x: tensor<2x32x8xf32>, %n: tensor<8xf32>, %w: tensor<8x24xf32>, %up: tensor<8x16xf32>,
                %down: tensor<16x8xf32>) -> tensor<2x32x8xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x32x8xf32>
  %norm = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%x : tensor<2x32x8xf32>) weight(%n : tensor<8xf32>)
    outs(%e : tensor<2x32x8xf32>) -> tensor<2x32x8xf32>
  %e0 = tensor.empty() : tensor<2x32x24xf32>
  %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<2x32x24xf32>) -> tensor<2x32x24xf32>
  %qkv = linalg.contract indexing_maps = [#row, #weight, #out] ins(%norm, %w : tensor<2x32x8xf32>, tensor<8x24xf32>)
    outs(%f0 : tensor<2x32x24xf32>) -> tensor<2x32x24xf32>
  %q = tensor.extract_slice %qkv[0, 0, 0] [2, 32, 8] [1, 1, 1] : tensor<2x32x24xf32> to tensor<2x32x8xf32>
  %k = tensor.extract_slice %qkv[0, 0, 8] [2, 32, 8] [1, 1, 1] : tensor<2x32x24xf32> to tensor<2x32x8xf32>
  %v = tensor.extract_slice %qkv[0, 0, 16] [2, 32, 8] [1, 1, 1] : tensor<2x32x24xf32> to tensor<2x32x8xf32>
  %qh = tensor.expand_shape %q [[0], [1], [2, 3]] output_shape [2, 32, 2, 4] : tensor<2x32x8xf32> into tensor<2x32x2x4xf32>
  %kh = tensor.expand_shape %k [[0], [1], [2, 3]] output_shape [2, 32, 2, 4] : tensor<2x32x8xf32> into tensor<2x32x2x4xf32>
  %vh = tensor.expand_shape %v [[0], [1], [2, 3]] output_shape [2, 32, 2, 4] : tensor<2x32x8xf32> into tensor<2x32x2x4xf32>
  %e1 = tensor.empty() : tensor<2x32x2x4xf32>
  %e2 = tensor.empty() : tensor<2x2x32xf32>
  %a, %lse = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64}
    ins(%qh, %kh, %vh : tensor<2x32x2x4xf32>, tensor<2x32x2x4xf32>, tensor<2x32x2x4xf32>)
    outs(%e1, %e2 : tensor<2x32x2x4xf32>, tensor<2x2x32xf32>) -> tensor<2x32x2x4xf32>, tensor<2x2x32xf32>
  %merged = tensor.collapse_shape %a [[0], [1], [2, 3]] : tensor<2x32x2x4xf32> into tensor<2x32x8xf32>
  %h = linalg.add ins(%x, %merged : tensor<2x32x8xf32>, tensor<2x32x8xf32>) outs(%e : tensor<2x32x8xf32>)
    -> tensor<2x32x8xf32>
  %f = bpt.feed_forward ins(%h : tensor<2x32x8xf32>) up(%up : tensor<8x16xf32>) down(%down : tensor<16x8xf32>)
    outs(%e : tensor<2x32x8xf32>) -> tensor<2x32x8xf32>
  %y = linalg.add ins(%h, %f : tensor<2x32x8xf32>, tensor<2x32x8xf32>) outs(%e : tensor<2x32x8xf32>)
    -> tensor<2x32x8xf32>
  %z = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%y : tensor<2x32x8xf32>) weight(%n : tensor<8xf32>)
    outs(%e : tensor<2x32x8xf32>) -> tensor<2x32x8xf32>
  return %z : tensor<2x32x8xf32>
}
