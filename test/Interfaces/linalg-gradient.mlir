// Gradients of linalg ops: contractions into the accumulator, broadcasts summed, sums spread, extrema shared.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=matmul},bpt-differentiate{function=tied},bpt-differentiate{function=bias},bpt-differentiate{function=narrow_bias},bpt-differentiate{function=sum},bpt-differentiate{function=maximum})' | FileCheck %s

// CHECK-DAG: #[[$MK:.*]] = affine_map<(d0, d1, d2) -> (d0, d2)>
// CHECK-DAG: #[[$KN:.*]] = affine_map<(d0, d1, d2) -> (d2, d1)>
// CHECK-DAG: #[[$MN:.*]] = affine_map<(d0, d1, d2) -> (d0, d1)>

// CHECK-LABEL: func.func @matmul.grad
// CHECK-SAME: (%[[A:.*]]: tensor<3x4xf32>, %[[B:.*]]: tensor<4x5xf32>, %[[C:.*]]: tensor<3x5xf32>, %[[D:.*]]: tensor<3x5xf32>
func.func @matmul(%a: tensor<3x4xf32>, %b: tensor<4x5xf32>, %c: tensor<3x5xf32>) -> tensor<3x5xf32> {
  // CHECK: %[[DA:.*]] = linalg.contract indexing_maps = [#[[$MN]], #[[$KN]], #[[$MK]]] ins(%[[D]], %[[B]] :
  // CHECK: %[[DB:.*]] = linalg.contract indexing_maps = [#[[$MK]], #[[$MN]], #[[$KN]]] ins(%[[A]], %[[D]] :
  // CHECK: return %{{.*}}, %[[DA]], %[[DB]], %[[D]]
  %0 = linalg.matmul ins(%a, %b : tensor<3x4xf32>, tensor<4x5xf32>) outs(%c : tensor<3x5xf32>) -> tensor<3x5xf32>
  return %0 : tensor<3x5xf32>
}

// A tied weight has one gradient buffer.
// CHECK-LABEL: func.func @tied.grad
func.func @tied(%x: tensor<4x4xf32>, %w: tensor<4x4xf32>, %z: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // CHECK: %[[FIRST:.*]] = linalg.contract {{.*}} outs(%[[ZERO:.*]] : tensor<4x4xf32>)
  // CHECK: %[[SECOND:.*]] = linalg.contract
  // CHECK: linalg.contract {{.*}} outs(%[[SECOND]] : tensor<4x4xf32>)
  // CHECK: return
  %0 = linalg.matmul ins(%x, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%z : tensor<4x4xf32>) -> tensor<4x4xf32>
  %1 = linalg.matmul ins(%0, %w : tensor<4x4xf32>, tensor<4x4xf32>) outs(%z : tensor<4x4xf32>) -> tensor<4x4xf32>
  return %1 : tensor<4x4xf32>
}

#id = affine_map<(d0, d1) -> (d0, d1)>
#column = affine_map<(d0, d1) -> (d1)>
#row = affine_map<(d0, d1) -> (d0)>

// What was broadcast is summed; what was added as it is needs no op.
// CHECK-LABEL: func.func @bias.grad
// CHECK-SAME: (%{{.*}}: tensor<3x4xf32>, %{{.*}}: tensor<4xf32>, %[[D:.*]]: tensor<3x4xf32>
func.func @bias(%x: tensor<3x4xf32>, %b: tensor<4xf32>) -> tensor<3x4xf32> {
  // CHECK: %[[ZERO:.*]] = linalg.fill
  // CHECK: %[[DB:.*]] = linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]} ins(%[[D]] : {{.*}}) outs(%[[ZERO]] :
  // CHECK: return %{{.*}}, %[[D]], %[[DB]]
  %e = tensor.empty() : tensor<3x4xf32>
  %y = linalg.generic {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %b : tensor<3x4xf32>, tensor<4xf32>) outs(%e : tensor<3x4xf32>) {
  ^bb0(%a: f32, %c: f32, %o: f32):
    %s = arith.addf %a, %c : f32
    linalg.yield %s : f32
  } -> tensor<3x4xf32>
  return %y : tensor<3x4xf32>
}

// Sums of narrow numbers are made in f32 and rounded once.
// CHECK-LABEL: func.func @narrow_bias.grad
func.func @narrow_bias(%x: tensor<3x4xbf16>, %b: tensor<4xbf16>) -> tensor<3x4xbf16> {
  // CHECK: linalg.generic {{.*}} iterator_types = ["reduction", "parallel"]} ins(%{{.*}} : tensor<3x4xbf16>) outs(%{{.*}} : tensor<4xf32>)
  // CHECK: arith.truncf
  // CHECK: return
  %e = tensor.empty() : tensor<3x4xbf16>
  %y = linalg.generic {indexing_maps = [#id, #column, #id], iterator_types = ["parallel", "parallel"]}
      ins(%x, %b : tensor<3x4xbf16>, tensor<4xbf16>) outs(%e : tensor<3x4xbf16>) {
  ^bb0(%a: bf16, %c: bf16, %o: bf16):
    %s = arith.addf %a, %c : bf16
    linalg.yield %s : bf16
  } -> tensor<3x4xbf16>
  return %y : tensor<3x4xbf16>
}

// CHECK-LABEL: func.func @sum.grad
// CHECK-SAME: %[[D:[^ ]*]]: tensor<3xf32> {bpt.name = "result0.cotangent"}
func.func @sum(%x: tensor<3x4xf32>, %i: tensor<3xf32>) -> tensor<3xf32> {
  // CHECK: %[[DX:.*]] = linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]} ins(%[[D]] : tensor<3xf32>)
  // CHECK: return %{{.*}}, %[[DX]], %[[D]]
  %y = linalg.reduce { arith.addf } ins(%x : tensor<3x4xf32>) outs(%i : tensor<3xf32>) dimensions = [1]
  return %y : tensor<3xf32>
}

// The points that attain the maximum share its cotangent.
// CHECK-LABEL: func.func @maximum.grad
func.func @maximum(%x: tensor<3x4xf32>) -> tensor<3xf32> {
  // CHECK: arith.maximumf
  // CHECK: arith.cmpf oeq
  // CHECK: arith.divf
  // CHECK: arith.cmpf oeq
  // CHECK: return
  %low = arith.constant 0xFF800000 : f32
  %e = tensor.empty() : tensor<3xf32>
  %i = linalg.fill ins(%low : f32) outs(%e : tensor<3xf32>) -> tensor<3xf32>
  %y = linalg.generic {indexing_maps = [#id, #row], iterator_types = ["parallel", "reduction"]}
      ins(%x : tensor<3x4xf32>) outs(%i : tensor<3xf32>) {
  ^bb0(%a: f32, %o: f32):
    %s = arith.maximumf %a, %o : f32
    linalg.yield %s : f32
  } -> tensor<3xf32>
  return %y : tensor<3xf32>
}
