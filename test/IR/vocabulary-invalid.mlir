// One case for each constraint of the vocabulary ops.
// RUN: bpt-opt %s --verify-diagnostics --split-input-file

func.func @embedding_c1(%ids: tensor<2x8xi32>, %table: tensor<16x4xf32>, %o: tensor<2x8x5xf32>) {
  // expected-error@+1 {{expected E = 4 as in table, but got 5 in out of type 'tensor<2x8x5xf32>'}}
  %x = bpt.embedding ins(%ids, %table : tensor<2x8xi32>, tensor<16x4xf32>) outs(%o : tensor<2x8x5xf32>)
    -> tensor<2x8x5xf32>
  return
}

// -----

func.func @embedding_c1_element(%ids: tensor<2x8xi32>, %table: tensor<16x4xf32>, %o: tensor<2x8x4xf64>) {
  // expected-error@+1 {{expected out of 'f32', but got 'tensor<2x8x4xf64>'}}
  %x = bpt.embedding ins(%ids, %table : tensor<2x8xi32>, tensor<16x4xf32>) outs(%o : tensor<2x8x4xf64>)
    -> tensor<2x8x4xf64>
  return
}

// -----

func.func @embedding_c1_positive(%ids: tensor<2x8xi32>, %table: tensor<0x4xf32>, %o: tensor<2x8x4xf32>) {
  // expected-error@+1 {{expected V > 0, but got 0 in table}}
  %x = bpt.embedding ins(%ids, %table : tensor<2x8xi32>, tensor<0x4xf32>) outs(%o : tensor<2x8x4xf32>)
    -> tensor<2x8x4xf32>
  return
}

// -----

func.func @embedding_ids(%ids: tensor<2x8xi64>, %table: tensor<16x4xf32>, %o: tensor<2x8x4xf32>) {
  // expected-error@+1 {{operand #0 must be 2D tensor of 32-bit signless integer values or 2D memref of 32-bit signless integer values, but got 'tensor<2x8xi64>'}}
  %x = bpt.embedding ins(%ids, %table : tensor<2x8xi64>, tensor<16x4xf32>) outs(%o : tensor<2x8x4xf32>)
    -> tensor<2x8x4xf32>
  return
}

// -----

func.func @embedding_grad_c1(%ids: tensor<2x8xi32>, %dx: tensor<2x7x4xf32>, %z: tensor<16x4xf32>) {
  // expected-error@+1 {{expected S = 8 as in ids, but got 7 in dout of type 'tensor<2x7x4xf32>'}}
  %t = bpt.embedding_grad cotangent(%dx : tensor<2x7x4xf32>) ins(%ids : tensor<2x8xi32>) outs(%z : tensor<16x4xf32>)
    -> tensor<16x4xf32>
  return
}

// -----

func.func @embedding_grad_c1_table(%ids: tensor<2x8xi32>, %dx: tensor<2x8x4xf32>, %z: tensor<16x5xf32>) {
  // expected-error@+1 {{expected E = 4 as in dout, but got 5 in dtable of type 'tensor<16x5xf32>'}}
  %t = bpt.embedding_grad cotangent(%dx : tensor<2x8x4xf32>) ins(%ids : tensor<2x8xi32>) outs(%z : tensor<16x5xf32>)
    -> tensor<16x5xf32>
  return
}

// -----

func.func @linear_cross_entropy_c1(%x: tensor<6x4xf32>, %w: tensor<16x4xf32>, %t: tensor<6xi32>, %o: tensor<f32>,
                                   %l: tensor<6xf32>) {
  // expected-error@+1 {{expected E = 4 as in input, but got 16 in weight of type 'tensor<16x4xf32>'}}
  %r:2 = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<6x4xf32>, tensor<16x4xf32>, tensor<6xi32>)
    outs(%o, %l : tensor<f32>, tensor<6xf32>) -> tensor<f32>, tensor<6xf32>
  return
}

// -----

func.func @linear_cross_entropy_c1_element(%x: tensor<6x4xf32>, %w: tensor<4x16xbf16>, %t: tensor<6xi32>, %o: tensor<f32>,
                                           %l: tensor<6xf32>) {
  // expected-error@+1 {{expected weight of 'f32', but got 'tensor<4x16xbf16>'}}
  %r:2 = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<6x4xf32>, tensor<4x16xbf16>, tensor<6xi32>)
    outs(%o, %l : tensor<f32>, tensor<6xf32>) -> tensor<f32>, tensor<6xf32>
  return
}

// -----

func.func @linear_cross_entropy_c2_targets(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>, %t: tensor<7xi32>, %o: tensor<f32>,
                                           %l: tensor<6xf32>) {
  // expected-error@+1 {{expected dim 0 = 6 as in input, but got 7 in targets of type 'tensor<7xi32>'}}
  %r:2 = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<6x4xf32>, tensor<4x16xf32>, tensor<7xi32>)
    outs(%o, %l : tensor<f32>, tensor<6xf32>) -> tensor<f32>, tensor<6xf32>
  return
}

// -----

func.func @linear_cross_entropy_c2_type(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>, %t: tensor<6xi64>, %o: tensor<f32>,
                                        %l: tensor<6xf32>) {
  // expected-error@+1 {{expected targets of 'i32', but got 'tensor<6xi64>'}}
  %r:2 = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<6x4xf32>, tensor<4x16xf32>, tensor<6xi64>)
    outs(%o, %l : tensor<f32>, tensor<6xf32>) -> tensor<f32>, tensor<6xf32>
  return
}

// -----

func.func @linear_cross_entropy_c2_lse(%x: tensor<2x6x4xf32>, %w: tensor<4x16xf32>, %t: tensor<2x6xi32>, %o: tensor<f32>,
                                       %l: tensor<12xf32>) {
  // expected-error@+1 {{expected 2 leading dims in lse, but got 'tensor<12xf32>'}}
  %r:2 = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<2x6x4xf32>, tensor<4x16xf32>, tensor<2x6xi32>)
    outs(%o, %l : tensor<f32>, tensor<12xf32>) -> tensor<f32>, tensor<12xf32>
  return
}

// -----

func.func @linear_cross_entropy_c3_loss(%x: tensor<6x4xbf16>, %w: tensor<4x16xbf16>, %t: tensor<6xi32>, %o: tensor<bf16>,
                                        %l: tensor<6xf32>) {
  // expected-error@+1 {{expected loss of 'f32', but got 'tensor<bf16>'}}
  %r:2 = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<6x4xbf16>, tensor<4x16xbf16>, tensor<6xi32>)
    outs(%o, %l : tensor<bf16>, tensor<6xf32>) -> tensor<bf16>, tensor<6xf32>
  return
}

// -----

func.func @linear_cross_entropy_c3_rank(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>, %t: tensor<6xi32>, %o: tensor<1xf32>,
                                        %l: tensor<6xf32>) {
  // expected-error@+1 {{expected loss of rank 0, but got 'tensor<1xf32>'}}
  %r:2 = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<6x4xf32>, tensor<4x16xf32>, tensor<6xi32>)
    outs(%o, %l : tensor<1xf32>, tensor<6xf32>) -> tensor<1xf32>, tensor<6xf32>
  return
}

// -----

func.func @linear_cross_entropy_c3_count(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>, %t: tensor<6xi32>, %o: tensor<f32>) {
  // expected-error@+1 {{expected 2 outs, but got 1}}
  %r = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<6x4xf32>, tensor<4x16xf32>, tensor<6xi32>)
    outs(%o : tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @linear_cross_entropy_grad_c1(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>, %t: tensor<6xi32>, %d: tensor<f32>,
                                        %l: tensor<6xf32>, %z: tensor<16x4xf32>) {
  // expected-error@+1 {{expected E = 4 as in input, but got 16 in dweight of type 'tensor<16x4xf32>'}}
  %r:2 = bpt.linear_cross_entropy_grad cotangent(%d : tensor<f32>)
    ins(%x, %w, %t, %l : tensor<6x4xf32>, tensor<4x16xf32>, tensor<6xi32>, tensor<6xf32>)
    outs(%x, %z : tensor<6x4xf32>, tensor<16x4xf32>) -> tensor<6x4xf32>, tensor<16x4xf32>
  return
}

// -----

func.func @linear_cross_entropy_grad_c2(%x: tensor<6x4xbf16>, %w: tensor<4x16xbf16>, %t: tensor<6xi32>, %d: tensor<bf16>,
                                        %l: tensor<6xf32>) {
  // expected-error@+1 {{expected dloss of 'f32', but got 'tensor<bf16>'}}
  %r:2 = bpt.linear_cross_entropy_grad cotangent(%d : tensor<bf16>)
    ins(%x, %w, %t, %l : tensor<6x4xbf16>, tensor<4x16xbf16>, tensor<6xi32>, tensor<6xf32>)
    outs(%x, %w : tensor<6x4xbf16>, tensor<4x16xbf16>) -> tensor<6x4xbf16>, tensor<4x16xbf16>
  return
}

// -----

func.func @linear_cross_entropy_grad_c2_lse(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>, %t: tensor<6xi32>, %d: tensor<f32>,
                                            %l: tensor<6xi32>) {
  // expected-error@+1 {{expected lse of 'f32', but got 'tensor<6xi32>'}}
  %r:2 = bpt.linear_cross_entropy_grad cotangent(%d : tensor<f32>)
    ins(%x, %w, %t, %l : tensor<6x4xf32>, tensor<4x16xf32>, tensor<6xi32>, tensor<6xi32>)
    outs(%x, %w : tensor<6x4xf32>, tensor<4x16xf32>) -> tensor<6x4xf32>, tensor<4x16xf32>
  return
}

// -----

func.func @linear_cross_entropy_grad_c3(%x: tensor<6x4xf32>, %w: tensor<4x16xf32>, %t: tensor<6xi32>, %d: tensor<f32>) {
  // expected-error@+1 {{expected 3 outs, but got 2}}
  %r:2 = bpt.linear_cross_entropy_grad cotangent(%d : tensor<f32>)
    ins(%x, %w, %t : tensor<6x4xf32>, tensor<4x16xf32>, tensor<6xi32>)
    outs(%x, %w : tensor<6x4xf32>, tensor<4x16xf32>) -> tensor<6x4xf32>, tensor<4x16xf32>
  return
}
