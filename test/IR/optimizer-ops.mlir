// Text, generic form and bytecode give the same optimizer ops back.
// RUN: bpt-opt %s | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --mlir-print-op-generic | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --emit-bytecode | bpt-opt | FileCheck %s

// CHECK-LABEL: func @adamw
func.func @adamw(%g: tensor<64x64xf32>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<64x64xf32>) -> tensor<64x64xf32> {
  // CHECK: bpt.adamw {beta1 = 9.000000e-01 : f64, beta2 = {{.*}} : f64, eps = 1.000000e-08 : f64, weight_decay = 1.000000e-01 : f64} ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<64x64xf32>, tensor<i64>, tensor<f32>) outs(
  %p1, %m1, %v1 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%g, %step, %lr : tensor<64x64xf32>, tensor<i64>, tensor<f32>)
    outs(%p, %p, %p : tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>)
    -> tensor<64x64xf32>, tensor<64x64xf32>, tensor<64x64xf32>
  return %p1 : tensor<64x64xf32>
}

// A narrower gradient, clipping, on memrefs.
// CHECK-LABEL: func @adamw_clip
func.func @adamw_clip(%g: memref<64xbf16>, %step: memref<i64>, %lr: memref<f32>, %n: memref<f32>, %p: memref<64xf32>) {
  // CHECK: bpt.adamw {{{.*}}clip = 1.000000e+00 : f64{{.*}}} ins({{.*}}) norm(%{{.*}} : memref<f32>) outs(
  bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64, clip = 1.0 : f64}
    ins(%g, %step, %lr : memref<64xbf16>, memref<i64>, memref<f32>) norm(%n : memref<f32>)
    outs(%p, %p, %p : memref<64xf32>, memref<64xf32>, memref<64xf32>)
  return
}

// CHECK-LABEL: func @global_norm
func.func @global_norm(%a: tensor<64x64xf32>, %b: tensor<64xf32>, %o: tensor<f32>) -> tensor<f32> {
  // CHECK: bpt.global_norm ins(%{{.*}}, %{{.*}} : tensor<64x64xf32>, tensor<64xf32>) outs(%{{.*}} : tensor<f32>) -> tensor<f32>
  %n = bpt.global_norm ins(%a, %b : tensor<64x64xf32>, tensor<64xf32>) outs(%o : tensor<f32>) -> tensor<f32>
  return %n : tensor<f32>
}
