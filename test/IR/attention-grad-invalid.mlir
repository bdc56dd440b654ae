// One case for each constraint of bpt.attention_grad.
// RUN: bpt-opt %s --verify-diagnostics --split-input-file

func.func @attention_grad_c1_count(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %bias: tensor<1x1x8x8xf32>) {
  // expected-error@+1 {{expected 4 outs, but got 3}}
  %r:3 = bpt.attention_grad {scale = 1.0 : f64} cotangent(%q : tensor<2x8x4x16xf32>)
    ins(%q, %q, %q, %q, %l : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>,
        tensor<2x4x8xf32>) bias(%bias : tensor<1x1x8x8xf32>)
    outs(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    -> tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>
  return
}

// -----

func.func @attention_grad_c1_type(%q: tensor<2x8x4x16xf32>, %k: tensor<2x6x4x16xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected T = 6 as in key, but got 8 in dvalue of type 'tensor<2x8x4x16xf32>'}}
  %r:3 = bpt.attention_grad {scale = 1.0 : f64} cotangent(%q : tensor<2x8x4x16xf32>)
    ins(%q, %k, %k, %q, %l : tensor<2x8x4x16xf32>, tensor<2x6x4x16xf32>, tensor<2x6x4x16xf32>, tensor<2x8x4x16xf32>,
        tensor<2x4x8xf32>)
    outs(%q, %k, %q : tensor<2x8x4x16xf32>, tensor<2x6x4x16xf32>, tensor<2x8x4x16xf32>)
    -> tensor<2x8x4x16xf32>, tensor<2x6x4x16xf32>, tensor<2x8x4x16xf32>
  return
}

// -----

func.func @attention_grad_c1_bias(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %bias: tensor<1x1x8x8xf32>,
                                  %dbias: tensor<2x1x8x8xf32>) {
  // expected-error@+1 {{expected dbias of the type of bias, 'tensor<1x1x8x8xf32>', but got 'tensor<2x1x8x8xf32>'}}
  %r:4 = bpt.attention_grad {scale = 1.0 : f64} cotangent(%q : tensor<2x8x4x16xf32>)
    ins(%q, %q, %q, %q, %l : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>,
        tensor<2x4x8xf32>) bias(%bias : tensor<1x1x8x8xf32>)
    outs(%q, %q, %q, %dbias : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x1x8x8xf32>)
    -> tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x1x8x8xf32>
  return
}

// -----

func.func @attention_grad_c2_dout(%q: tensor<2x8x4x16xf32>, %d: tensor<2x8x4x8xf32>, %l: tensor<2x4x8xf32>) {
  // expected-error@+1 {{expected D = 16 as in query, but got 8 in dout of type 'tensor<2x8x4x8xf32>'}}
  %r:3 = bpt.attention_grad {scale = 1.0 : f64} cotangent(%d : tensor<2x8x4x8xf32>)
    ins(%q, %q, %q, %q, %l : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>,
        tensor<2x4x8xf32>)
    outs(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    -> tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>
  return
}

// -----

func.func @attention_grad_c2_dlse(%q: tensor<2x8x4x16xf16>, %l: tensor<2x4x8xf32>, %d: tensor<2x4x8xf16>) {
  // expected-error@+1 {{expected dlse of 'f32', but got 'tensor<2x4x8xf16>'}}
  %r:3 = bpt.attention_grad {scale = 1.0 : f64} cotangent(%q : tensor<2x8x4x16xf16>)
    lse_cotangent(%d : tensor<2x4x8xf16>)
    ins(%q, %q, %q, %q, %l : tensor<2x8x4x16xf16>, tensor<2x8x4x16xf16>, tensor<2x8x4x16xf16>, tensor<2x8x4x16xf16>,
        tensor<2x4x8xf32>)
    outs(%q, %q, %q : tensor<2x8x4x16xf16>, tensor<2x8x4x16xf16>, tensor<2x8x4x16xf16>)
    -> tensor<2x8x4x16xf16>, tensor<2x8x4x16xf16>, tensor<2x8x4x16xf16>
  return
}

// -----

func.func @attention_grad_c3(%q: tensor<2x8x4x16xf32>, %l: tensor<2x4x8xf32>, %seed: tensor<i64>) {
  // expected-error@+1 {{expected a seed exactly when dropout > 0, but got a seed and dropout 0}}
  %r:3 = bpt.attention_grad {scale = 1.0 : f64} cotangent(%q : tensor<2x8x4x16xf32>)
    ins(%q, %q, %q, %q, %l : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>,
        tensor<2x4x8xf32>) seed(%seed : tensor<i64>)
    outs(%q, %q, %q : tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>)
    -> tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>, tensor<2x8x4x16xf32>
  return
}
