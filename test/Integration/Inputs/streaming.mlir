// Results of 32 MiB, in f32 and bf16.
func.func @f(%x: tensor<4096x2048xf32>, %w: tensor<2048xf32>, %ids: tensor<1x8192xi32> {bpt.range = 64 : i64},
             %table: tensor<64x2048xbf16>) -> (tensor<4096x2048xf32>, tensor<4096x2048xf32>, tensor<1x8192x2048xbf16>) {
  %e = tensor.empty() : tensor<4096x2048xf32>
  %a = bpt.rms_norm {eps = 1.0e-5 : f64} ins(%x : tensor<4096x2048xf32>) weight(%w : tensor<2048xf32>)
    outs(%e : tensor<4096x2048xf32>) -> tensor<4096x2048xf32>
  %b = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<4096x2048xf32>) outs(%e : tensor<4096x2048xf32>) -> tensor<4096x2048xf32>
  %e2 = tensor.empty() : tensor<1x8192x2048xbf16>
  %c = bpt.embedding ins(%ids, %table : tensor<1x8192xi32>, tensor<64x2048xbf16>)
    outs(%e2 : tensor<1x8192x2048xbf16>) -> tensor<1x8192x2048xbf16>
  return %a, %b, %c : tensor<4096x2048xf32>, tensor<4096x2048xf32>, tensor<1x8192x2048xbf16>
}
