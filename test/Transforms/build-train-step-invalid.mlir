// What bpt-build-train-step refuses.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-build-train-step{accumulate=2})' --verify-diagnostics --split-input-file

// expected-error@+1 {{expected a loss function with parameters, arguments with bpt.init, but got none}}
func.func @loss(%x: tensor<f32>) -> tensor<f32> { return %x : tensor<f32> }

// -----

// expected-error@+1 {{expected a loss function with one result, a 0-d floating-point tensor, but got results 'tensor<4xf32>'}}
func.func @loss(%x: tensor<4xf32> {bpt.init = #bpt.ones}) -> tensor<4xf32> { return %x : tensor<4xf32> }

// -----

// expected-error@+1 {{expected no function @train_step yet; remove it or rename it}}
func.func @loss(%x: tensor<f32> {bpt.init = #bpt.ones}) -> tensor<f32> { return %x : tensor<f32> }
// expected-note@+1 {{it is here}}
func.func @train_step(%x: tensor<f32>) -> tensor<f32> { return %x : tensor<f32> }

// -----

// A mean over targets that is not the loss: no way to put micro-steps together.
func.func @loss(%x: tensor<3x4xf32> {bpt.init = #bpt.ones}, %w: tensor<4x5xf32>, %t: tensor<3xi32>) -> tensor<f32> {
  %l = tensor.empty() : tensor<f32>
  %s = tensor.empty() : tensor<3xf32>
  // expected-error@+1 {{expected the loss to be the result of this op when accumulate > 1}}
  %r:2 = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<3x4xf32>, tensor<4x5xf32>, tensor<3xi32>)
    outs(%l, %s : tensor<f32>, tensor<3xf32>) -> tensor<f32>, tensor<3xf32>
  %y = arith.addf %r#0, %r#0 : tensor<f32>
  return %y : tensor<f32>
}
