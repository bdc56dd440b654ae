// No out that nobody uses.
// RUN: bpt-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func @unused_hidden
// CHECK: %[[Y:.*]] = bpt.feed_forward {{.*}} outs(%{{.*}} : tensor<6x4xf32>) workspace(%{{.*}} : tensor<16xi8>) -> tensor<6x4xf32>
// CHECK: return %[[Y]]
func.func @unused_hidden(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %h: tensor<6x8xf32>,
                         %s: tensor<16xi8>) -> tensor<6x4xf32> {
  %y:2 = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%x, %h : tensor<6x4xf32>, tensor<6x8xf32>) workspace(%s : tensor<16xi8>) -> tensor<6x4xf32>, tensor<6x8xf32>
  return %y#0 : tensor<6x4xf32>
}

// CHECK-LABEL: func @used_hidden
// CHECK: bpt.feed_forward {{.*}} -> tensor<6x4xf32>, tensor<6x8xf32>
func.func @used_hidden(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %h: tensor<6x8xf32>)
    -> tensor<6x8xf32> {
  %y:2 = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%x, %h : tensor<6x4xf32>, tensor<6x8xf32>) -> tensor<6x4xf32>, tensor<6x8xf32>
  return %y#1 : tensor<6x8xf32>
}

// On memrefs the hidden is a buffer somebody may read.
// CHECK-LABEL: func @buffer_hidden
// CHECK: bpt.feed_forward {{.*}} outs(%{{.*}}, %{{.*}} : memref<6x4xf32>, memref<6x8xf32>)
func.func @buffer_hidden(%x: memref<6x4xf32>, %w: memref<4x8xf32>, %d: memref<8x4xf32>, %h: memref<6x8xf32>) {
  bpt.feed_forward ins(%x : memref<6x4xf32>) up(%w : memref<4x8xf32>) down(%d : memref<8x4xf32>)
    outs(%x, %h : memref<6x4xf32>, memref<6x8xf32>)
  return
}

// Static shapes reach through casts (a pattern of upstream for every op in destination-passing style).
// CHECK-LABEL: func @casts
// CHECK-NOT: tensor.cast
// CHECK: bpt.feed_forward {{.*}} outs(%{{.*}} : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
// CHECK-NOT: tensor.cast
func.func @casts(%x: tensor<2x8x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>) -> tensor<2x8x4xf32> {
  %e = tensor.empty() : tensor<2x8x4xf32>
  %xc = tensor.cast %x : tensor<2x8x4xf32> to tensor<?x?x4xf32>
  %ec = tensor.cast %e : tensor<2x8x4xf32> to tensor<?x?x4xf32>
  %y = bpt.feed_forward ins(%xc : tensor<?x?x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%ec : tensor<?x?x4xf32>) -> tensor<?x?x4xf32>
  %yc = tensor.cast %y : tensor<?x?x4xf32> to tensor<2x8x4xf32>
  return %yc : tensor<2x8x4xf32>
}
