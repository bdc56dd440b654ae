// Operands and results that nobody needs leave checkpoints and blockwise maps; a barrier stays.
// RUN: bpt-opt %s --canonicalize --cse --split-input-file | FileCheck %s

// An operand of a checkpoint is memory kept for the backward.
// CHECK-LABEL: func @checkpoint_unused
// CHECK-SAME: %[[X:.*]]: tensor<8xf32>, %[[Y:.*]]: tensor<8xf32>, %[[Z:.*]]: tensor<8xf32>
// CHECK: %[[R:.*]] = bpt.checkpoint keep(qkv) inputs(%[[X]], %[[Z]] : tensor<8xf32>, tensor<8xf32>) {
// CHECK: ^bb0(%[[A:.*]]: tensor<8xf32>, %[[B:.*]]: tensor<8xf32>):
// CHECK: %[[S:.*]] = arith.addf %[[A]], %[[B]]
// CHECK: %[[T:.*]] = arith.mulf %[[S]], %[[A]]
// CHECK: bpt.yield %[[T]] : tensor<8xf32>
// CHECK: } -> tensor<8xf32> attributes {layer = 1 : i64}
// CHECK: return %[[R]]
func.func @checkpoint_unused(%x: tensor<8xf32>, %y: tensor<8xf32>, %z: tensor<8xf32>) -> tensor<8xf32> {
  %r:2 = bpt.checkpoint keep(qkv) inputs(%x, %y, %z, %x : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) {
  ^bb0(%a: tensor<8xf32>, %unused: tensor<8xf32>, %b: tensor<8xf32>, %again: tensor<8xf32>):
    %s = arith.addf %a, %b : tensor<8xf32>
    %t = arith.mulf %s, %again : tensor<8xf32>
    bpt.yield %b, %t : tensor<8xf32>, tensor<8xf32>
  } -> tensor<8xf32>, tensor<8xf32> attributes {layer = 1}
  return %r#1 : tensor<8xf32>
}

// -----

// The first of two equal operands has no use of its own.
// CHECK-LABEL: func @checkpoint_repeated
// CHECK: bpt.checkpoint keep(input) inputs(%{{.*}} : tensor<8xf32>) {
func.func @checkpoint_repeated(%x: tensor<8xf32>) -> tensor<8xf32> {
  %r = bpt.checkpoint keep(input) inputs(%x, %x : tensor<8xf32>, tensor<8xf32>) {
  ^bb0(%a: tensor<8xf32>, %b: tensor<8xf32>):
    %s = arith.addf %b, %b : tensor<8xf32>
    bpt.yield %s : tensor<8xf32>
  } -> tensor<8xf32>
  return %r : tensor<8xf32>
}

// -----

// The signature of a callee is left alone.
// CHECK-LABEL: func @checkpoint_callee
// CHECK: bpt.checkpoint @layer keep(input) inputs(%{{.*}}, %{{.*}} : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
func.func private @layer(tensor<8xf32>, tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>)
func.func @checkpoint_callee(%x: tensor<8xf32>) -> tensor<8xf32> {
  %r:2 = bpt.checkpoint @layer keep(input) inputs(%x, %x : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return %r#0 : tensor<8xf32>
}

// -----

// CHECK-LABEL: func @blockwise_unused
// CHECK-SAME: %[[X:.*]]: tensor<2x8xf32>, %[[Y:.*]]: tensor<2x8xf32>, %[[W:.*]]: tensor<4xf32>
// CHECK: %[[R:.*]]:2 = bpt.blockwise sliced(%[[Y]] : tensor<2x8xf32>) shared(%[[W]] : tensor<4xf32>) accumulated(%[[W]] : tensor<4xf32>) dims = [1, 1] block = 4 {
// CHECK: ^bb0(%{{.*}}: index, %[[B:.*]]: tensor<2x4xf32>, %[[V:.*]]: tensor<4xf32>, %[[SUM:.*]]: tensor<4xf32>):
// CHECK: %[[S:.*]] = arith.addf %[[SUM]], %[[V]]
// CHECK: bpt.yield %[[B]], %[[S]]
// CHECK: return %[[R]]#0, %[[R]]#1
func.func @blockwise_unused(%x: tensor<2x8xf32>, %y: tensor<2x8xf32>, %w: tensor<4xf32>)
    -> (tensor<2x8xf32>, tensor<4xf32>) {
  %r:3 = bpt.blockwise sliced(%x, %y : tensor<2x8xf32>, tensor<2x8xf32>)
      shared(%w, %x, %w : tensor<4xf32>, tensor<2x8xf32>, tensor<4xf32>) accumulated(%w : tensor<4xf32>)
      dims = [1, 1, 1, 1] block = 4 {
  ^bb0(%offset: index, %a: tensor<2x4xf32>, %b: tensor<2x4xf32>, %v: tensor<4xf32>, %u: tensor<2x8xf32>,
       %v2: tensor<4xf32>, %sum: tensor<4xf32>):
    %s = arith.addf %sum, %v2 : tensor<4xf32>
    bpt.yield %a, %b, %s : tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>
  } -> tensor<2x8xf32>, tensor<2x8xf32>, tensor<4xf32>
  return %r#1, %r#2 : tensor<2x8xf32>, tensor<4xf32>
}

// -----

// The length of the sequence comes from the last sliced operand.
// CHECK-LABEL: func @blockwise_length
// CHECK: bpt.blockwise sliced(%{{.*}} : tensor<?xf32>) accumulated
func.func @blockwise_length(%x: tensor<?xf32>, %n: index) -> index {
  %r = bpt.blockwise sliced(%x : tensor<?xf32>) accumulated(%n : index) dims = [0] block = 4 {
  ^bb0(%offset: index, %a: tensor<?xf32>, %sum: index):
    %s = arith.addi %sum, %offset : index
    bpt.yield %s : index
  } -> index
  return %r : index
}

// -----

// Recomputation behind a barrier is not merged with the forward; an unused barrier goes.
// CHECK-LABEL: func @barrier_stays
// CHECK-COUNT-2: arith.addf
// CHECK: bpt.barrier
// CHECK-NOT: bpt.barrier
// CHECK: arith.addf
func.func @barrier_stays(%x: tensor<8xf32>) -> tensor<8xf32> {
  %a = arith.addf %x, %x : tensor<8xf32>
  %b = arith.addf %a, %a : tensor<8xf32>
  %y = bpt.barrier %x : tensor<8xf32>
  %unused = bpt.barrier %x : tensor<8xf32>
  %c = arith.addf %y, %y : tensor<8xf32>
  %d = arith.addf %b, %c : tensor<8xf32>
  return %d : tensor<8xf32>
}
