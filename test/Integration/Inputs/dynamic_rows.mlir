func.func @f(%x: tensor<?x64xf32> {bpt.name = "x"}, %w: tensor<64x256xf32>, %v: tensor<256x64xf32>) -> tensor<?x64xf32> {
  %c0 = arith.constant 0 : index
  %n = tensor.dim %x, %c0 : tensor<?x64xf32>
  %o = tensor.empty(%n) : tensor<?x64xf32>
  %y = bpt.feed_forward ins(%x : tensor<?x64xf32>) up(%w : tensor<64x256xf32>) down(%v : tensor<256x64xf32>) outs(%o : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}
