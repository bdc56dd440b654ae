// Gradients of callees: one backward function for all equal calls, accumulators in and out; the gradient of an activation has
// none, it takes the buffer of a cotangent.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=layers},bpt-differentiate{function=called})' | FileCheck %s

// CHECK-LABEL: func.func @layers.grad
func.func @layers(%x: tensor<2x4xf32>, %w: tensor<4x4xf32>) -> tensor<2x4xf32> {
  // CHECK: bpt.checkpoint @layer keep(input)
  // CHECK: %[[SECOND:.*]]:2 = call @layer.vjp
  // The weight is the same: its gradient goes on in the same buffer.
  // CHECK: call @layer.vjp(%{{.*}}, %{{.*}}, %[[SECOND]]#0, %[[SECOND]]#1)
  %a = bpt.checkpoint @layer keep(input) inputs(%x, %w : tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  %b = bpt.checkpoint @layer keep(input) inputs(%a, %w : tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  return %b : tensor<2x4xf32>
}

// CHECK-LABEL: func.func private @layer(
// CHECK-LABEL: func.func private @layer.vjp
// CHECK-SAME: (%[[X:.*]]: tensor<2x4xf32>, %[[W:.*]]: tensor<4x4xf32>, %[[D:.*]]: tensor<2x4xf32>, %[[AW:.*]]: tensor<4x4xf32>)
// CHECK: %[[ZERO:.*]] = linalg.fill
// CHECK: %[[DX:.*]] = linalg.contract {{.*}} outs(%[[ZERO]] :
// CHECK: %[[DW:.*]] = linalg.contract {{.*}} outs(%[[AW]] :
// CHECK: return %[[DX]], %[[DW]]
func.func private @layer(%x: tensor<2x4xf32>, %w: tensor<4x4xf32>) -> tensor<2x4xf32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<2x4xf32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<2x4xf32>) -> tensor<2x4xf32>
  %u = linalg.matmul ins(%x, %w : tensor<2x4xf32>, tensor<4x4xf32>) outs(%z : tensor<2x4xf32>) -> tensor<2x4xf32>
  return %u : tensor<2x4xf32>
}

// A call keeps what its backward needs.
// CHECK-LABEL: func.func @called.grad
func.func @called(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[F:.*]]:2 = call @callee.forward
  // CHECK: call @callee.vjp(%{{.*}}, %[[F]]#1, %{{[^,]*}})
  %y = call @callee(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}
func.func private @callee(%x: tensor<4xf32>) -> tensor<4xf32> {
  %u = math.sqrt %x : tensor<4xf32>
  %v = math.sin %u : tensor<4xf32>
  return %v : tensor<4xf32>
}
// CHECK-LABEL: func.func private @callee.forward
// CHECK: %[[U:.*]] = math.sqrt
// CHECK: %[[V:.*]] = math.sin
// CHECK: return %[[V]], %[[U]]
