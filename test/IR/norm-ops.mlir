// Text, generic form and bytecode give the same row-wise ops back.
// RUN: bpt-opt %s | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --mlir-print-op-generic | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --emit-bytecode | bpt-opt | FileCheck %s

// CHECK-LABEL: func @layer_norm
func.func @layer_norm(%x: tensor<2x128x64xf32>, %w: tensor<64xf32>, %b: tensor<64xf32>) -> tensor<2x128x64xf32> {
  // CHECK: bpt.layer_norm {eps = 1.000000e-05 : f64} ins(%{{.*}} : tensor<2x128x64xf32>) weight(%{{.*}} : tensor<64xf32>) bias(%{{.*}} : tensor<64xf32>) outs(%{{.*}} : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
  %y = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<2x128x64xf32>) weight(%w : tensor<64xf32>)
    bias(%b : tensor<64xf32>) outs(%x : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
  return %y : tensor<2x128x64xf32>
}

// Neither weight nor bias.
// CHECK-LABEL: func @layer_norm_plain
func.func @layer_norm_plain(%x: memref<?x64xbf16>) {
  // CHECK: bpt.layer_norm {eps = 1.000000e-05 : f64} ins(%{{.*}} : memref<?x64xbf16>) outs(%{{.*}} : memref<?x64xbf16>){{$}}
  bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : memref<?x64xbf16>) outs(%x : memref<?x64xbf16>)
  return
}

// CHECK-LABEL: func @layer_norm_grad
func.func @layer_norm_grad(%x: tensor<2x128x64xf32>, %w: tensor<64xf32>) -> tensor<64xf32> {
  // CHECK: bpt.layer_norm_grad {eps = 1.000000e-05 : f64} cotangent(%{{.*}} : tensor<2x128x64xf32>) ins(%{{.*}} : tensor<2x128x64xf32>) weight(%{{.*}} : tensor<64xf32>) bias(%{{.*}} : tensor<64xf32>)
  %dx, %dw, %db = bpt.layer_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : tensor<2x128x64xf32>)
    ins(%x : tensor<2x128x64xf32>) weight(%w : tensor<64xf32>) bias(%w : tensor<64xf32>)
    outs(%x, %w, %w : tensor<2x128x64xf32>, tensor<64xf32>, tensor<64xf32>)
    -> tensor<2x128x64xf32>, tensor<64xf32>, tensor<64xf32>
  return %db : tensor<64xf32>
}

// CHECK-LABEL: func @rms_norm
func.func @rms_norm(%x: tensor<2x128x64xf32>, %w: tensor<64xf32>) -> tensor<2x128x64xf32> {
  // CHECK: bpt.rms_norm {eps = 1.000000e-05 : f64} ins(%{{.*}} : tensor<2x128x64xf32>) weight(%{{.*}} : tensor<64xf32>) outs(
  %y = bpt.rms_norm {eps = 1.0e-5 : f64} ins(%x : tensor<2x128x64xf32>) weight(%w : tensor<64xf32>)
    outs(%x : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
  return %y : tensor<2x128x64xf32>
}

// CHECK-LABEL: func @rms_norm_grad
func.func @rms_norm_grad(%x: tensor<2x128x64xf32>, %w: tensor<64xf32>) -> tensor<64xf32> {
  // CHECK: bpt.rms_norm_grad {eps = 1.000000e-05 : f64} cotangent(%{{.*}} : tensor<2x128x64xf32>) ins(%{{.*}} : tensor<2x128x64xf32>) weight(%{{.*}} : tensor<64xf32>) outs(
  %dx, %dw = bpt.rms_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : tensor<2x128x64xf32>)
    ins(%x : tensor<2x128x64xf32>) weight(%w : tensor<64xf32>)
    outs(%x, %w : tensor<2x128x64xf32>, tensor<64xf32>) -> tensor<2x128x64xf32>, tensor<64xf32>
  return %dw : tensor<64xf32>
}

// CHECK-LABEL: func @rotary
func.func @rotary(%x: tensor<2x?x4x64xf32>, %i: index) -> tensor<2x?x4x64xf32> {
  // CHECK: bpt.rotary {inverse, theta = 1.000000e+04 : f64} ins(%{{.*}} : tensor<2x?x4x64xf32>) offset(%{{.*}}) outs(
  %y = bpt.rotary {theta = 10000.0 : f64, inverse} ins(%x : tensor<2x?x4x64xf32>) offset(%i)
    outs(%x : tensor<2x?x4x64xf32>) -> tensor<2x?x4x64xf32>
  return %y : tensor<2x?x4x64xf32>
}

// CHECK-LABEL: func @dropout
func.func @dropout(%x: tensor<2x128x64xf32>, %seed: tensor<i64>, %i: index) -> tensor<2x128x64xf32> {
  // CHECK: bpt.dropout {probability = 1.000000e-01 : f64, stream = 3 : i64} ins(%{{.*}} : tensor<2x128x64xf32>) seed(%{{.*}} : tensor<i64>) offset(%{{.*}}) outs(
  %y = bpt.dropout {probability = 0.1 : f64, stream = 3 : i64} ins(%x : tensor<2x128x64xf32>) seed(%seed : tensor<i64>)
    offset(%i) outs(%x : tensor<2x128x64xf32>) -> tensor<2x128x64xf32>
  return %y : tensor<2x128x64xf32>
}

// A gradient may be summed in the accumulator type: here that of the weight, not that of the input.
// CHECK-LABEL: func @rms_norm_grad_accumulator
func.func @rms_norm_grad_accumulator(%x: tensor<6x4xbf16>, %w: tensor<4xbf16>, %z: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: -> tensor<6x4xbf16>, tensor<4xf32>
  %dx, %dw = bpt.rms_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : tensor<6x4xbf16>) ins(%x : tensor<6x4xbf16>)
    weight(%w : tensor<4xbf16>) outs(%x, %z : tensor<6x4xbf16>, tensor<4xf32>) -> tensor<6x4xbf16>, tensor<4xf32>
  return %dw : tensor<4xf32>
}
