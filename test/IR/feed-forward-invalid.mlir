// One case for each constraint of bpt.feed_forward and bpt.feed_forward_grad.
// RUN: bpt-opt %s --verify-diagnostics --split-input-file

func.func @feed_forward_c1(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xbf16>) {
  // expected-error@+1 {{expected down weight of 'f32', but got 'tensor<8x4xbf16>'}}
  %y = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xbf16>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c2_input(%x: tensor<6x4xf32>, %w: tensor<5x8xf32>, %d: tensor<8x4xf32>) {
  // expected-error@+1 {{expected E = 4 as in input, but got 5 in up weight of type 'tensor<5x8xf32>'}}
  %y = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<5x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c2_transposed(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>) {
  // expected-error@+1 {{expected E = 4 as in input, but got 8 in up weight of type 'tensor<4x8xf32>'}}
  %y = bpt.feed_forward {weights_transposed} ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>)
    down(%d : tensor<8x4xf32>) outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c2_hidden(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<9x4xf32>) {
  // expected-error@+1 {{expected F = 8 as in up weight, but got 9 in down weight of type 'tensor<9x4xf32>'}}
  %y = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<9x4xf32>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c2_out(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x3xf32>) {
  // expected-error@+1 {{expected N = 3 as in down weight, but got 4 in out of type 'tensor<6x4xf32>'}}
  %y = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x3xf32>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c2_leading(%x: tensor<2x6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %o: tensor<2x5x4xf32>) {
  // expected-error@+1 {{expected dim 1 = 6 as in input, but got 5 in out of type 'tensor<2x5x4xf32>'}}
  %y = bpt.feed_forward ins(%x : tensor<2x6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%o : tensor<2x5x4xf32>) -> tensor<2x5x4xf32>
  return
}

// -----

func.func @feed_forward_c2_rank(%x: tensor<2x6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %o: tensor<12x4xf32>) {
  // expected-error@+1 {{expected 2 leading dims in out, but got 'tensor<12x4xf32>'}}
  %y = bpt.feed_forward ins(%x : tensor<2x6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%o : tensor<12x4xf32>) -> tensor<12x4xf32>
  return
}

// -----

func.func @feed_forward_c2_scalar(%x: tensor<f32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>) {
  // expected-error@+1 {{expected input of rank 1 or more, but got 'tensor<f32>'}}
  %y = bpt.feed_forward ins(%x : tensor<f32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%x : tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @feed_forward_c2_positive(%x: tensor<6x4xf32>, %w: tensor<4x0xf32>, %d: tensor<0x4xf32>) {
  // expected-error@+1 {{expected F > 0, but got 0 in up weight}}
  %y = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x0xf32>) down(%d : tensor<0x4xf32>)
    outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c3_up(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %b: tensor<4xf32>) {
  // expected-error@+1 {{expected F = 8 as in up weight, but got 4 in up bias of type 'tensor<4xf32>'}}
  %y = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32> bias %b : tensor<4xf32>)
    down(%d : tensor<8x4xf32>) outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c3_gate(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{expected a gate weight with the gate bias, but got none}}
  %y = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) gate_bias(%b : tensor<8xf32>)
    down(%d : tensor<8x4xf32>) outs(%x : tensor<6x4xf32>) -> tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c4_count(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>) {
  // expected-error@+1 {{expected 1 or 2 outs, but got 3}}
  %y:3 = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%x, %x, %x : tensor<6x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>)
    -> tensor<6x4xf32>, tensor<6x4xf32>, tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c4_hidden(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %h: tensor<6x4xf32>) {
  // expected-error@+1 {{expected K = 8 as in the columns of up weight, but got 4 in hidden of type 'tensor<6x4xf32>'}}
  %y:2 = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%x, %h : tensor<6x4xf32>, tensor<6x4xf32>) -> tensor<6x4xf32>, tensor<6x4xf32>
  return
}

// -----

func.func @feed_forward_c4_gated(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %h: tensor<6x8xf32>) {
  // expected-error@+1 {{expected K = 16 as in the columns of up and gate weight, but got 8 in hidden of type 'tensor<6x8xf32>'}}
  %y:2 = bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) gate(%w : tensor<4x8xf32>)
    down(%d : tensor<8x4xf32>) outs(%x, %h : tensor<6x4xf32>, tensor<6x8xf32>) -> tensor<6x4xf32>, tensor<6x8xf32>
  return
}

// -----

func.func @feed_forward_results(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>) {
  // expected-error@+1 {{expected the number of tensor results (0) to be equal to the number of output tensors (1)}}
  bpt.feed_forward ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>) down(%d : tensor<8x4xf32>)
    outs(%x : tensor<6x4xf32>)
  return
}

// -----

func.func @feed_forward_grad_c1_count(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %b: tensor<8xf32>) {
  // expected-error@+1 {{expected 4 outs, but got 3}}
  %r:3 = bpt.feed_forward_grad cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>)
    up(%w : tensor<4x8xf32> bias %b : tensor<8xf32>) down(%d : tensor<8x4xf32>)
    outs(%x, %w, %d : tensor<6x4xf32>, tensor<4x8xf32>, tensor<8x4xf32>)
    -> tensor<6x4xf32>, tensor<4x8xf32>, tensor<8x4xf32>
  return
}

// -----

func.func @feed_forward_grad_c1_order(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>) {
  // expected-error@+1 {{expected gradient of up weight of the type of up weight, 'tensor<4x8xf32>', but got 'tensor<8x4xf32>'}}
  %r:3 = bpt.feed_forward_grad cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>)
    down(%d : tensor<8x4xf32>) outs(%x, %d, %w : tensor<6x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>)
    -> tensor<6x4xf32>, tensor<8x4xf32>, tensor<4x8xf32>
  return
}

// -----

func.func @feed_forward_grad_c2_dout(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %y: tensor<7x4xf32>) {
  // expected-error@+1 {{expected dim 0 = 6 as in input, but got 7 in dout of type 'tensor<7x4xf32>'}}
  %r:3 = bpt.feed_forward_grad cotangent(%y : tensor<7x4xf32>) ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>)
    down(%d : tensor<8x4xf32>) outs(%x, %w, %d : tensor<6x4xf32>, tensor<4x8xf32>, tensor<8x4xf32>)
    -> tensor<6x4xf32>, tensor<4x8xf32>, tensor<8x4xf32>
  return
}

// -----

func.func @feed_forward_grad_c2_hidden(%x: tensor<6x4xf32>, %w: tensor<4x8xf32>, %d: tensor<8x4xf32>, %h: tensor<6x9xf32>) {
  // expected-error@+1 {{expected K = 8 as in the columns of up weight, but got 9 in hidden of type 'tensor<6x9xf32>'}}
  %r:3 = bpt.feed_forward_grad cotangent(%x : tensor<6x4xf32>) ins(%x : tensor<6x4xf32>) up(%w : tensor<4x8xf32>)
    down(%d : tensor<8x4xf32>) hidden(%h : tensor<6x9xf32>)
    outs(%x, %w, %d : tensor<6x4xf32>, tensor<4x8xf32>, tensor<8x4xf32>)
    -> tensor<6x4xf32>, tensor<4x8xf32>, tensor<8x4xf32>
  return
}
