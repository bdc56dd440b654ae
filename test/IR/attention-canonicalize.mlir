// Masks in fewer words, and no out that nobody uses.
// RUN: bpt-opt %s --canonicalize --split-input-file | FileCheck %s

// CHECK-LABEL: func @flatten_intersection
// CHECK: mask = #bpt.intersection<#bpt.causal, #bpt.sliding_window<3>>
func.func @flatten_intersection(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %i: index) -> tensor<2x8x4x16xf32> {
  %a, %lse = bpt.attention {scale = 1.0 : f64, mask = #bpt.intersection<#bpt.intersection<#bpt.prefix<9>, #bpt.causal>,
      #bpt.full, #bpt.sliding_window<5>, #bpt.sliding_window<3>>}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) offset(%i)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return %a : tensor<2x8x4x16xf32>
}

// -----

// CHECK-LABEL: func @single_member
// CHECK: mask = #bpt.causal
func.func @single_member(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32> {
  %a, %lse = bpt.attention {scale = 1.0 : f64, mask = #bpt.intersection<#bpt.causal, #bpt.causal>}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return %a : tensor<2x8x4x16xf32>
}

// -----

// A window as wide as the sequence hides nothing; #bpt.full is the default and not printed.
// CHECK-LABEL: func @hides_nothing
// CHECK: bpt.attention_grad {scale = 1.000000e+00 : f64} cotangent
func.func @hides_nothing(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32> {
  %r:3 = bpt.attention_grad {scale = 1.0 : f64, mask = #bpt.sliding_window<8>} cotangent(%q : tensor<2x8x4x16xf32>)
    ins(%q, %q, %q, %q, %l : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>,
        tensor<2x4x8xf32>)
    outs(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    -> tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>
  return %r#0 : tensor<2x8x4x16xf32>
}

// -----

// With an offset the rows may be anywhere.
// CHECK-LABEL: func @offset_keeps_mask
// CHECK: mask = #bpt.sliding_window<8>
func.func @offset_keeps_mask(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %i: index) -> tensor<2x8x4x16xf32> {
  %a, %lse = bpt.attention {scale = 1.0 : f64, mask = #bpt.sliding_window<8>}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) offset(%i)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return %a : tensor<2x8x4x16xf32>
}

// -----

// CHECK-LABEL: func @unused_probabilities
// CHECK-SAME: %[[Q:.*]]: tensor<2x8x4x16xf32>, %[[L:.*]]: tensor<2x4x8xf32>, %[[P:.*]]: tensor<2x4x8x8xf32>
// CHECK: %[[A:.*]]:2 = bpt.attention {{.*}} outs(%[[Q]], %[[L]] : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>)
// CHECK: return %[[A]]#1
func.func @unused_probabilities(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %p: tensor<2x4x8x8xf32>)
    -> tensor<2x4x8xf32> {
  %r:3 = bpt.attention {scale = 1.0 : f64, mask = #bpt.causal}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l, %p : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>, tensor<2x4x8x8xf32>)
    -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>, tensor<2x4x8x8xf32>
  return %r#1 : tensor<2x4x8xf32>
}
