// Text, generic form and bytecode give the same structure ops back.
// RUN: bpt-opt %s | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --mlir-print-op-generic | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --emit-bytecode | bpt-opt | FileCheck %s

// CHECK-LABEL: func @checkpoint
func.func @checkpoint(%x: tensor<2x128x64xf32>) -> tensor<2x128x64xf32> {
  // CHECK: bpt.checkpoint keep(input) inputs(%{{.*}} : tensor<2x128x64xf32>) {
  // CHECK-NEXT: ^bb0(%[[X:.*]]: tensor<2x128x64xf32>):
  // CHECK-NEXT: bpt.yield %[[X]] : tensor<2x128x64xf32>
  // CHECK-NEXT: } -> tensor<2x128x64xf32>
  %y = bpt.checkpoint keep(input) inputs(%x : tensor<2x128x64xf32>) {
  ^bb0(%xb: tensor<2x128x64xf32>):
    bpt.yield %xb : tensor<2x128x64xf32>
  } -> tensor<2x128x64xf32>
  return %y : tensor<2x128x64xf32>
}

// CHECK-LABEL: func private @layer
func.func private @layer(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  return %x, %x : tensor<8xf32>, tensor<8xf32>
}

// CHECK-LABEL: func @checkpoint_callee
func.func @checkpoint_callee(%x: tensor<8xf32>) -> tensor<8xf32> {
  // CHECK: bpt.checkpoint @layer keep(qkv) inputs(%{{.*}} : tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32> attributes {layer = 3 : i64}
  %y:2 = bpt.checkpoint @layer keep(qkv) inputs(%x : tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32> attributes {layer = 3}
  return %y#1 : tensor<8xf32>
}

// CHECK-LABEL: func @checkpoint_empty
func.func @checkpoint_empty() {
  // CHECK: bpt.checkpoint keep(all) {
  // CHECK-NEXT: bpt.yield
  // CHECK-NEXT: }
  bpt.checkpoint keep(all) {
    bpt.yield
  }
  return
}

// CHECK-LABEL: func @blockwise
func.func @blockwise(%x: tensor<2x128x64xf32>) -> tensor<2x128x64xf32> {
  // CHECK: bpt.blockwise sliced(%{{.*}} : tensor<2x128x64xf32>) dims = [1, 1] block = 64 {
  // CHECK-NEXT: ^bb0(%{{.*}}: index, %[[X:.*]]: tensor<2x64x64xf32>):
  // CHECK-NEXT: bpt.yield %[[X]] : tensor<2x64x64xf32>
  // CHECK-NEXT: } -> tensor<2x128x64xf32>
  %y = bpt.blockwise sliced(%x : tensor<2x128x64xf32>) dims = [1, 1] block = 64 {
  ^bb0(%offset: index, %xb: tensor<2x64x64xf32>):
    bpt.yield %xb : tensor<2x64x64xf32>
  } -> tensor<2x128x64xf32>
  return %y : tensor<2x128x64xf32>
}

// The block does not divide the length: `?`. Different sequence dims, a shared weight, an accumulated sum.
// CHECK-LABEL: func @blockwise_everything
func.func @blockwise_everything(%x: tensor<2x100x64xf32>, %l: tensor<2x4x100xf32>, %w: tensor<64xf32>)
    -> (tensor<2x4x100xf32>, tensor<64xf32>) {
  // CHECK: bpt.blockwise sliced(%{{.*}}, %{{.*}} : tensor<2x100x64xf32>, tensor<2x4x100xf32>) shared(%{{.*}} : tensor<64xf32>) accumulated(%{{.*}} : tensor<64xf32>) dims = [1, 2, 2] block = 48 {
  // CHECK-NEXT: ^bb0(%{{.*}}: index, %{{.*}}: tensor<2x?x64xf32>, %{{.*}}: tensor<2x4x?xf32>, %{{.*}}: tensor<64xf32>, %{{.*}}: tensor<64xf32>):
  // CHECK: } -> tensor<2x4x100xf32>, tensor<64xf32>
  %y:2 = bpt.blockwise sliced(%x, %l : tensor<2x100x64xf32>, tensor<2x4x100xf32>) shared(%w : tensor<64xf32>)
      accumulated(%w : tensor<64xf32>) dims = [1, 2, 2] block = 48 {
  ^bb0(%offset: index, %xb: tensor<2x?x64xf32>, %lb: tensor<2x4x?xf32>, %wb: tensor<64xf32>, %sum: tensor<64xf32>):
    bpt.yield %lb, %wb : tensor<2x4x?xf32>, tensor<64xf32>
  } -> tensor<2x4x100xf32>, tensor<64xf32>
  return %y#0, %y#1 : tensor<2x4x100xf32>, tensor<64xf32>
}

// CHECK-LABEL: func @barrier
func.func @barrier(%x: tensor<2x128x64xf32>, %i: index) -> tensor<2x128x64xf32> {
  // CHECK: bpt.barrier %{{.*}}, %{{.*}} : tensor<2x128x64xf32>, index
  %y:2 = bpt.barrier %x, %i : tensor<2x128x64xf32>, index
  return %y#0 : tensor<2x128x64xf32>
}

// CHECK-LABEL: func @thread_scratch
func.func @thread_scratch() {
  // CHECK: bpt.thread_scratch : memref<?xi8>
  %scratch = bpt.thread_scratch : memref<?xi8>
  return
}
