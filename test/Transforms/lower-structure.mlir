// RUN: bpt-opt %s --bpt-lower-structure --split-input-file | FileCheck %s

// Whole blocks in a loop, the rest behind it, both with static shapes although the body had none.
// CHECK-LABEL: func.func @tail(
// CHECK-SAME: %[[X:.*]]: tensor<2x40x8xf32>, %[[W:.*]]: tensor<8xf32>
// CHECK: %[[D:.*]] = tensor.empty() : tensor<2x40x8xf32>
// CHECK: %[[LOOP:.*]] = scf.for %[[I:.*]] = %{{.*}} to %{{.*}} step %{{.*}} iter_args(%[[A:.*]] = %[[D]])
// CHECK: %[[XB:.*]] = tensor.extract_slice %[[X]][0, %[[I]], 0] [2, 16, 8] [1, 1, 1] : tensor<2x40x8xf32> to tensor<2x16x8xf32>
// CHECK: %[[R:.*]] = bpt.rms_norm {{.*}} ins(%[[XB]] : tensor<2x16x8xf32>) weight(%[[W]] : tensor<8xf32>)
// CHECK: %[[B:.*]] = tensor.insert_slice %[[R]] into %[[A]][0, %[[I]], 0] [2, 16, 8] [1, 1, 1]
// CHECK: scf.yield %[[B]]
// CHECK: %[[XT:.*]] = tensor.extract_slice %[[X]][0, 32, 0] [2, 8, 8] [1, 1, 1]
// CHECK: %[[RT:.*]] = bpt.rms_norm {{.*}} ins(%[[XT]] : tensor<2x8x8xf32>)
// CHECK: %[[Y:.*]] = tensor.insert_slice %[[RT]] into %[[LOOP]][0, 32, 0] [2, 8, 8] [1, 1, 1]
// CHECK: return %[[Y]]
func.func @tail(%x: tensor<2x40x8xf32>, %w: tensor<8xf32>) -> tensor<2x40x8xf32> {
  %y = bpt.blockwise sliced(%x : tensor<2x40x8xf32>) shared(%w : tensor<8xf32>) dims = [1, 1] block = 16 {
  ^bb0(%offset: index, %xb: tensor<2x?x8xf32>, %wb: tensor<8xf32>):
    %c1 = arith.constant 1 : index
    %n = tensor.dim %xb, %c1 : tensor<2x?x8xf32>
    %o = tensor.empty(%n) : tensor<2x?x8xf32>
    %r = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xb : tensor<2x?x8xf32>) weight(%wb : tensor<8xf32>)
      outs(%o : tensor<2x?x8xf32>) -> tensor<2x?x8xf32>
    bpt.yield %r : tensor<2x?x8xf32>
  } -> tensor<2x40x8xf32>
  return %y : tensor<2x40x8xf32>
}

// -----

// A length that is not known: static blocks, and a tail of none or one iteration.
// CHECK-LABEL: func.func @dynamic(
// CHECK-SAME: %[[X:.*]]: tensor<?x?x8xf32>
// CHECK: %[[S:.*]] = tensor.dim %[[X]], %{{.*}}
// CHECK: %[[COUNT:.*]] = arith.divui %[[S]], %{{.*}} : index
// CHECK: %[[WHOLE:.*]] = arith.muli %[[COUNT]], %{{.*}} : index
// CHECK: %[[REST:.*]] = arith.subi %[[S]], %[[WHOLE]] : index
// CHECK: scf.for %{{.*}} = %{{.*}} to %[[WHOLE]]
// CHECK: linalg.exp ins(%{{.*}} : tensor<?x16x8xf32>)
// CHECK: scf.for %[[I:.*]] = %[[WHOLE]] to %[[S]]
// CHECK: tensor.extract_slice %[[X]][0, %[[I]], 0] [%{{.*}}, %[[REST]], 8] [1, 1, 1]
// CHECK: linalg.exp ins(%{{.*}} : tensor<?x?x8xf32>)
func.func @dynamic(%x: tensor<?x?x8xf32>) -> tensor<?x?x8xf32> {
  %y = bpt.blockwise sliced(%x : tensor<?x?x8xf32>) dims = [1, 1] block = 16 {
  ^bb0(%offset: index, %xb: tensor<?x?x8xf32>):
    %c0 = arith.constant 0 : index
    %c1 = arith.constant 1 : index
    %b = tensor.dim %xb, %c0 : tensor<?x?x8xf32>
    %n = tensor.dim %xb, %c1 : tensor<?x?x8xf32>
    %o = tensor.empty(%b, %n) : tensor<?x?x8xf32>
    %r = linalg.exp ins(%xb : tensor<?x?x8xf32>) outs(%o : tensor<?x?x8xf32>) -> tensor<?x?x8xf32>
    bpt.yield %r : tensor<?x?x8xf32>
  } -> tensor<?x?x8xf32>
  return %y : tensor<?x?x8xf32>
}

// -----

// One block: no loop, no slices. The offset is 0.
// CHECK-LABEL: func.func @one_block(
// CHECK-SAME: %[[X:.*]]: tensor<2x40x4x8xf32>
// CHECK-NOT: scf.for
// CHECK-NOT: tensor.extract_slice
// CHECK: %[[ZERO:.*]] = arith.constant 0 : index
// CHECK: bpt.rotary {{.*}} ins(%[[X]] : tensor<2x40x4x8xf32>) offset(%[[ZERO]])
func.func @one_block(%x: tensor<2x40x4x8xf32>) -> tensor<2x40x4x8xf32> {
  %y = bpt.blockwise sliced(%x : tensor<2x40x4x8xf32>) dims = [1, 1] block = 40 {
  ^bb0(%offset: index, %xb: tensor<2x40x4x8xf32>):
    %o = tensor.empty() : tensor<2x40x4x8xf32>
    %r = bpt.rotary {theta = 10000.0 : f64} ins(%xb : tensor<2x40x4x8xf32>) offset(%offset)
      outs(%o : tensor<2x40x4x8xf32>) -> tensor<2x40x4x8xf32>
    bpt.yield %r : tensor<2x40x4x8xf32>
  } -> tensor<2x40x4x8xf32>
  return %y : tensor<2x40x4x8xf32>
}

// -----

// A dead operand lends its buffer, an argument of an entry or one used again does not. Accumulated values are carried.
// CHECK-LABEL: func.func @reuse(
// CHECK: %[[DEAD:.*]] = linalg.exp
// CHECK: scf.for %{{.*}} iter_args(%[[A:.*]] = %[[DEAD]], %[[SUM:.*]] = %{{.*}}) -> (tensor<32x8xf32>, tensor<8xf32>)
// CHECK: tensor.extract_slice %[[A]]
// CHECK: scf.yield
// CHECK: %[[ALIVE:.*]] = linalg.exp
// CHECK: %[[FRESH:.*]] = tensor.empty() : tensor<32x8xf32>
// CHECK: scf.for %{{.*}} iter_args(%{{.*}} = %[[FRESH]])
// CHECK: tensor.extract_slice %[[ALIVE]]
#rows = affine_map<(i, j) -> (i, j)>
#columns = affine_map<(i, j) -> (j)>
func.func @reuse(%x: tensor<32x8xf32>, %s: tensor<8xf32>) -> (tensor<32x8xf32>, tensor<8xf32>, tensor<32x8xf32>, tensor<32x8xf32>) {
  %e = tensor.empty() : tensor<32x8xf32>
  %dead = linalg.exp ins(%x : tensor<32x8xf32>) outs(%e : tensor<32x8xf32>) -> tensor<32x8xf32>
  %y, %sum = bpt.blockwise sliced(%dead : tensor<32x8xf32>) accumulated(%s : tensor<8xf32>) dims = [0, 0] block = 8 {
  ^bb0(%offset: index, %b: tensor<8x8xf32>, %acc: tensor<8xf32>):
    %r = linalg.exp ins(%b : tensor<8x8xf32>) outs(%b : tensor<8x8xf32>) -> tensor<8x8xf32>
    %t = linalg.generic {indexing_maps = [#rows, #columns], iterator_types = ["reduction", "parallel"]}
        ins(%r : tensor<8x8xf32>) outs(%acc : tensor<8xf32>) {
    ^bb1(%in: f32, %out: f32):
      %add = arith.addf %in, %out : f32
      linalg.yield %add : f32
    } -> tensor<8xf32>
    bpt.yield %r, %t : tensor<8x8xf32>, tensor<8xf32>
  } -> tensor<32x8xf32>, tensor<8xf32>
  %alive = linalg.exp ins(%x : tensor<32x8xf32>) outs(%e : tensor<32x8xf32>) -> tensor<32x8xf32>
  %z = bpt.blockwise sliced(%alive : tensor<32x8xf32>) dims = [0, 0] block = 8 {
  ^bb0(%offset: index, %b: tensor<8x8xf32>):
    %o = tensor.empty() : tensor<8x8xf32>
    %r = linalg.exp ins(%b : tensor<8x8xf32>) outs(%o : tensor<8x8xf32>) -> tensor<8x8xf32>
    bpt.yield %r : tensor<8x8xf32>
  } -> tensor<32x8xf32>
  return %y, %sum, %z, %alive : tensor<32x8xf32>, tensor<8xf32>, tensor<32x8xf32>, tensor<32x8xf32>
}

// -----

// A body is inlined, a callee is called, a barrier stays.
// CHECK-LABEL: func.func @checkpoints(
// CHECK-SAME: %[[X:.*]]: tensor<4x8xf32>
// CHECK: %[[A:.*]] = linalg.exp ins(%[[X]] :
// CHECK: %[[B:.*]] = bpt.barrier %[[A]]
// CHECK: %[[C:.*]] = call @layer(%[[B]])
// CHECK: return %[[C]]
func.func @checkpoints(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %a = bpt.checkpoint keep(input) inputs(%x : tensor<4x8xf32>) {
  ^bb0(%b: tensor<4x8xf32>):
    %o = tensor.empty() : tensor<4x8xf32>
    %r = linalg.exp ins(%b : tensor<4x8xf32>) outs(%o : tensor<4x8xf32>) -> tensor<4x8xf32>
    bpt.yield %r : tensor<4x8xf32>
  } -> tensor<4x8xf32>
  %b = bpt.barrier %a : tensor<4x8xf32>
  %c = bpt.checkpoint @layer keep(input) inputs(%b : tensor<4x8xf32>) -> tensor<4x8xf32>
  return %c : tensor<4x8xf32>
}
func.func private @layer(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  return %x : tensor<4x8xf32>
}
