// Masks, initialisations, schedules and the attributes of functions: text and bytecode.
// RUN: bpt-opt %s | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --emit-bytecode | bpt-opt | FileCheck %s

// CHECK-LABEL: func private @masks
// CHECK-SAME: a = #bpt.full
// CHECK-SAME: b = #bpt.causal
// CHECK-SAME: c = #bpt.sliding_window<512>
// CHECK-SAME: d = #bpt.prefix<3>
// CHECK-SAME: e = #bpt.intersection<#bpt.causal, #bpt.sliding_window<512>>
// CHECK-SAME: f = #bpt.schedule<{kv_block = 96 : i64, q_block = 192 : i64}>
func.func private @masks() attributes {a = #bpt.full, b = #bpt.causal, c = #bpt.sliding_window<512>, d = #bpt.prefix<3>,
  e = #bpt.intersection<#bpt.causal, #bpt.sliding_window<512>>, f = #bpt.schedule<{q_block = 192, kv_block = 96}>}

// Standard deviations keep every bit.
// CHECK-LABEL: func private @parameters
// CHECK-SAME: tensor<8x8xf32> {bpt.decay = true, bpt.init = #bpt.normal<2.000000e-02>, bpt.name = "w"}
// CHECK-SAME: tensor<8xf32> {bpt.decay = false, bpt.init = #bpt.zeros, bpt.name = "b"}
// CHECK-SAME: tensor<8xf32> {bpt.init = #bpt.ones}
// CHECK-SAME: tensor<8xf32> {bpt.init = #bpt.normal<0.0070710678118654745>}
// CHECK-SAME: tensor<2x8xi32> {bpt.name = "tokens", bpt.range = 256 : i64}
// CHECK-SAME: -> (tensor<f32> {bpt.name = "loss"}, tensor<8x8xf32> {bpt.inplace = 0 : i64, bpt.name = "w"})
func.func private @parameters(
  tensor<8x8xf32> {bpt.name = "w", bpt.init = #bpt.normal<0.02>, bpt.decay = true},
  tensor<8xf32> {bpt.name = "b", bpt.init = #bpt.zeros, bpt.decay = false},
  tensor<8xf32> {bpt.init = #bpt.ones},
  tensor<8xf32> {bpt.init = #bpt.normal<0.0070710678118654745>},
  tensor<2x8xi32> {bpt.name = "tokens", bpt.range = 256 : i64})
  -> (tensor<f32> {bpt.name = "loss"}, tensor<8x8xf32> {bpt.name = "w", bpt.inplace = 0 : i64})
