// Gradient of bpt.checkpoint: what is kept, what is computed again, and that cleaning up does not merge it with the forward.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=input},bpt-differentiate{function=attention},bpt-differentiate{function=all})' | FileCheck %s
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=input},canonicalize,cse,bpt-lower-structure,canonicalize,cse)' | FileCheck %s --check-prefix=LOWERED

// keep(input): the operands come through a barrier, the body is computed again from there.
// CHECK-LABEL: func.func @input.grad
// CHECK-SAME: (%[[X:.*]]: tensor<4x4xf32>, %[[W:.*]]: tensor<4x4xf32>, %[[D:.*]]: tensor<4x4xf32>
// LOWERED-LABEL: func.func @input.grad
func.func @input(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // CHECK: bpt.checkpoint keep(input)
  // CHECK: %[[B:.*]]:2 = bpt.barrier %[[X]], %[[W]]
  // CHECK: %[[U:.*]] = linalg.matmul ins(%[[B]]#0, %[[B]]#1 :
  // CHECK: linalg.generic {{.*}} ins(%[[U]], %[[D]] :
  // CHECK-NOT: math.exp
  // CHECK: linalg.contract
  // LOWERED: linalg.matmul
  // LOWERED: bpt.barrier
  // LOWERED: linalg.matmul
  %y = bpt.checkpoint keep(input) inputs(%x, %w : tensor<4x4xf32>, tensor<4x4xf32>) {
  ^bb0(%a: tensor<4x4xf32>, %b: tensor<4x4xf32>):
    %zero = arith.constant 0.0 : f32
    %e = tensor.empty() : tensor<4x4xf32>
    %z = linalg.fill ins(%zero : f32) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
    %u = linalg.matmul ins(%a, %b : tensor<4x4xf32>, tensor<4x4xf32>) outs(%z : tensor<4x4xf32>) -> tensor<4x4xf32>
    %v = math.sin %u : tensor<4x4xf32>
    bpt.yield %v : tensor<4x4xf32>
  } -> tensor<4x4xf32>
  return %y : tensor<4x4xf32>
}

// keep(attention): out and lse are further results; the projection before is computed again, attention is not.
// CHECK-LABEL: func.func @attention.grad
func.func @attention(%x: tensor<1x4x2x8xf32>) -> tensor<1x4x2x8xf32> {
  // CHECK: %[[F:.*]]:3 = bpt.checkpoint keep(attention)
  // CHECK:   %[[A:.*]]:2 = bpt.attention
  // CHECK:   bpt.yield %{{.*}}, %[[A]]#0, %[[A]]#1 :
  // CHECK: bpt.barrier
  // CHECK: %[[K:.*]]:2 = bpt.barrier %[[F]]#1, %[[F]]#2
  // CHECK-NOT: bpt.attention {
  // CHECK: %[[Q:.*]] = bpt.rotary {theta
  // CHECK: bpt.attention_grad {{.*}} ins(%[[Q]], %[[Q]], %[[Q]], %[[K]]#0, %[[K]]#1 :
  // CHECK: bpt.rotary {inverse
  %y = bpt.checkpoint keep(attention) inputs(%x : tensor<1x4x2x8xf32>) {
  ^bb0(%a: tensor<1x4x2x8xf32>):
    %o = tensor.empty() : tensor<1x4x2x8xf32>
    %l = tensor.empty() : tensor<1x2x4xf32>
    %q = bpt.rotary {theta = 10000.0 : f64} ins(%a : tensor<1x4x2x8xf32>) outs(%o : tensor<1x4x2x8xf32>) -> tensor<1x4x2x8xf32>
    %r:2 = bpt.attention {scale = 0.5 : f64}
      ins(%q, %q, %q : tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>, tensor<1x4x2x8xf32>)
      outs(%o, %l : tensor<1x4x2x8xf32>, tensor<1x2x4xf32>) -> tensor<1x4x2x8xf32>, tensor<1x2x4xf32>
    %s = math.sin %r#0 : tensor<1x4x2x8xf32>
    bpt.yield %s : tensor<1x4x2x8xf32>
  } -> tensor<1x4x2x8xf32>
  return %y : tensor<1x4x2x8xf32>
}

// keep(all): nothing is computed again.
// CHECK-LABEL: func.func @all.grad
func.func @all(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[F:.*]]:2 = bpt.checkpoint keep(all)
  // CHECK: bpt.barrier %[[F]]#1
  // CHECK-NOT: math.sqrt %{{.*}} : tensor
  // CHECK: return
  %y = bpt.checkpoint keep(all) inputs(%x : tensor<4xf32>) {
  ^bb0(%a: tensor<4xf32>):
    %u = math.sqrt %a : tensor<4xf32>
    %v = math.sin %u : tensor<4xf32>
    bpt.yield %v : tensor<4xf32>
  } -> tensor<4xf32>
  return %y : tensor<4xf32>
}
