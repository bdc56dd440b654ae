// Embedding and cross-entropy.
// RUN: bpt-opt %s --convert-bpt-to-linalg --canonicalize --split-input-file | FileCheck %s

// Ids are clamped to the table.
// CHECK-LABEL: func @embedding
// CHECK-SAME: %[[TABLE:[a-z0-9]+]]: tensor<256x64xf32>
// CHECK: arith.minsi
// CHECK: %[[ROW:.*]] = arith.maxsi
// CHECK: tensor.extract %[[TABLE]][%[[ROW]], %{{.*}}]
func.func @embedding(%ids: tensor<2x8xi32>, %table: tensor<256x64xf32>, %o: tensor<2x8x64xf32>) -> tensor<2x8x64xf32> {
  %x = bpt.embedding ins(%ids, %table : tensor<2x8xi32>, tensor<256x64xf32>) outs(%o : tensor<2x8x64xf32>) -> tensor<2x8x64xf32>
  return %x : tensor<2x8x64xf32>
}

// -----

// Tokens are added one after the other.
// CHECK-LABEL: func @embedding_gradient
// CHECK-SAME: %[[BEFORE:[a-z0-9]+]]: tensor<256x64xf32>)
// CHECK: scf.for {{.*}} iter_args(%{{.*}} = %[[BEFORE]])
// CHECK: scf.for
// CHECK: scf.for {{.*}} iter_args(%[[TABLE:.*]] = %{{.*}})
// CHECK: tensor.insert %{{.*}} into %[[TABLE]]
func.func @embedding_gradient(%dx: tensor<2x?x64xf32>, %ids: tensor<2x?xi32>, %before: tensor<256x64xf32>) -> tensor<256x64xf32> {
  %dt = bpt.embedding_grad cotangent(%dx : tensor<2x?x64xf32>) ins(%ids : tensor<2x?xi32>) outs(%before : tensor<256x64xf32>)
    -> tensor<256x64xf32>
  return %dt : tensor<256x64xf32>
}

// -----

// Rows with the ignored target add nothing to the sum, nor to the count it is divided by.
// CHECK-LABEL: func @ignore_index
// CHECK: math.log
// CHECK: %[[IGNORED:.*]] = arith.cmpi ne, %{{.*}}, %c-100_i32
// CHECK: arith.select %[[IGNORED]]
// CHECK: arith.cmpi ne, %{{.*}}, %c-100_i32
// CHECK: arith.sitofp {{.*}} : i64 to f32
// CHECK: arith.divf
func.func @ignore_index(%x: tensor<8x64xf32>, %w: tensor<256x64xf32>, %t: tensor<8xi32>, %o: tensor<f32>, %l: tensor<8xf32>) -> tensor<f32> {
  %loss, %lse = bpt.linear_cross_entropy {weights_transposed}
    ins(%x, %w, %t : tensor<8x64xf32>, tensor<256x64xf32>, tensor<8xi32>) outs(%o, %l : tensor<f32>, tensor<8xf32>) -> tensor<f32>, tensor<8xf32>
  return %loss : tensor<f32>
}

// -----

// A given count is not counted again.
// CHECK-LABEL: func @valid_count
// CHECK-SAME: %[[COUNT:[a-z0-9]+]]: tensor<i64>
// CHECK-NOT: arith.addi
// CHECK: linalg.generic {{.*}} ins(%[[COUNT]] : tensor<i64>)
func.func @valid_count(%x: tensor<8x64xf32>, %w: tensor<64x256xf32>, %t: tensor<8xi32>, %lse: tensor<8xf32>, %d: tensor<f32>, %n: tensor<i64>)
    -> (tensor<8x64xf32>, tensor<64x256xf32>) {
  %dx, %dw = bpt.linear_cross_entropy_grad cotangent(%d : tensor<f32>)
    ins(%x, %w, %t, %lse : tensor<8x64xf32>, tensor<64x256xf32>, tensor<8xi32>, tensor<8xf32>) count(%n : tensor<i64>)
    outs(%x, %w : tensor<8x64xf32>, tensor<64x256xf32>) -> tensor<8x64xf32>, tensor<64x256xf32>
  return %dx, %dw : tensor<8x64xf32>, tensor<64x256xf32>
}
