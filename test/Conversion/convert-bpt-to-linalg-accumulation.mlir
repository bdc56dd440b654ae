// linalg, arith and math on bf16 and f16: computed in f32, rounded once.
// RUN: bpt-opt %s --convert-bpt-to-linalg --canonicalize --split-input-file | FileCheck %s

// The sum is carried in f32, from what is there.
// CHECK-LABEL: func @contract
// CHECK-SAME: (%[[X:.*]]: tensor<8x16xbf16>, %[[W:.*]]: tensor<16x4xbf16>, %[[OUT:.*]]: tensor<8x4xbf16>)
// CHECK: %[[START:.*]] = linalg.generic {{.*}} ins(%[[OUT]] : tensor<8x4xbf16>) outs(%{{.*}} : tensor<8x4xf32>)
// CHECK: %[[SUM:.*]] = linalg.generic {{.*}} ins(%[[X]], %[[W]] : {{.*}}) outs(%[[START]] : tensor<8x4xf32>)
// CHECK: arith.mulf {{.*}} : f32
// CHECK: linalg.generic {{.*}} ins(%[[SUM]] : tensor<8x4xf32>) outs(%[[OUT]] : tensor<8x4xbf16>)
func.func @contract(%x: tensor<8x16xbf16>, %w: tensor<16x4xbf16>, %o: tensor<8x4xbf16>) -> tensor<8x4xbf16> {
  %y = linalg.matmul ins(%x, %w : tensor<8x16xbf16>, tensor<16x4xbf16>) outs(%o : tensor<8x4xbf16>) -> tensor<8x4xbf16>
  return %y : tensor<8x4xbf16>
}

// -----

// Several steps in one body are rounded once.
// CHECK-LABEL: func @elementwise
// CHECK: arith.mulf {{.*}} : f32
// CHECK-NEXT: arith.addf {{.*}} : f32
// CHECK-NEXT: arith.truncf {{.*}} : f32 to f16
func.func @elementwise(%x: tensor<8xf16>, %y: tensor<8xf16>) -> tensor<8xf16> {
  %z = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> (i)>], iterator_types = ["parallel"]}
      ins(%x : tensor<8xf16>) outs(%y : tensor<8xf16>) {
  ^bb0(%a: f16, %b: f16):
    %p = arith.mulf %a, %b : f16
    %s = arith.addf %p, %a : f16
    linalg.yield %s : f16
  } -> tensor<8xf16>
  return %z : tensor<8xf16>
}

// -----

// An op on tensors becomes a linalg.generic first.
// CHECK-LABEL: func @residual
// CHECK: linalg.generic
// CHECK: arith.addf {{.*}} : f32
func.func @residual(%x: tensor<8x16xbf16>, %y: tensor<8x16xbf16>) -> tensor<8x16xbf16> {
  %z = arith.addf %x, %y : tensor<8x16xbf16>
  return %z : tensor<8x16xbf16>
}

// -----

// f32 stays as it is written.
// CHECK-LABEL: func @wide
// CHECK: linalg.matmul
func.func @wide(%x: tensor<8x16xf32>, %w: tensor<16x4xf32>, %o: tensor<8x4xf32>) -> tensor<8x4xf32> {
  %y = linalg.matmul ins(%x, %w : tensor<8x16xf32>, tensor<16x4xf32>) outs(%o : tensor<8x4xf32>) -> tensor<8x4xf32>
  return %y : tensor<8x4xf32>
}
