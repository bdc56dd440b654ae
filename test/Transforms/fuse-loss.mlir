// RUN: bpt-opt %s --bpt-fuse-loss | FileCheck %s
// RUN: bpt-opt %s --bpt-fuse-loss --remarks-filter=bpt-fuse-loss --remark-format=emitRemark -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// CHECK-LABEL: func.func @step
// CHECK-NOT: bpt.linear_cross_entropy {
// CHECK: %[[R:.*]]:3 = bpt.linear_cross_entropy_grad cotangent(%{{.*}} : tensor<f32>)
// CHECK-SAME: ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<8x4xf32>, tensor<4x7xf32>, tensor<8xi32>)
// CHECK: return %[[R]]#2, %[[R]]#0, %[[R]]#1
// REMARK: gradients are computed in the loss pass
func.func @step(%x: tensor<8x4xf32>, %w: tensor<4x7xf32>, %t: tensor<8xi32>, %d: tensor<f32>, %z0: tensor<8x4xf32>, %z1: tensor<4x7xf32>)
    -> (tensor<f32>, tensor<8x4xf32>, tensor<4x7xf32>) {
  %o = tensor.empty() : tensor<f32>
  %l = tensor.empty() : tensor<8xf32>
  %loss, %lse = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<8x4xf32>, tensor<4x7xf32>, tensor<8xi32>)
    outs(%o, %l : tensor<f32>, tensor<8xf32>) -> tensor<f32>, tensor<8xf32>
  %dx, %dw = bpt.linear_cross_entropy_grad cotangent(%d : tensor<f32>)
    ins(%x, %w, %t, %lse : tensor<8x4xf32>, tensor<4x7xf32>, tensor<8xi32>, tensor<8xf32>)
    outs(%z0, %z1 : tensor<8x4xf32>, tensor<4x7xf32>) -> tensor<8x4xf32>, tensor<4x7xf32>
  return %loss, %dx, %dw : tensor<f32>, tensor<8x4xf32>, tensor<4x7xf32>
}

// CHECK-LABEL: func.func @loss_needed_first
// CHECK: bpt.linear_cross_entropy ins
// CHECK: bpt.linear_cross_entropy_grad
// REMARK: the loss is used before its gradient is there
func.func @loss_needed_first(%x: tensor<8x4xf32>, %w: tensor<4x7xf32>, %t: tensor<8xi32>, %z0: tensor<8x4xf32>, %z1: tensor<4x7xf32>)
    -> (tensor<8x4xf32>, tensor<4x7xf32>) {
  %o = tensor.empty() : tensor<f32>
  %l = tensor.empty() : tensor<8xf32>
  %loss, %lse = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<8x4xf32>, tensor<4x7xf32>, tensor<8xi32>)
    outs(%o, %l : tensor<f32>, tensor<8xf32>) -> tensor<f32>, tensor<8xf32>
  %dx, %dw = bpt.linear_cross_entropy_grad cotangent(%loss : tensor<f32>)
    ins(%x, %w, %t, %lse : tensor<8x4xf32>, tensor<4x7xf32>, tensor<8xi32>, tensor<8xf32>)
    outs(%z0, %z1 : tensor<8x4xf32>, tensor<4x7xf32>) -> tensor<8x4xf32>, tensor<4x7xf32>
  return %dx, %dw : tensor<8x4xf32>, tensor<4x7xf32>
}

// CHECK-LABEL: func.func @narrow
// CHECK: bpt.linear_cross_entropy ins
// REMARK: 16-bit gradients
func.func @narrow(%x: tensor<8x4xbf16>, %w: tensor<4x7xbf16>, %t: tensor<8xi32>, %d: tensor<f32>, %z0: tensor<8x4xbf16>, %z1: tensor<4x7xbf16>)
    -> (tensor<f32>, tensor<8x4xbf16>, tensor<4x7xbf16>) {
  %o = tensor.empty() : tensor<f32>
  %l = tensor.empty() : tensor<8xf32>
  %loss, %lse = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<8x4xbf16>, tensor<4x7xbf16>, tensor<8xi32>)
    outs(%o, %l : tensor<f32>, tensor<8xf32>) -> tensor<f32>, tensor<8xf32>
  %dx, %dw = bpt.linear_cross_entropy_grad cotangent(%d : tensor<f32>)
    ins(%x, %w, %t, %lse : tensor<8x4xbf16>, tensor<4x7xbf16>, tensor<8xi32>, tensor<8xf32>)
    outs(%z0, %z1 : tensor<8x4xbf16>, tensor<4x7xbf16>) -> tensor<8x4xbf16>, tensor<4x7xbf16>
  return %loss, %dx, %dw : tensor<f32>, tensor<8x4xbf16>, tensor<4x7xbf16>
}

// CHECK-LABEL: func.func @wide_vocabulary
// CHECK: bpt.linear_cross_entropy ins
// REMARK: more than 8 MiB and half of the weight
func.func @wide_vocabulary(%x: tensor<8x4xf32>, %w: tensor<4x50000xf32>, %t: tensor<8xi32>, %d: tensor<f32>, %z0: tensor<8x4xf32>, %z1: tensor<4x50000xf32>)
    -> (tensor<f32>, tensor<8x4xf32>, tensor<4x50000xf32>) {
  %o = tensor.empty() : tensor<f32>
  %l = tensor.empty() : tensor<8xf32>
  %loss, %lse = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<8x4xf32>, tensor<4x50000xf32>, tensor<8xi32>)
    outs(%o, %l : tensor<f32>, tensor<8xf32>) -> tensor<f32>, tensor<8xf32>
  %dx, %dw = bpt.linear_cross_entropy_grad cotangent(%d : tensor<f32>)
    ins(%x, %w, %t, %lse : tensor<8x4xf32>, tensor<4x50000xf32>, tensor<8xi32>, tensor<8xf32>)
    outs(%z0, %z1 : tensor<8x4xf32>, tensor<4x50000xf32>) -> tensor<8x4xf32>, tensor<4x50000xf32>
  return %loss, %dx, %dw : tensor<f32>, tensor<8x4xf32>, tensor<4x50000xf32>
}
