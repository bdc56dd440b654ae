// Gradient of bpt.attention.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=plain},bpt-differentiate{function=everything},bpt-differentiate{function=same wrt=x},bpt-differentiate{function=probabilities})' | FileCheck %s

// CHECK-LABEL: func.func @plain.grad
func.func @plain(%q: tensor<2x?x4x8xf32>, %k: tensor<2x?x2x8xf32>, %v: tensor<2x?x2x8xf32>, %o: tensor<2x?x4x8xf32>,
                 %l: tensor<2x4x?xf32>) -> tensor<2x?x4x8xf32> {
  // CHECK: %[[FORWARD:.*]]:2 = bpt.attention
  // CHECK: %[[GRAD:.*]]:3 = bpt.attention_grad {mask = #bpt.causal, scale = 5.000000e-01 : f64} cotangent(%{{[^ ]*}} : tensor<2x?x4x8xf32>) ins(%{{.*}}, %{{.*}}, %{{.*}}, %[[FORWARD]]#0, %[[FORWARD]]#1 :
  // CHECK: return %[[FORWARD]]#0, %[[GRAD]]#0, %[[GRAD]]#1, %[[GRAD]]#2
  %a:2 = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64}
    ins(%q, %k, %v : tensor<2x?x4x8xf32>, tensor<2x?x2x8xf32>, tensor<2x?x2x8xf32>)
    outs(%o, %l : tensor<2x?x4x8xf32>, tensor<2x4x?xf32>) -> tensor<2x?x4x8xf32>, tensor<2x4x?xf32>
  return %a#0 : tensor<2x?x4x8xf32>
}

// Bias, segments, offset, dropout, softcap, and a cotangent of lse.
// CHECK-LABEL: func.func @everything.grad
func.func @everything(%q: tensor<1x4x2x8xf32>, %b: tensor<1x2x4x4xf32>, %s: tensor<1x4xi32>, %offset: index,
                      %seed: tensor<i64>) -> (tensor<1x4x2x8xf32>, tensor<1x2x4xf32>) {
  // CHECK: bpt.attention_grad {dropout = 1.000000e-01 : f64, scale = 5.000000e-01 : f64, softcap = 3.000000e+01 : f64, stream = 7 : i64}
  // CHECK-SAME: lse_cotangent(
  // CHECK-SAME: bias(
  // CHECK-SAME: segments(
  // CHECK-SAME: offset(
  // CHECK-SAME: seed(
  %o = tensor.empty() : tensor<1x4x2x8xf32>
  %l = tensor.empty() : tensor<1x2x4xf32>
  %a:2 = bpt.attention {scale = 0.5 : f64, softcap = 30.0 : f64, dropout = 0.1 : f64, stream = 7 : i64}
    ins(%q, %q, %q : tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>) bias(%b : tensor<1x2x4x4xf32>)
    segments(%s, %s : tensor<1x4xi32>, tensor<1x4xi32>) offset(%offset) seed(%seed : tensor<i64>)
    outs(%o, %l : tensor<1x4x2x8xf32>, tensor<1x2x4xf32>) -> tensor<1x4x2x8xf32>, tensor<1x2x4xf32>
  return %a#0, %a#1 : tensor<1x4x2x8xf32>, tensor<1x2x4xf32>
}

// An operand given three times: each out is a tensor of its own, the sum is the gradient.
// CHECK-LABEL: func.func @same.grad
func.func @same(%x: tensor<1x4x2x8xf32> {bpt.name = "x"}) -> tensor<1x4x2x8xf32> {
  // CHECK: %[[GRAD:.*]]:3 = bpt.attention_grad
  // CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[GRAD]]#1 : {{.*}}) outs(%[[GRAD]]#0 :
  // CHECK: %[[ALL:.*]] = linalg.generic {{.*}} ins(%[[GRAD]]#2 : {{.*}}) outs(%[[SUM]] :
  // CHECK: return %{{.*}}, %[[ALL]]
  %o = tensor.empty() : tensor<1x4x2x8xf32>
  %l = tensor.empty() : tensor<1x2x4xf32>
  %a:2 = bpt.attention {scale = 0.5 : f64}
    ins(%x, %x, %x : tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>)
    outs(%o, %l : tensor<1x4x2x8xf32>, tensor<1x2x4xf32>) -> tensor<1x4x2x8xf32>, tensor<1x2x4xf32>
  return %a#0 : tensor<1x4x2x8xf32>
}

// CHECK-LABEL: func.func @probabilities.grad
func.func @probabilities(%q: tensor<1x4x2x8xf32>, %k: tensor<1x4x2x8xf32>, %v: tensor<1x4x2x8xf32>) -> tensor<1x4x2x8xf32> {
  // CHECK: %[[FORWARD:.*]]:3 = bpt.attention
  // CHECK: bpt.attention_grad {{.*}} probabilities(%[[FORWARD]]#2 :
  %o = tensor.empty() : tensor<1x4x2x8xf32>
  %l = tensor.empty() : tensor<1x2x4xf32>
  %p = tensor.empty() : tensor<1x2x4x4xf32>
  %a:3 = bpt.attention {scale = 0.5 : f64}
    ins(%q, %k, %v : tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>)
    outs(%o, %l, %p : tensor<1x4x2x8xf32>, tensor<1x2x4xf32>, tensor<1x2x4x4xf32>)
    -> tensor<1x4x2x8xf32>, tensor<1x2x4xf32>, tensor<1x2x4x4xf32>
  return %a#0 : tensor<1x4x2x8xf32>
}
