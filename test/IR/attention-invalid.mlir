// One case for each constraint of bpt.attention.
// RUN: bpt-opt %s --verify-diagnostics --split-input-file

func.func @attention_c1(%q: tensor<2x8x4x16xf32>, %v: tensor<2x8x4x16xbf16>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected value of 'f32', but got 'tensor<2x8x4x16xbf16>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %v : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xbf16>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c1_bias(%q: tensor<2x8x4x16xf32>, %bias: tensor<2x4x8x8xf64>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected bias of 'f32', but got 'tensor<2x4x8x8xf64>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) bias(%bias : tensor<2x4x8x8xf64>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c1_out(%q: tensor<2x8x4x16xf32>, %o: tensor<2x9x4x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected S = 8 as in query, but got 9 in out of type 'tensor<2x9x4x16xf32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%o, %l : tensor<2x9x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x9x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c2_batch(%q: tensor<2x8x4x16xf32>, %k: tensor<3x8x4x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected B = 2 as in query, but got 3 in key of type 'tensor<3x8x4x16xf32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %k, %k : tensor<2x8x4x16xf32>, tensor<3x8x4x16xf32>, tensor<3x8x4x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c2_head_dim(%q: tensor<2x8x4x16xf32>, %v: tensor<2x8x4x32xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected D = 16 as in query, but got 32 in value of type 'tensor<2x8x4x32xf32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %v : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x32xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c2_groups(%q: tensor<2x8x4x16xf32>, %k: tensor<2x8x3x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected the 4 query heads to be a multiple of the key/value heads, but got 3 key/value heads}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %k, %k : tensor<2x8x4x16xf32>, tensor<2x8x3x16xf32>, tensor<2x8x3x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c2_positive(%q: tensor<2x8x4x16xf32>, %k: tensor<2x8x0x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected G > 0, but got 0 in key}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %k, %k : tensor<2x8x4x16xf32>, tensor<2x8x0x16xf32>, tensor<2x8x0x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

// A dim that is dynamic in the query is that of the first operand that knows it.
func.func @attention_c2_dynamic(%q: tensor<?x?x4x16xf32>, %k: tensor<2x8x4x16xf32>, %l: tensor<3x4x8xf32>) {
  // expected-error@+1 {{expected B = 2 as in key, but got 3 in lse of type 'tensor<3x4x8xf32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %k, %k : tensor<?x?x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l : tensor<?x?x4x16xf32>, tensor<3x4x8xf32>) -> tensor<?x?x4x16xf32>, tensor<3x4x8xf32>
  return
}

// -----

func.func @attention_c3_element(%q: tensor<2x8x4x16xbf16>, %l: tensor<2x4x8xbf16>) {
  // expected-error@+1 {{expected lse of 'f32', but got 'tensor<2x4x8xbf16>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xbf16>, tensor<2x8x4x16xbf16>, tensor<2x8x4x16xbf16>)
    outs(%q, %l : tensor<2x8x4x16xbf16>, tensor<2x4x8xbf16>) -> tensor<2x8x4x16xbf16>, tensor<2x4x8xbf16>
  return
}

// -----

func.func @attention_c3_f64(%q: tensor<2x8x4x16xf64>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected lse of 'f64', but got 'tensor<2x4x8xf32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf64>, tensor<2x8x4x16xf64>, tensor<2x8x4x16xf64>)
    outs(%q, %l : tensor<2x8x4x16xf64>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf64>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c3_rank(%q: tensor<2x8x4x16xf32>, %l: tensor<2x32xf32>) {
  // expected-error@+1 {{expected lse of rank 3, but got 'tensor<2x32xf32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x32xf32>) -> tensor<2x8x4x16xf32>, tensor<2x32xf32>
  return
}

// -----

func.func @attention_c4(%q: tensor<2x8x4x16xf32>, %bias: tensor<1x2x8x8xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected H = 4 as in query, but got 2 in bias of type 'tensor<1x2x8x8xf32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) bias(%bias : tensor<1x2x8x8xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

// The text cannot leave one out; the generic form can.
func.func @attention_c5_one(%q: tensor<2x8x4x16xf32>, %s: tensor<2x8xi32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected both query and key segments or none, but got only the key segments}}
  %a, %lse = "bpt.attention"(%q, %q, %q, %s, %q, %l)
    <{scale = 1.0 : f64, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 1, 0, 0, 2, 0>}>
    : (tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8xi32>, tensor<2x8x4x16xf32>,
       tensor<2x4x8xf32>) -> (tensor<2x8x4x16xf32>, tensor<2x4x8xf32>)
  return
}

// -----

func.func @attention_c5_shape(%q: tensor<2x8x4x16xf32>, %s: tensor<2x8xi32>, %t: tensor<2x7xi32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected T = 8 as in key, but got 7 in key segments of type 'tensor<2x7xi32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    segments(%s, %t : tensor<2x8xi32>, tensor<2x7xi32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c6_range(%q: tensor<2x8x4x16xf32>, %seed: tensor<i64>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected 0 <= dropout < 1, but got 1.0}}
  %a, %lse = bpt.attention {scale = 1.0 : f64, dropout = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) seed(%seed : tensor<i64>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c6_nan(%q: tensor<2x8x4x16xf32>, %seed: tensor<i64>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected 0 <= dropout < 1, but got nan}}
  %a, %lse = bpt.attention {scale = 1.0 : f64, dropout = 0x7FF8000000000000 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) seed(%seed : tensor<i64>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c6_no_seed(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected a seed exactly when dropout > 0, but got dropout and no seed}}
  %a, %lse = bpt.attention {scale = 1.0 : f64, dropout = 0.1 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c6_no_dropout(%q: tensor<2x8x4x16xf32>, %seed: tensor<i64>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected a seed exactly when dropout > 0, but got a seed and dropout 0}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>) seed(%seed : tensor<i64>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c7_softcap(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected a finite softcap >= 0, but got -1.0}}
  %a, %lse = bpt.attention {scale = 1.0 : f64, softcap = -1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c7_scale(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected a finite scale, but got INF}}
  %a, %lse = bpt.attention {scale = 0x7FF0000000000000 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_c8_count(%q: tensor<2x8x4x16xf32>) {
  // expected-error@+1 {{expected 2 or 3 outs, but got 1}}
  %a = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q : tensor<2x8x4x16xf32>) -> tensor<2x8x4x16xf32>
  return
}

// -----

func.func @attention_c8_probabilities(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %p: tensor<2x4x8x9xf32>) {
  // expected-error@+1 {{expected T = 8 as in key, but got 9 in probabilities of type 'tensor<2x4x8x9xf32>'}}
  %r:3 = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l, %p : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>, tensor<2x4x8x9xf32>)
    -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>, tensor<2x4x8x9xf32>
  return
}

// -----

func.func @attention_mixed(%q: tensor<2x8x4x16xf32>, %k: memref<2x8x4x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected tensors only, as the first out, but got 'memref<2x8x4x16xf32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %k, %q : tensor<2x8x4x16xf32>, memref<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}

// -----

func.func @attention_overflow(%q: tensor<2x4611686018427387904x4x16xf32>, %l: tensor<2x4x?xf32>) {
  // expected-error@+1 {{expected fewer than 2^63 bytes, but got 'tensor<2x4611686018427387904x4x16xf32>'}}
  %a, %lse = bpt.attention {scale = 1.0 : f64}
    ins(%q, %q, %q : tensor<2x4611686018427387904x4x16xf32>, tensor<2x4611686018427387904x4x16xf32>,
        tensor<2x4611686018427387904x4x16xf32>)
    outs(%q, %l : tensor<2x4611686018427387904x4x16xf32>, tensor<2x4x?xf32>)
    -> tensor<2x4611686018427387904x4x16xf32>, tensor<2x4x?xf32>
  return
}

// -----

func.func @attention_mask(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{Invalid attribute `mask` in property conversion: #bpt.zeros}}
  %a, %lse = "bpt.attention"(%q, %q, %q, %q, %l)
    <{mask = #bpt.zeros, scale = 1.0 : f64, operandSegmentSizes = array<i32: 1, 1, 1, 0, 0, 0, 0, 0, 2, 0>}>
    : (tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>,
       tensor<2x4x8xf32>) -> (tensor<2x8x4x16xf32>, tensor<2x4x8xf32>)
  return
}

// -----

func.func @attention_c9_head_offset(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected 0 <= head_offset and head_offset + H <= head_count, but got head_offset 3, head_count 6 and H 4}}
  %a, %lse = bpt.attention {scale = 1.0 : f64, head_offset = 3 : i64, head_count = 6 : i64}
    ins(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    outs(%q, %l : tensor<2x8x4x16xf32>, tensor<2x4x8xf32>) -> tensor<2x8x4x16xf32>, tensor<2x4x8xf32>
  return
}
