// bpt-build-train-step: arguments, results, updates in place, micro-steps, narrow parameters.
// RUN: bpt-opt %s --split-input-file --pass-pipeline='builtin.module(bpt-build-train-step)' | FileCheck %s
// RUN: bpt-opt %s --split-input-file --pass-pipeline='builtin.module(bpt-build-train-step{accumulate=4 clip=0})' | FileCheck %s --check-prefix=MICRO

// CHECK-LABEL: func.func @train_step(
// CHECK-SAME: %[[W:[^ ]*]]: tensor<11x4xf32> {bpt.decay = true, bpt.init = #bpt.zeros, bpt.name = "w"},
// CHECK-SAME: %[[G:[^ ]*]]: tensor<4xf32> {bpt.init = #bpt.ones, bpt.name = "g"},
// CHECK-SAME: %[[WM:[^ ]*]]: tensor<11x4xf32> {bpt.name = "w.m"}, %[[GM:[^ ]*]]: tensor<4xf32> {bpt.name = "g.m"},
// CHECK-SAME: %[[WV:[^ ]*]]: tensor<11x4xf32> {bpt.name = "w.v"}, %[[GV:[^ ]*]]: tensor<4xf32> {bpt.name = "g.v"},
// CHECK-SAME: %[[STEP:[^ ]*]]: tensor<i64> {bpt.name = "step"}, %[[LR:[^ ]*]]: tensor<f32> {bpt.name = "lr"},
// CHECK-SAME: %{{[^ ]*}}: tensor<i64> {bpt.name = "seed"}, %{{[^ ]*}}: tensor<2x3xi32> {bpt.name = "tokens", bpt.range = 11 : i64},
// CHECK-SAME: -> (tensor<f32> {bpt.name = "loss"}, tensor<f32> {bpt.name = "grad_norm"},
// CHECK-SAME: tensor<11x4xf32> {bpt.inplace = 0 : i64, bpt.name = "w"}, tensor<4xf32> {bpt.inplace = 1 : i64, bpt.name = "g"},
// CHECK-SAME: tensor<11x4xf32> {bpt.inplace = 2 : i64, bpt.name = "w.m"}, tensor<4xf32> {bpt.inplace = 3 : i64, bpt.name = "g.m"},
// CHECK-SAME: tensor<11x4xf32> {bpt.inplace = 4 : i64, bpt.name = "w.v"}, tensor<4xf32> {bpt.inplace = 5 : i64, bpt.name = "g.v"})
// CHECK: %[[LOSS:.*]]:2 = bpt.linear_cross_entropy
// CHECK: bpt.linear_cross_entropy_grad
// CHECK: %[[DG:.*]]:2 = bpt.rms_norm_grad
// CHECK: bpt.dropout
// CHECK: %[[DW:.*]] = bpt.embedding_grad
// CHECK: %[[NORM:.*]] = bpt.global_norm ins(%[[DW]], %[[DG]]#1 :
// CHECK: %[[W1:.*]]:3 = bpt.adamw {{.*}}clip = 1.000000e+00{{.*}}weight_decay = 1.000000e-01 : f64} ins(%[[DW]], %[[STEP]], %[[LR]] : {{.*}}) norm(%[[NORM]] : tensor<f32>) outs(%[[W]], %[[WM]], %[[WV]] :
// CHECK: %[[G1:.*]]:3 = bpt.adamw {{.*}}weight_decay = 0.000000e+00 : f64} ins(%[[DG]]#1, {{.*}} outs(%[[G]], %[[GM]], %[[GV]] :
// CHECK: return %[[LOSS]]#0, %[[NORM]], %[[W1]]#0, %[[G1]]#0, %[[W1]]#1, %[[G1]]#1, %[[W1]]#2, %[[G1]]#2

// The valid targets of all micro-steps are counted first; gradients are carried; each micro-step has a seed of its own.
// MICRO-LABEL: func.func @train_step(
// MICRO-SAME: tensor<i64> {bpt.name = "seed"}, %{{[^ ]*}}: tensor<4x2x3xi32> {bpt.name = "tokens", bpt.range = 11 : i64}, %[[TARGETS:[^ ]*]]: tensor<4x2x3xi32>
// MICRO: %[[COUNT:.*]] = linalg.generic {{.*}} ins(%[[TARGETS]] : tensor<4x2x3xi32>) outs(%{{.*}} : tensor<i64>)
// MICRO: arith.cmpi ne
// MICRO: scf.for %[[I:.*]] = {{.*}} iter_args(%{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}, %{{.*}} = %{{.*}}) -> (tensor<f32>, tensor<11x4xf32>, tensor<4xf32>)
// MICRO: arith.shli
// MICRO: tensor.extract_slice %{{.*}}[%[[I]], 0, 0] [1, 2, 3] [1, 1, 1] : tensor<4x2x3xi32> to tensor<2x3xi32>
// MICRO: bpt.linear_cross_entropy {{.*}} count(%[[COUNT]] : tensor<i64>)
// MICRO: bpt.linear_cross_entropy_grad {{.*}} count(%[[COUNT]] : tensor<i64>)
// MICRO: scf.yield
// MICRO: bpt.global_norm
// MICRO: bpt.adamw
// MICRO-NOT: norm(
// MICRO: return
func.func @loss(%w: tensor<11x4xf32> {bpt.name = "w", bpt.init = #bpt.zeros, bpt.decay = true},
                %g: tensor<4xf32> {bpt.name = "g", bpt.init = #bpt.ones},
                %tokens: tensor<2x3xi32> {bpt.name = "tokens", bpt.range = 11 : i64}, %targets: tensor<2x3xi32> {bpt.name = "targets"},
                %seed: tensor<i64> {bpt.name = "seed"}) -> (tensor<f32> {bpt.name = "loss"}) {
  %e = tensor.empty() : tensor<2x3x4xf32>
  %x = bpt.embedding ins(%tokens, %w : tensor<2x3xi32>, tensor<11x4xf32>) outs(%e : tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %d = bpt.dropout {probability = 0.1 : f64} ins(%x : tensor<2x3x4xf32>) seed(%seed : tensor<i64>) outs(%e : tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %n = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%d : tensor<2x3x4xf32>) weight(%g : tensor<4xf32>) outs(%e : tensor<2x3x4xf32>) -> tensor<2x3x4xf32>
  %l = tensor.empty() : tensor<f32>
  %s = tensor.empty() : tensor<2x3xf32>
  %y:2 = bpt.linear_cross_entropy {weights_transposed} ins(%n, %w, %targets : tensor<2x3x4xf32>, tensor<11x4xf32>, tensor<2x3xi32>)
    outs(%l, %s : tensor<f32>, tensor<2x3xf32>) -> tensor<f32>, tensor<2x3xf32>
  return %y#0 : tensor<f32>
}

// -----

// bf16: f32 masters, rounded at the start. A loss that is no cross-entropy is averaged over micro-steps, in f32.
// CHECK-LABEL: func.func @train_step(
// CHECK-SAME: %[[W:[^ ]*]]: tensor<4xf32> {bpt.init = #bpt.ones, bpt.name = "arg0"}
// CHECK: %[[NARROW:.*]] = linalg.generic {{.*}} ins(%[[W]] : tensor<4xf32>) outs(%{{.*}} : tensor<4xbf16>)
// CHECK: arith.truncf
// CHECK: bpt.adamw {{.*}} : tensor<4xbf16>, tensor<i64>, tensor<f32>) {{.*}} outs(%[[W]],
// MICRO-LABEL: func.func @train_step(
// MICRO: scf.for {{.*}} -> (tensor<f32>, tensor<4xf32>)
// MICRO: arith.constant 2.500000e-01 : f32
// MICRO: scf.yield
// MICRO: bpt.adamw
func.func @loss(%w: tensor<4xbf16> {bpt.init = #bpt.ones}, %x: tensor<4xbf16>) -> tensor<f32> {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<f32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<f32>) -> tensor<f32>
  %y = linalg.dot ins(%w, %x : tensor<4xbf16>, tensor<4xbf16>) outs(%z : tensor<f32>) -> tensor<f32>
  return %y : tensor<f32>
}
