// Gradients of norms, rotary embedding, dropout, feed-forward, embedding and the loss.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=layer_norm},bpt-differentiate{function=rms_norm},bpt-differentiate{function=rotary},bpt-differentiate{function=dropout},bpt-differentiate{function=feed_forward},bpt-differentiate{function=hidden},bpt-differentiate{function=tied})' | FileCheck %s

// CHECK-LABEL: func.func @layer_norm.grad
func.func @layer_norm(%x: tensor<?x4xf32>, %w: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<?x4xf32> {
  // CHECK: %[[G:.*]]:3 = bpt.layer_norm_grad
  // CHECK: return %{{.*}}, %[[G]]#0, %[[G]]#1, %[[G]]#2
  %c0 = arith.constant 0 : index
  %d = tensor.dim %x, %c0 : tensor<?x4xf32>
  %o = tensor.empty(%d) : tensor<?x4xf32>
  %y = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<?x4xf32>) weight(%w : tensor<4xf32>) bias(%b : tensor<4xf32>)
    outs(%o : tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @rms_norm.grad
func.func @rms_norm(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  // CHECK: %[[G:.*]] = bpt.rms_norm_grad
  // CHECK: return %{{.*}}, %[[G]]
  %o = tensor.empty() : tensor<2x4xf32>
  %y = bpt.rms_norm {eps = 1.0e-5 : f64} ins(%x : tensor<2x4xf32>) outs(%o : tensor<2x4xf32>) -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// CHECK-LABEL: func.func @rotary.grad
// CHECK-SAME: %[[D:[^ ]*]]: tensor<1x4x2x8xf32> {bpt.name = "result0.cotangent"}
func.func @rotary(%x: tensor<1x4x2x8xf32>, %offset: index) -> tensor<1x4x2x8xf32> {
  // CHECK: bpt.rotary {inverse, theta = 1.000000e+04 : f64} ins(%[[D]] : {{.*}}) offset(
  %o = tensor.empty() : tensor<1x4x2x8xf32>
  %y = bpt.rotary {theta = 10000.0 : f64} ins(%x : tensor<1x4x2x8xf32>) offset(%offset) outs(%o : tensor<1x4x2x8xf32>)
    -> tensor<1x4x2x8xf32>
  return %y : tensor<1x4x2x8xf32>
}

// CHECK-LABEL: func.func @dropout.grad
// CHECK-SAME: %[[D:[^ ]*]]: tensor<1x4x8xf32> {bpt.name = "result0.cotangent"}
func.func @dropout(%x: tensor<1x4x8xf32>, %seed: tensor<i64>) -> tensor<1x4x8xf32> {
  // CHECK: bpt.dropout {probability = 1.000000e-01 : f64, stream = 3 : i64} ins(%[[D]] :
  %o = tensor.empty() : tensor<1x4x8xf32>
  %y = bpt.dropout {probability = 0.1 : f64, stream = 3 : i64} ins(%x : tensor<1x4x8xf32>) seed(%seed : tensor<i64>)
    outs(%o : tensor<1x4x8xf32>) -> tensor<1x4x8xf32>
  return %y : tensor<1x4x8xf32>
}

// CHECK-LABEL: func.func @feed_forward.grad
func.func @feed_forward(%x: tensor<2x4xf32>, %u: tensor<8x4xf32>, %g: tensor<8x4xf32>, %d: tensor<4x8xf32>) -> tensor<2x4xf32> {
  // CHECK: %[[G:.*]]:4 = bpt.feed_forward_grad {activation = #bpt.activation<silu>, weights_transposed}
  // CHECK: return %{{.*}}, %[[G]]#0, %[[G]]#1, %[[G]]#2, %[[G]]#3
  %o = tensor.empty() : tensor<2x4xf32>
  %y = bpt.feed_forward {activation = #bpt.activation<silu>, weights_transposed} ins(%x : tensor<2x4xf32>)
    up(%u : tensor<8x4xf32>) gate(%g : tensor<8x4xf32>) down(%d : tensor<4x8xf32>) outs(%o : tensor<2x4xf32>) -> tensor<2x4xf32>
  return %y : tensor<2x4xf32>
}

// A hidden that is there anyway is used.
// CHECK-LABEL: func.func @hidden.grad
func.func @hidden(%x: tensor<2x4xf32>, %u: tensor<4x8xf32>, %d: tensor<8x4xf32>) -> tensor<2x4xf32> {
  // CHECK: %[[Y:.*]]:2 = bpt.feed_forward
  // CHECK: bpt.feed_forward_grad {{.*}} hidden(%[[Y]]#1 :
  %o = tensor.empty() : tensor<2x4xf32>
  %h = tensor.empty() : tensor<2x8xf32>
  %y:2 = bpt.feed_forward ins(%x : tensor<2x4xf32>) up(%u : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%o, %h : tensor<2x4xf32>, tensor<2x8xf32>) -> tensor<2x4xf32>, tensor<2x8xf32>
  return %y#0 : tensor<2x4xf32>
}

// The loss's cotangent is 1; both ends of a tied embedding add into one buffer.
// CHECK-LABEL: func.func @tied.grad
func.func @tied(%table: tensor<11x4xf32> {bpt.name = "table"}, %ids: tensor<2x3xi32>, %targets: tensor<2x3xi32>) -> tensor<f32> {
  // CHECK: %[[ONE:.*]] = arith.constant 1.0
  // CHECK: %[[D:.*]] = linalg.fill ins(%[[ONE]] : f32)
  // CHECK: %[[G:.*]]:2 = bpt.linear_cross_entropy_grad {weights_transposed} cotangent(%[[D]] : tensor<f32>)
  // CHECK: %[[T:.*]] = bpt.embedding_grad cotangent(%[[G]]#0 : {{.*}} outs(%[[G]]#1 : tensor<11x4xf32>)
  // CHECK: return %{{.*}}, %[[T]]
  %o = tensor.empty() : tensor<2x3x4xf32>
  %x = bpt.embedding ins(%ids, %table : tensor<2x3xi32>, tensor<11x4xf32>) outs(%o : tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %l = tensor.empty() : tensor<f32>
  %s = tensor.empty() : tensor<2x3xf32>
  %y:2 = bpt.linear_cross_entropy {weights_transposed} ins(%x, %table, %targets : tensor<2x3x4xf32>, tensor<11x4xf32>, tensor<2x3xi32>)
    outs(%l, %s : tensor<f32>, tensor<2x3xf32>) -> tensor<f32>, tensor<2x3xf32>
  return %y#0 : tensor<f32>
}
