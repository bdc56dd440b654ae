// A gated feed-forward layer (SwiGLU) with any number of rows, weights [out, in] as in Llama checkpoints.
//
//   bpt-run examples/attention/feed_forward.mlir --shape=input=3x50x96 --check
func.func @swiglu(%input: tensor<?x?x96xf32> {bpt.name = "input"}, %gate: tensor<256x96xf32> {bpt.name = "gate_proj.weight"},
                  %up: tensor<256x96xf32> {bpt.name = "up_proj.weight"}, %down: tensor<96x256xf32> {bpt.name = "down_proj.weight"})
    -> (tensor<?x?x96xf32> {bpt.name = "output"}) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %batch = tensor.dim %input, %c0 : tensor<?x?x96xf32>
  %length = tensor.dim %input, %c1 : tensor<?x?x96xf32>
  %empty = tensor.empty(%batch, %length) : tensor<?x?x96xf32>
  %output = bpt.feed_forward {activation = #bpt.activation<silu>, weights_transposed} ins(%input : tensor<?x?x96xf32>)
    up(%up : tensor<256x96xf32>) gate(%gate : tensor<256x96xf32>) down(%down : tensor<96x256xf32>)
    outs(%empty : tensor<?x?x96xf32>) -> tensor<?x?x96xf32>
  return %output : tensor<?x?x96xf32>
}
