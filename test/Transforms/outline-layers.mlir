// RUN: bpt-opt %s --bpt-outline-layers --split-input-file | FileCheck %s

// Equal bodies become one function; operands are free.
// CHECK-LABEL: func.func @equal(
// CHECK-SAME: %[[X:.*]]: tensor<2x8x4xf32>, %[[W0:.*]]: tensor<4xf32>, %[[W1:.*]]: tensor<4xf32>
// CHECK: %[[A:.*]] = bpt.checkpoint @layer keep(input) inputs(%[[X]], %[[W0]] :
// CHECK: %[[B:.*]] = bpt.checkpoint @layer keep(all) inputs(%[[A]], %[[W1]] :
// CHECK: return %[[B]]
// CHECK: func.func private @layer(%[[XB:.*]]: tensor<2x8x4xf32>, %[[W:.*]]: tensor<4xf32>) -> tensor<2x8x4xf32>
// CHECK: %[[R:.*]] = bpt.rms_norm {{.*}} ins(%[[XB]] : {{.*}} weight(%[[W]]
// CHECK: return %[[R]]
func.func @equal(%x: tensor<2x8x4xf32>, %w0: tensor<4xf32>, %w1: tensor<4xf32>) -> tensor<2x8x4xf32> {
  %a = bpt.checkpoint keep(input) inputs(%x, %w0 : tensor<2x8x4xf32>, tensor<4xf32>) {
  ^bb0(%xb: tensor<2x8x4xf32>, %w: tensor<4xf32>):
    %o = tensor.empty() : tensor<2x8x4xf32>
    %r = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xb : tensor<2x8x4xf32>) weight(%w : tensor<4xf32>)
      outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
    bpt.yield %r : tensor<2x8x4xf32>
  } -> tensor<2x8x4xf32>
  %b = bpt.checkpoint keep(all) inputs(%a, %w1 : tensor<2x8x4xf32>, tensor<4xf32>) {
  ^bb0(%xb: tensor<2x8x4xf32>, %w: tensor<4xf32>):
    %o = tensor.empty() : tensor<2x8x4xf32>
    %r = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xb : tensor<2x8x4xf32>) weight(%w : tensor<4xf32>)
      outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
    bpt.yield %r : tensor<2x8x4xf32>
  } -> tensor<2x8x4xf32>
  return %b : tensor<2x8x4xf32>
}

// -----

// Another attribute is another layer, and one layer alone stays in its place.
// CHECK-LABEL: func.func @different(
// CHECK-NOT: @layer
// CHECK: eps = 9.9999999999999995E-7
// CHECK: eps = 1.000000e-05
func.func @different(%x: tensor<2x8x4xf32>) -> tensor<2x8x4xf32> {
  %a = bpt.checkpoint keep(input) inputs(%x : tensor<2x8x4xf32>) {
  ^bb0(%xb: tensor<2x8x4xf32>):
    %o = tensor.empty() : tensor<2x8x4xf32>
    %r = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xb : tensor<2x8x4xf32>) outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
    bpt.yield %r : tensor<2x8x4xf32>
  } -> tensor<2x8x4xf32>
  %b = bpt.checkpoint keep(input) inputs(%a : tensor<2x8x4xf32>) {
  ^bb0(%xb: tensor<2x8x4xf32>):
    %o = tensor.empty() : tensor<2x8x4xf32>
    %r = bpt.rms_norm {eps = 1.0e-5 : f64} ins(%xb : tensor<2x8x4xf32>) outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
    bpt.yield %r : tensor<2x8x4xf32>
  } -> tensor<2x8x4xf32>
  return %b : tensor<2x8x4xf32>
}

// -----

// Streams that are all ahead by 2: the second layer's seed is 2 * 0x9E3779B97F4A7C15 further. A taken name is skipped.
// CHECK-LABEL: func.func @streams(
// CHECK-SAME: %[[X:.*]]: tensor<2x8x4xf32>, %[[SEED:.*]]: tensor<i64>
// CHECK: %[[A:.*]] = bpt.checkpoint @layer_1 keep(input) inputs(%[[X]], %[[SEED]] :
// CHECK: %[[STEP:.*]] = arith.constant 4354685564936845354 : i64
// CHECK: %[[MIXED:.*]] = linalg.generic {{.*}} ins(%[[SEED]] : tensor<i64>)
// CHECK: arith.addi %{{.*}}, %[[STEP]] : i64
// CHECK: bpt.checkpoint @layer_1 keep(input) inputs(%[[A]], %[[MIXED]] :
// CHECK: func.func private @layer_1(
// CHECK: bpt.dropout {{.*}}stream = 1 : i64
func.func private @layer()
func.func @streams(%x: tensor<2x8x4xf32>, %seed: tensor<i64>) -> tensor<2x8x4xf32> {
  %a = bpt.checkpoint keep(input) inputs(%x, %seed : tensor<2x8x4xf32>, tensor<i64>) {
  ^bb0(%xb: tensor<2x8x4xf32>, %s: tensor<i64>):
    %o = tensor.empty() : tensor<2x8x4xf32>
    %r = bpt.dropout {probability = 0.5 : f64, stream = 1 : i64} ins(%xb : tensor<2x8x4xf32>) seed(%s : tensor<i64>)
      outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
    bpt.yield %r : tensor<2x8x4xf32>
  } -> tensor<2x8x4xf32>
  %b = bpt.checkpoint keep(input) inputs(%a, %seed : tensor<2x8x4xf32>, tensor<i64>) {
  ^bb0(%xb: tensor<2x8x4xf32>, %s: tensor<i64>):
    %o = tensor.empty() : tensor<2x8x4xf32>
    %r = bpt.dropout {probability = 0.5 : f64, stream = 3 : i64} ins(%xb : tensor<2x8x4xf32>) seed(%s : tensor<i64>)
      outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
    bpt.yield %r : tensor<2x8x4xf32>
  } -> tensor<2x8x4xf32>
  return %b : tensor<2x8x4xf32>
}
