// One case for each constraint of the optimizer ops.
// RUN: bpt-opt %s --verify-diagnostics --split-input-file

func.func @adamw_c1_type(%g: tensor<8xf32>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<8xf32>, %m: tensor<8xf64>) {
  // expected-error@+1 {{expected m of 'f32', but got 'tensor<8xf64>'}}
  %r:3 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%g, %step, %lr : tensor<8xf32>, tensor<i64>, tensor<f32>)
    outs(%p, %m, %p : tensor<8xf32>, tensor<8xf64>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf64>, tensor<8xf32>
  return
}

// -----

func.func @adamw_c1_shape(%g: tensor<9xf32>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<8xf32>) {
  // expected-error@+1 {{expected dim 0 = 8 as in param, but got 9 in grad of type 'tensor<9xf32>'}}
  %r:3 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%g, %step, %lr : tensor<9xf32>, tensor<i64>, tensor<f32>)
    outs(%p, %p, %p : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @adamw_c1_wide(%g: tensor<8xf64>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<8xf32>) {
  // expected-error@+1 {{expected grad of 'f32' or a narrower type, but got 'tensor<8xf64>'}}
  %r:3 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%g, %step, %lr : tensor<8xf64>, tensor<i64>, tensor<f32>)
    outs(%p, %p, %p : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @adamw_c1_lr(%g: tensor<8xf64>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<8xf64>) {
  // expected-error@+1 {{expected lr of 'f64', but got 'tensor<f32>'}}
  %r:3 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%g, %step, %lr : tensor<8xf64>, tensor<i64>, tensor<f32>)
    outs(%p, %p, %p : tensor<8xf64>, tensor<8xf64>, tensor<8xf64>) -> tensor<8xf64>, tensor<8xf64>, tensor<8xf64>
  return
}

// -----

func.func @adamw_c1_count(%g: tensor<8xf32>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<8xf32>) {
  // expected-error@+1 {{expected 3 outs, but got 2}}
  %r:2 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%g, %step, %lr : tensor<8xf32>, tensor<i64>, tensor<f32>)
    outs(%p, %p : tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @adamw_c2_no_norm(%g: tensor<8xf32>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<8xf32>) {
  // expected-error@+1 {{expected a norm exactly when clip > 0, but got clip and no norm}}
  %r:3 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64, clip = 1.0 : f64}
    ins(%g, %step, %lr : tensor<8xf32>, tensor<i64>, tensor<f32>)
    outs(%p, %p, %p : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @adamw_c2_negative(%g: tensor<8xf32>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<8xf32>) {
  // expected-error@+1 {{expected a finite clip >= 0, but got -1.0}}
  %r:3 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64, clip = -1.0 : f64}
    ins(%g, %step, %lr : tensor<8xf32>, tensor<i64>, tensor<f32>) norm(%lr : tensor<f32>)
    outs(%p, %p, %p : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @adamw_c3_beta(%g: tensor<8xf32>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<8xf32>) {
  // expected-error@+1 {{expected 0 <= beta2 < 1, but got 1.0}}
  %r:3 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 1.0 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%g, %step, %lr : tensor<8xf32>, tensor<i64>, tensor<f32>)
    outs(%p, %p, %p : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @adamw_c3_decay(%g: tensor<8xf32>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<8xf32>) {
  // expected-error@+1 {{expected a finite weight_decay >= 0, but got -1.0}}
  %r:3 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = -1.0 : f64}
    ins(%g, %step, %lr : tensor<8xf32>, tensor<i64>, tensor<f32>)
    outs(%p, %p, %p : tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<8xf32>, tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @global_norm_c1(%a: tensor<8xf32>, %b: tensor<8xbf16>, %o: tensor<f32>) {
  // expected-error@+1 {{expected gradients of 'f32' as the first one, but got 'tensor<8xbf16>'}}
  %n = bpt.global_norm ins(%a, %b : tensor<8xf32>, tensor<8xbf16>) outs(%o : tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @global_norm_c1_out(%a: tensor<8xf64>, %o: tensor<f32>) {
  // expected-error@+1 {{expected norm of 'f64', but got 'tensor<f32>'}}
  %n = bpt.global_norm ins(%a : tensor<8xf64>) outs(%o : tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @global_norm_c1_none(%o: tensor<f32>) {
  // expected-error@+1 {{expected one gradient or more, but got none}}
  %n = bpt.global_norm ins() outs(%o : tensor<f32>) -> tensor<f32>
  return
}
