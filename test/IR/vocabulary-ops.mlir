// Text, generic form and bytecode give the same vocabulary ops back.
// RUN: bpt-opt %s | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --mlir-print-op-generic | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --emit-bytecode | bpt-opt | FileCheck %s

// CHECK-LABEL: func @embedding
func.func @embedding(%ids: tensor<2x?xi32>, %table: tensor<256x64xf32>, %o: tensor<2x?x64xf32>) -> tensor<2x?x64xf32> {
  // CHECK: bpt.embedding ins(%{{.*}}, %{{.*}} : tensor<2x?xi32>, tensor<256x64xf32>) outs(%{{.*}} : tensor<2x?x64xf32>) -> tensor<2x?x64xf32>
  %x = bpt.embedding ins(%ids, %table : tensor<2x?xi32>, tensor<256x64xf32>) outs(%o : tensor<2x?x64xf32>)
    -> tensor<2x?x64xf32>
  return %x : tensor<2x?x64xf32>
}

// CHECK-LABEL: func @embedding_grad
func.func @embedding_grad(%dx: memref<2x128x64xf32>, %ids: memref<2x128xi32>, %z: memref<256x64xf32>) {
  // CHECK: bpt.embedding_grad cotangent(%{{.*}} : memref<2x128x64xf32>) ins(%{{.*}} : memref<2x128xi32>) outs(%{{.*}} : memref<256x64xf32>){{$}}
  bpt.embedding_grad cotangent(%dx : memref<2x128x64xf32>) ins(%ids : memref<2x128xi32>) outs(%z : memref<256x64xf32>)
  return
}

// CHECK-LABEL: func @linear_cross_entropy
func.func @linear_cross_entropy(%x: tensor<2x128x64xf32>, %w: tensor<256x64xf32>, %t: tensor<2x128xi32>,
                                %o: tensor<f32>, %l: tensor<2x128xf32>) -> tensor<f32> {
  // CHECK: bpt.linear_cross_entropy {weights_transposed} ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<2x128x64xf32>, tensor<256x64xf32>, tensor<2x128xi32>) outs(%{{.*}}, %{{.*}} : tensor<f32>, tensor<2x128xf32>) -> tensor<f32>, tensor<2x128xf32>
  %loss, %lse = bpt.linear_cross_entropy {weights_transposed}
    ins(%x, %w, %t : tensor<2x128x64xf32>, tensor<256x64xf32>, tensor<2x128xi32>)
    outs(%o, %l : tensor<f32>, tensor<2x128xf32>) -> tensor<f32>, tensor<2x128xf32>
  return %loss : tensor<f32>
}

// [E, V] weight, a count of the whole batch, rows in one dim.
// CHECK-LABEL: func @linear_cross_entropy_count
func.func @linear_cross_entropy_count(%x: tensor<?x64xbf16>, %w: tensor<64x256xbf16>, %t: tensor<?xi32>, %n: tensor<i64>,
                                      %o: tensor<f32>, %l: tensor<?xf32>) -> tensor<f32> {
  // CHECK: bpt.linear_cross_entropy {ignore_index = 0 : i64} ins({{.*}}) count(%{{.*}} : tensor<i64>) outs(
  %loss, %lse = bpt.linear_cross_entropy {ignore_index = 0 : i64}
    ins(%x, %w, %t : tensor<?x64xbf16>, tensor<64x256xbf16>, tensor<?xi32>) count(%n : tensor<i64>)
    outs(%o, %l : tensor<f32>, tensor<?xf32>) -> tensor<f32>, tensor<?xf32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func @linear_cross_entropy_grad
func.func @linear_cross_entropy_grad(%d: tensor<f64>, %x: tensor<2x128x64xf64>, %w: tensor<256x64xf64>,
    %t: tensor<2x128xi32>, %lse: tensor<2x128xf64>) -> tensor<256x64xf64> {
  // CHECK: bpt.linear_cross_entropy_grad {weights_transposed} cotangent(%{{.*}} : tensor<f64>) ins(
  %dx, %dw = bpt.linear_cross_entropy_grad {weights_transposed} cotangent(%d : tensor<f64>)
    ins(%x, %w, %t, %lse : tensor<2x128x64xf64>, tensor<256x64xf64>, tensor<2x128xi32>, tensor<2x128xf64>)
    outs(%x, %w : tensor<2x128x64xf64>, tensor<256x64xf64>) -> tensor<2x128x64xf64>, tensor<256x64xf64>
  return %dw : tensor<256x64xf64>
}
