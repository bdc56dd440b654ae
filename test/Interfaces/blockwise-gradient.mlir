// Gradient of bpt.blockwise: again blockwise.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=shared},bpt-differentiate{function=narrow},bpt-differentiate{function=residual},bpt-differentiate{function=tail},bpt-differentiate{function=kept},bpt-differentiate{function=accumulated})' | FileCheck %s

// Sliced gradient of the sliced operand, accumulated gradient of the shared one; the body is computed again.
// CHECK-LABEL: func.func @shared.grad
// CHECK-SAME: (%[[X:.*]]: tensor<8x4xf32>, %[[W:.*]]: tensor<4xf32>, %[[D:.*]]: tensor<8x4xf32>
func.func @shared(%x: tensor<8x4xf32>, %w: tensor<4xf32>) -> tensor<8x4xf32> {
  // CHECK: bpt.blockwise
  // CHECK: %[[ZERO:.*]] = linalg.fill {{.*}} -> tensor<4xf32>
  // CHECK: %[[G:.*]]:2 = bpt.blockwise sliced(%[[X]], %[[D]] : {{.*}}) shared(%[[W]] : tensor<4xf32>) accumulated(%[[ZERO]] : tensor<4xf32>) dims = [0, 0, 0] block = 4 {
  // CHECK: ^bb0(%{{.*}}: index, %[[XB:.*]]: tensor<4x4xf32>, %[[DB:.*]]: tensor<4x4xf32>, %[[WB:.*]]: tensor<4xf32>, %[[ACC:.*]]: tensor<4xf32>):
  // CHECK: bpt.rms_norm_grad {{.*}} cotangent(%[[DB]] : {{.*}} ins(%[[XB]] : {{.*}} outs(%{{.*}}, %[[ACC]] :
  // CHECK: return %{{.*}}, %[[G]]#0, %[[G]]#1
  %y = bpt.blockwise sliced(%x : tensor<8x4xf32>) shared(%w : tensor<4xf32>) dims = [0, 0] block = 4 {
  ^bb0(%i: index, %a: tensor<4x4xf32>, %b: tensor<4xf32>):
    %e = tensor.empty() : tensor<4x4xf32>
    %n = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%a : tensor<4x4xf32>) weight(%b : tensor<4xf32>) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
    bpt.yield %n : tensor<4x4xf32>
  } -> tensor<8x4xf32>
  return %y : tensor<8x4xf32>
}

// Sums over blocks are in f32 and rounded once, at the end.
// CHECK-LABEL: func.func @narrow.grad
func.func @narrow(%x: tensor<8x4xbf16>, %w: tensor<4xbf16>) -> tensor<8x4xbf16> {
  // CHECK: %[[G:.*]]:2 = bpt.blockwise {{.*}} accumulated(%{{.*}} : tensor<4xf32>)
  // CHECK: linalg.generic {{.*}} ins(%[[G]]#1 : tensor<4xf32>) outs(%{{.*}} : tensor<4xbf16>)
  // CHECK: arith.truncf
  %y = bpt.blockwise sliced(%x : tensor<8x4xbf16>) shared(%w : tensor<4xbf16>) dims = [0, 0] block = 4 {
  ^bb0(%i: index, %a: tensor<4x4xbf16>, %b: tensor<4xbf16>):
    %e = tensor.empty() : tensor<4x4xbf16>
    %n = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%a : tensor<4x4xbf16>) weight(%b : tensor<4xbf16>) outs(%e : tensor<4x4xbf16>) -> tensor<4x4xbf16>
    bpt.yield %n : tensor<4x4xbf16>
  } -> tensor<8x4xbf16>
  return %y : tensor<8x4xbf16>
}

// The gradient of a residual stream takes its cotangent's place, block by block.
// CHECK-LABEL: func.func @residual.grad
func.func @residual(%x: tensor<8x4xf32>) -> tensor<8x4xf32> {
  // CHECK: %[[D:.*]] = linalg.generic
  // CHECK: bpt.blockwise sliced(%{{.*}} : tensor<8x4xf32>) accumulated(%[[D]] : tensor<8x4xf32>)
  // CHECK: ^bb0(%[[I:.*]]: index, %{{.*}}: tensor<4x4xf32>, %[[ACC:.*]]: tensor<8x4xf32>):
  // CHECK: %[[PART:.*]] = tensor.extract_slice %[[ACC]][%[[I]], 0] [4, 4] [1, 1]
  // CHECK: %[[SUM:.*]] = bpt.rms_norm_grad {{.*}} outs(%[[PART]] :
  // CHECK: %[[NEXT:.*]] = tensor.insert_slice %[[SUM]] into %[[ACC]][%[[I]], 0] [4, 4] [1, 1]
  // CHECK: bpt.yield %[[NEXT]]
  %y = bpt.blockwise sliced(%x : tensor<8x4xf32>) dims = [0, 0] block = 4 {
  ^bb0(%i: index, %a: tensor<4x4xf32>):
    %e = tensor.empty() : tensor<4x4xf32>
    %n = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%a : tensor<4x4xf32>) outs(%e : tensor<4x4xf32>) -> tensor<4x4xf32>
    %s = arith.addf %a, %n : tensor<4x4xf32>
    bpt.yield %s : tensor<4x4xf32>
  } -> tensor<8x4xf32>
  %z = math.sin %y : tensor<8x4xf32>
  return %z : tensor<8x4xf32>
}

// A block that does not divide the sequence: types stay dynamic along it.
// CHECK-LABEL: func.func @tail.grad
func.func @tail(%x: tensor<7x4xf32>) -> tensor<7x4xf32> {
  // CHECK: bpt.blockwise
  // CHECK: bpt.blockwise
  // CHECK: ^bb0(%{{.*}}: index, %{{.*}}: tensor<?x4xf32>, %{{.*}}: tensor<?x4xf32>):
  %y = bpt.blockwise sliced(%x : tensor<7x4xf32>) dims = [0, 0] block = 4 {
  ^bb0(%i: index, %a: tensor<?x4xf32>):
    %s = math.sin %a : tensor<?x4xf32>
    bpt.yield %s : tensor<?x4xf32>
  } -> tensor<7x4xf32>
  return %y : tensor<7x4xf32>
}

// Kept values are further sliced results, of the blockwise op and of its checkpoint; attention is not computed again.
// CHECK-LABEL: func.func @kept.grad
func.func @kept(%q: tensor<1x8x2x4xf32>, %k: tensor<1x8x2x4xf32>) -> tensor<1x8x2x4xf32> {
  // CHECK: %[[F:.*]]:2 = bpt.checkpoint keep(attention)
  // CHECK:   bpt.blockwise {{.*}} dims = [1, 1, 2] block = 4 {
  // CHECK:   -> tensor<1x8x2x4xf32>, tensor<1x2x8xf32>
  // CHECK: %[[K:.*]]:2 = bpt.barrier %[[F]]#0, %[[F]]#1
  // CHECK: bpt.blockwise sliced(%{{[^ ]*}}, %{{[^ ]*}}, %[[K]]#0, %[[K]]#1 :
  // CHECK-NOT: bpt.attention {
  // CHECK: bpt.attention_grad
  %y = bpt.checkpoint keep(attention) inputs(%q, %k : tensor<1x8x2x4xf32>, tensor<1x8x2x4xf32>) {
  ^bb0(%a: tensor<1x8x2x4xf32>, %b: tensor<1x8x2x4xf32>):
    %r = bpt.blockwise sliced(%a : tensor<1x8x2x4xf32>) shared(%b : tensor<1x8x2x4xf32>) dims = [1, 1] block = 4 {
    ^bb0(%i: index, %c: tensor<1x4x2x4xf32>, %d: tensor<1x8x2x4xf32>):
      %o = tensor.empty() : tensor<1x4x2x4xf32>
      %l = tensor.empty() : tensor<1x2x4xf32>
      %s:2 = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64}
        ins(%c, %d, %d : tensor<1x4x2x4xf32>, tensor<1x8x2x4xf32>, tensor<1x8x2x4xf32>) offset(%i)
        outs(%o, %l : tensor<1x4x2x4xf32>, tensor<1x2x4xf32>) -> tensor<1x4x2x4xf32>, tensor<1x2x4xf32>
      bpt.yield %s#0 : tensor<1x4x2x4xf32>
    } -> tensor<1x8x2x4xf32>
    bpt.yield %r : tensor<1x8x2x4xf32>
  } -> tensor<1x8x2x4xf32>
  return %y : tensor<1x8x2x4xf32>
}

// An accumulated value that blocks only add to: every block has the cotangent of the sum.
// CHECK-LABEL: func.func @accumulated.grad
// CHECK-SAME: (%[[X:.*]]: tensor<8x4xf32>, %{{.*}}: tensor<4xf32>, %[[D:.*]]: tensor<4xf32>
func.func @accumulated(%x: tensor<8x4xf32>, %a: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: bpt.blockwise
  // CHECK: %[[DX:.*]] = bpt.blockwise sliced(%[[X]] : tensor<8x4xf32>) shared(%[[D]] : tensor<4xf32>)
  // CHECK: return %{{.*}}, %[[DX]], %[[D]]
  %r = bpt.blockwise sliced(%x : tensor<8x4xf32>) accumulated(%a : tensor<4xf32>) dims = [0] block = 4 {
  ^bb0(%i: index, %b: tensor<4x4xf32>, %acc: tensor<4xf32>):
    %e = math.exp %b : tensor<4x4xf32>
    %s = linalg.reduce { arith.addf } ins(%e : tensor<4x4xf32>) outs(%acc : tensor<4xf32>) dimensions = [0]
    bpt.yield %s : tensor<4xf32>
  } -> tensor<4xf32>
  return %r : tensor<4xf32>
}
