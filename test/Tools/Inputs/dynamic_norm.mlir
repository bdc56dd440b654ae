// Rows of any number.
func.func @f(%x: tensor<?x32xf32> {bpt.name = "x"}) -> (tensor<?x32xf32> {bpt.name = "y"}) {
  %zero = arith.constant 0 : index
  %rows = tensor.dim %x, %zero : tensor<?x32xf32>
  %e = tensor.empty(%rows) : tensor<?x32xf32>
  %y = bpt.layer_norm {eps = 1.0e-05 : f64} ins(%x : tensor<?x32xf32>) outs(%e : tensor<?x32xf32>) -> tensor<?x32xf32>
  return %y : tensor<?x32xf32>
}
