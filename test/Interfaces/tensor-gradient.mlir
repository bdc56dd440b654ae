// Gradients of tensor ops: those of views live in their source's.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=slices},bpt-differentiate{function=reshape},bpt-differentiate{function=insert},bpt-differentiate{function=concat},bpt-differentiate{function=pad})' | FileCheck %s

// Slices of a fused weight add into one buffer.
// CHECK-LABEL: func.func @slices.grad
func.func @slices(%x: tensor<3x4xf32>, %w: tensor<4x8xf32>, %z: tensor<3x4xf32>) -> (tensor<3x4xf32>, tensor<3x4xf32>) {
  // CHECK: %[[WHOLE:.*]] = bpt.barrier %{{.*}} : tensor<4x8xf32>
  // CHECK: %[[PART:.*]] = tensor.extract_slice %[[WHOLE]][0, 4] [4, 4] [1, 1]
  // CHECK: %[[GRAD:.*]] = linalg.contract {{.*}} outs(%[[PART]] : tensor<4x4xf32>)
  // CHECK: %[[NEXT:.*]] = tensor.insert_slice %[[GRAD]] into %[[WHOLE]][0, 4] [4, 4] [1, 1]
  // CHECK: tensor.extract_slice %[[NEXT]][0, 0] [4, 4] [1, 1]
  // CHECK: tensor.insert_slice %{{.*}} into %[[NEXT]][0, 0] [4, 4] [1, 1]
  // CHECK: return
  %a = tensor.extract_slice %w[0, 0] [4, 4] [1, 1] : tensor<4x8xf32> to tensor<4x4xf32>
  %b = tensor.extract_slice %w[0, 4] [4, 4] [1, 1] : tensor<4x8xf32> to tensor<4x4xf32>
  %0 = linalg.matmul ins(%x, %a : tensor<3x4xf32>, tensor<4x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  %1 = linalg.matmul ins(%x, %b : tensor<3x4xf32>, tensor<4x4xf32>) outs(%z : tensor<3x4xf32>) -> tensor<3x4xf32>
  return %0, %1 : tensor<3x4xf32>, tensor<3x4xf32>
}

// CHECK-LABEL: func.func @reshape.grad
// CHECK-SAME: %[[D:[^ ]*]]: tensor<?x6xf32> {bpt.name = "result0.cotangent"}
func.func @reshape(%x: tensor<?x2x3xf32>) -> tensor<?x6xf32> {
  // CHECK: %[[DX:.*]] = tensor.expand_shape %[[D]] {{\[}}[0], [1, 2]]
  // CHECK: return %{{.*}}, %[[DX]]
  %y = tensor.collapse_shape %x [[0], [1, 2]] : tensor<?x2x3xf32> into tensor<?x6xf32>
  return %y : tensor<?x6xf32>
}

// CHECK-LABEL: func.func @insert.grad
// CHECK-SAME: %[[D:[^ ]*]]: tensor<8xf32> {bpt.name = "result0.cotangent"}
func.func @insert(%x: tensor<3xf32>, %into: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: %[[DX:.*]] = tensor.extract_slice %[[D]][2] [3] [1]
  // CHECK: %[[ZERO:.*]] = linalg.fill
  // CHECK: %[[DINTO:.*]] = tensor.insert_slice %[[ZERO]] into %[[D]][2] [3] [1]
  // CHECK: return %{{.*}}, %[[DX]], %[[DINTO]]
  %y = tensor.insert_slice %x into %into[2] [3] [1] : tensor<3xf32> into tensor<8xf32>
  return %y : tensor<8xf32>
}

// CHECK-LABEL: func.func @concat.grad
// CHECK-SAME: %[[D:[^ ]*]]: tensor<2x7xf32> {bpt.name = "result0.cotangent"}
func.func @concat(%x: tensor<2x3xf32>, %y: tensor<2x4xf32>) -> tensor<2x7xf32> {
  // CHECK: tensor.extract_slice %[[D]][0, 0] [2, 3] [1, 1]
  // CHECK: tensor.extract_slice %[[D]][0, 3] [2, 4] [1, 1]
  %z = tensor.concat dim(1) %x, %y : (tensor<2x3xf32>, tensor<2x4xf32>) -> tensor<2x7xf32>
  return %z : tensor<2x7xf32>
}

// CHECK-LABEL: func.func @pad.grad
// CHECK-SAME: %[[D:[^ ]*]]: tensor<6xf32> {bpt.name = "result0.cotangent"}
func.func @pad(%x: tensor<3xf32>) -> tensor<6xf32> {
  // CHECK: tensor.extract_slice %[[D]][1] [3] [1]
  %zero = arith.constant 0.0 : f32
  %y = tensor.pad %x low[1] high[2] {
  ^bb0(%i: index):
    tensor.yield %zero : f32
  } : tensor<3xf32> to tensor<6xf32>
  return %y : tensor<6xf32>
}
