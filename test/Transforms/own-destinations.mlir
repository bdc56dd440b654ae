// RUN: bpt-opt %s --bpt-own-destinations --split-input-file | FileCheck %s

// Each product gets its own zeros; the op that only reads them shares.
// CHECK-LABEL: func.func @shared(
// CHECK: %[[E0:.*]] = tensor.empty()
// CHECK-NEXT: %[[F0:.*]] = linalg.fill {{.*}} outs(%[[E0]]
// CHECK: linalg.matmul {{.*}} outs(%[[F1:[^ ]*]] :
// CHECK: linalg.matmul {{.*}} outs(%[[F2:[^ ]*]] :
// CHECK: linalg.exp ins(%[[F0]] :
func.func @shared(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %u: tensor<8x8xf32>)
    -> (tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>) {
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<4x8xf32>
  %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x8xf32>) -> tensor<4x8xf32>
  %a = linalg.matmul ins(%x, %w : tensor<4x8xf32>, tensor<8x8xf32>) outs(%fill : tensor<4x8xf32>) -> tensor<4x8xf32>
  %b = linalg.matmul ins(%x, %u : tensor<4x8xf32>, tensor<8x8xf32>) outs(%fill : tensor<4x8xf32>) -> tensor<4x8xf32>
  %c = linalg.exp ins(%fill : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) -> tensor<4x8xf32>
  return %a, %b, %c : tensor<4x8xf32>, tensor<4x8xf32>, tensor<4x8xf32>
}

// -----

// What is only computed to be inserted does not overwrite its operand first.
// CHECK-LABEL: func.func @inserted(
// CHECK: %[[E:.*]] = tensor.empty() : tensor<4x8xf32>
// CHECK-NEXT: linalg.exp ins(%{{.*}}) outs(%[[E]] :
// CHECK-NEXT: tensor.insert_slice
func.func @inserted(%x: tensor<4x8xf32>, %whole: tensor<16x8xf32>) -> tensor<16x8xf32> {
  %a = linalg.exp ins(%x : tensor<4x8xf32>) outs(%x : tensor<4x8xf32>) -> tensor<4x8xf32>
  %b = tensor.insert_slice %a into %whole[4, 0] [4, 8] [1, 1] : tensor<4x8xf32> into tensor<16x8xf32>
  return %b : tensor<16x8xf32>
}
