// One case for each constraint of the row-wise ops.
// RUN: bpt-opt %s --verify-diagnostics --split-input-file

func.func @layer_norm_c1(%x: tensor<6x4xf32>, %o: tensor<6x4xf16>) {
  // expected-error@+1 {{expected out of 'f32', but got 'tensor<6x4xf16>'}}
  %y = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<6x4xf32>) outs(%o : tensor<6x4xf16>) -> tensor<6x4xf16>
  return
}

// -----

func.func @layer_norm_c1_shape(%x: tensor<6x4xf32>, %o: tensor<5x4xf32>) {
  // expected-error@+1 {{expected dim 0 = 6 as in input, but got 5 in out of type 'tensor<5x4xf32>'}}
  %y = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<6x4xf32>) outs(%o : tensor<5x4xf32>) -> tensor<5x4xf32>
  return
}

// -----

func.func @layer_norm_c2(%x: tensor<6x4xf32>, %b: tensor<6xf32>) {
  // expected-error@+1 {{expected E = 4 as in input, but got 6 in bias of type 'tensor<6xf32>'}}
  %y = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<6x4xf32>) bias(%b : tensor<6xf32>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @layer_norm_c2_positive(%x: tensor<6x0xf32>) {
  // expected-error@+1 {{expected E > 0, but got 0 in input}}
  %y = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<6x0xf32>) outs(%x : tensor<6x0xf32>) -> tensor<6x0xf32>
  return
}

// -----

func.func @layer_norm_c3(%x: tensor<6x4xf32>) {
  // expected-error@+1 {{expected a finite eps > 0, but got 0.0}}
  %y = bpt.layer_norm {eps = 0.0 : f64} ins(%x : tensor<6x4xf32>) outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @layer_norm_eps_type(%x: tensor<6x4xf32>) {
  // expected-error@+1 {{attribute 'eps' failed to satisfy constraint: 64-bit float attribute}}
  %y = bpt.layer_norm {eps = 1.0e-5 : f32} ins(%x : tensor<6x4xf32>) outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @layer_norm_grad_c1(%x: tensor<6x4xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{expected 2 outs, but got 1}}
  %r = bpt.layer_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>)
    weight(%w : tensor<4xf32>) outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

// The second out belongs to the bias when there is no weight.
func.func @layer_norm_grad_c1_bias(%x: tensor<6x4xf32>, %b: tensor<4xf32>, %o: tensor<3xf32>) {
  // expected-error@+1 {{expected E = 4 as in input, but got 3 in dbias of type 'tensor<3xf32>'}}
  %r:2 = bpt.layer_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>)
    bias(%b : tensor<4xf32>) outs(%x, %o : tensor<6x4xf32>, tensor<3xf32>) -> tensor<6x4xf32>, tensor<3xf32>
  return
}

// -----

func.func @layer_norm_grad_c1_dout(%x: tensor<6x4xf32>, %d: tensor<6x5xf32>) {
  // expected-error@+1 {{expected E = 4 as in input, but got 5 in dout of type 'tensor<6x5xf32>'}}
  %r = bpt.layer_norm_grad {eps = 1.0e-5 : f64} cotangent(%d : tensor<6x5xf32>) ins(%x : tensor<6x4xf32>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @layer_norm_grad_c2(%x: tensor<6x4xf32>, %w: tensor<5xf32>) {
  // expected-error@+1 {{expected E = 4 as in input, but got 5 in weight of type 'tensor<5xf32>'}}
  %r:2 = bpt.layer_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>)
    weight(%w : tensor<5xf32>) outs(%x, %w : tensor<6x4xf32>, tensor<5xf32>) -> tensor<6x4xf32>, tensor<5xf32>
  return
}

// -----

func.func @layer_norm_grad_c3(%x: tensor<6x4xf32>) {
  // expected-error@+1 {{expected a finite eps > 0, but got nan}}
  %r = bpt.layer_norm_grad {eps = 0x7FF8000000000000 : f64} cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @rms_norm_c1(%x: tensor<6x4xf32>, %o: tensor<4x6xf32>) {
  // expected-error@+1 {{expected dim 0 = 6 as in input, but got 4 in out of type 'tensor<4x6xf32>'}}
  %y = bpt.rms_norm {eps = 1.0e-5 : f64} ins(%x : tensor<6x4xf32>) outs(%o : tensor<4x6xf32>) -> tensor<4x6xf32>
  return
}

// -----

func.func @rms_norm_c2(%x: tensor<6x4xf32>, %w: tensor<4xf64>) {
  // expected-error@+1 {{expected weight of 'f32', but got 'tensor<4xf64>'}}
  %y = bpt.rms_norm {eps = 1.0e-5 : f64} ins(%x : tensor<6x4xf32>) weight(%w : tensor<4xf64>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @rms_norm_c3(%x: tensor<6x4xf32>) {
  // expected-error@+1 {{expected a finite eps > 0, but got -1.0}}
  %y = bpt.rms_norm {eps = -1.0 : f64} ins(%x : tensor<6x4xf32>) outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @rms_norm_grad_c1(%x: tensor<6x4xf32>, %w: tensor<4xf32>) {
  // expected-error@+1 {{expected dweight of rank 1, but got 'tensor<6x4xf32>'}}
  %r:2 = bpt.rms_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>)
    weight(%w : tensor<4xf32>) outs(%x, %x : tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x4xf32>, tensor<6x4xf32>
  return
}

// -----

func.func @rms_norm_grad_c2(%x: tensor<6x4xf32>, %w: tensor<5xf32>) {
  // expected-error@+1 {{expected E = 4 as in input, but got 5 in weight of type 'tensor<5xf32>'}}
  %r:2 = bpt.rms_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>)
    weight(%w : tensor<5xf32>) outs(%x, %w : tensor<6x4xf32>, tensor<5xf32>) -> tensor<6x4xf32>, tensor<5xf32>
  return
}

// -----

func.func @rms_norm_grad_c3(%x: tensor<6x4xf32>) {
  // expected-error@+1 {{expected a finite eps > 0, but got INF}}
  %r = bpt.rms_norm_grad {eps = 0x7FF0000000000000 : f64} cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @rotary_c1(%x: tensor<2x8x4x16xf32>, %o: tensor<2x8x2x16xf32>) {
  // expected-error@+1 {{expected H = 4 as in input, but got 2 in out of type 'tensor<2x8x2x16xf32>'}}
  %y = bpt.rotary {theta = 10000.0 : f64} ins(%x : tensor<2x8x4x16xf32>) outs(%o : tensor<2x8x2x16xf32>)
    -> tensor<2x8x2x16xf32>
  return
}

// -----

func.func @rotary_c1_even(%x: tensor<2x8x4x15xf32>) {
  // expected-error@+1 {{expected an even head dim, but got 15}}
  %y = bpt.rotary {theta = 10000.0 : f64} ins(%x : tensor<2x8x4x15xf32>) outs(%x : tensor<2x8x4x15xf32>)
    -> tensor<2x8x4x15xf32>
  return
}

// -----

func.func @rotary_c2(%x: tensor<2x8x4x16xf32>) {
  // expected-error@+1 {{expected a finite theta > 0, but got 0.0}}
  %y = bpt.rotary {theta = 0.0 : f64} ins(%x : tensor<2x8x4x16xf32>) outs(%x : tensor<2x8x4x16xf32>)
    -> tensor<2x8x4x16xf32>
  return
}

// -----

func.func @dropout_c1(%x: tensor<2x8xf32>, %o: tensor<2x8x1xf32>, %seed: tensor<i64>) {
  // expected-error@+1 {{expected 2 leading dims in out, but got 'tensor<2x8x1xf32>'}}
  %y = bpt.dropout {probability = 0.1 : f64} ins(%x : tensor<2x8xf32>) seed(%seed : tensor<i64>)
    outs(%o : tensor<2x8x1xf32>) -> tensor<2x8x1xf32>
  return
}

// -----

func.func @dropout_c1_rank(%x: tensor<8xf32>, %seed: tensor<i64>) {
  // expected-error@+1 {{expected an input of rank 2 or more, but got 'tensor<8xf32>'}}
  %y = bpt.dropout {probability = 0.1 : f64} ins(%x : tensor<8xf32>) seed(%seed : tensor<i64>)
    outs(%x : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @dropout_c2(%x: tensor<2x8xf32>, %seed: tensor<i64>) {
  // expected-error@+1 {{expected 0 <= probability < 1, but got -1.0}}
  %y = bpt.dropout {probability = -1.0 : f64} ins(%x : tensor<2x8xf32>) seed(%seed : tensor<i64>)
    outs(%x : tensor<2x8xf32>) -> tensor<2x8xf32>
  return
}

// -----

// Neither the type of the weight nor the accumulator type.
func.func @rms_norm_grad_c1_element(%x: tensor<6x4xbf16>, %w: tensor<4xbf16>, %z: tensor<4xf64>) {
  // expected-error@+1 {{expected dweight of }}
  %r:2 = bpt.rms_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : tensor<6x4xbf16>) ins(%x : tensor<6x4xbf16>)
    weight(%w : tensor<4xbf16>) outs(%x, %z : tensor<6x4xbf16>, tensor<4xf64>) -> tensor<6x4xbf16>, tensor<4xf64>
  return
}
