// Gradients of arith and math ops: scalars as they are, tensors as pointwise ops.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=scalars},bpt-differentiate{function=tensors},bpt-differentiate{function=shared},bpt-differentiate{function=select})' | FileCheck %s

// CHECK-LABEL: func.func @scalars.grad
// CHECK-SAME: (%[[X:.*]]: f64, %[[Y:.*]]: f64)
func.func @scalars(%x: f64, %y: f64) -> f64 {
  // CHECK: %[[PRODUCT:.*]] = arith.mulf %[[X]], %[[Y]]
  // CHECK: %[[E:.*]] = math.exp %[[PRODUCT]]
  // CHECK: %[[ONE:.*]] = arith.constant 1.0
  // CHECK: %[[D:.*]] = arith.mulf %[[ONE]], %[[E]]
  // CHECK: %[[DX:.*]] = arith.mulf %[[D]], %[[Y]]
  // CHECK: %[[DY:.*]] = arith.mulf %[[D]], %[[X]]
  // CHECK: return %[[E]], %[[DX]], %[[DY]]
  %p = arith.mulf %x, %y : f64
  %e = math.exp %p : f64
  return %e : f64
}

// CHECK-LABEL: func.func @tensors.grad
// CHECK-SAME: (%[[X:.*]]: tensor<3x?xf32>, %[[D:.*]]: tensor<3x?xf32> {bpt.name = "result0.cotangent"})
// CHECK-SAME: tensor<3x?xf32> {bpt.name = "arg0.grad"}
func.func @tensors(%x: tensor<3x?xf32>) -> tensor<3x?xf32> {
  // CHECK: %[[DX:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[D]] : {{.*}}) outs
  // CHECK: %[[TANH:.*]] = math.tanh
  // CHECK: arith.mulf %[[TANH]], %[[TANH]]
  // CHECK: return %{{.*}}, %[[DX]]
  %y = math.tanh %x : tensor<3x?xf32>
  return %y : tensor<3x?xf32>
}

// A value used twice has one gradient: the second use adds to that of the first, here the cotangent itself.
// CHECK-LABEL: func.func @shared.grad
// CHECK-SAME: (%[[X:.*]]: tensor<4xf32>, %[[D:.*]]: tensor<4xf32> {bpt.name = "result0.cotangent"})
func.func @shared(%x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %[[DX:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[D]] : {{.*}}) outs(%[[D]] :
  // CHECK: return %{{.*}}, %[[DX]]
  %e = math.exp %x : tensor<4xf32>
  %y = arith.addf %x, %e : tensor<4xf32>
  return %y : tensor<4xf32>
}

// The condition only selects.
// CHECK-LABEL: func.func @select.grad
func.func @select(%c: tensor<4xi1>, %x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK-COUNT-2: linalg.generic
  // CHECK-NOT: linalg.generic
  // CHECK: return
  %z = arith.select %c, %x, %y : tensor<4xi1>, tensor<4xf32>
  return %z : tensor<4xf32>
}
