// A feed-forward layer of 64 rows.
func.func @layer(%x: tensor<64x32xf32>, %up: tensor<32x128xf32>, %down: tensor<128x32xf32>) -> tensor<64x32xf32> {
  %e = tensor.empty() : tensor<64x32xf32>
  %y = bpt.feed_forward ins(%x : tensor<64x32xf32>) up(%up : tensor<32x128xf32>) down(%down : tensor<128x32xf32>)
    outs(%e : tensor<64x32xf32>) -> tensor<64x32xf32>
  return %y : tensor<64x32xf32>
}
