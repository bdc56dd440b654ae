// RUN: bpt-opt %s --convert-bpt-to-linalg --verify-diagnostics --split-input-file

func.func @buffers(%g: memref<8xf32>, %o: memref<f32>) {
  // expected-error@+1 {{expected tensors, but got buffers; convert-bpt-to-linalg runs before bufferization}}
  bpt.global_norm ins(%g : memref<8xf32>) outs(%o : memref<f32>)
  return
}

// -----

func.func @dynamic_heads(%q: tensor<2x8x?x16xf32>, %l: tensor<2x?x8xf32>) -> tensor<2x8x?x16xf32> {
  // expected-error@+1 {{expected static head counts, but got query 'tensor<2x8x?x16xf32>' and key 'tensor<2x8x?x16xf32>'}}
  %a, %lse = bpt.attention {scale = 0.25 : f64}
    ins(%q, %q, %q : tensor<2x8x?x16xf32>, tensor<2x8x?x16xf32>, tensor<2x8x?x16xf32>)
    outs(%q, %l : tensor<2x8x?x16xf32>, tensor<2x?x8xf32>) -> tensor<2x8x?x16xf32>, tensor<2x?x8xf32>
  return %a : tensor<2x8x?x16xf32>
}

// -----

func.func @dynamic_head_dim(%x: tensor<2x8x4x?xf32>) -> tensor<2x8x4x?xf32> {
  // expected-error@+1 {{expected a static head dim, but got 'tensor<2x8x4x?xf32>'}}
  %y = bpt.rotary {theta = 10000.0 : f64} ins(%x : tensor<2x8x4x?xf32>) outs(%x : tensor<2x8x4x?xf32>) -> tensor<2x8x4x?xf32>
  return %y : tensor<2x8x4x?xf32>
}
