// Exact causal attention with grouped heads and a sliding window, and a sum of its output as a loss to differentiate.
//
//   bpt-run examples/attention/attention.mlir --check
//   bpt-opt examples/attention/attention.mlir --pass-pipeline='builtin.module(bpt-differentiate{function=loss})' | bpt-run - --entry=loss.grad --check
func.func @loss(%query: tensor<2x200x8x64xf32> {bpt.name = "query"}, %key: tensor<2x200x2x64xf32> {bpt.name = "key"},
                %value: tensor<2x200x2x64xf32> {bpt.name = "value"}) -> (tensor<f32> {bpt.name = "loss"}) {
  %out = tensor.empty() : tensor<2x200x8x64xf32>
  %sums = tensor.empty() : tensor<2x8x200xf32>
  %a, %lse = bpt.attention {mask = #bpt.intersection<#bpt.causal, #bpt.sliding_window<64>>, scale = 0.125 : f64}
    ins(%query, %key, %value : tensor<2x200x8x64xf32>, tensor<2x200x2x64xf32>, tensor<2x200x2x64xf32>)
    outs(%out, %sums : tensor<2x200x8x64xf32>, tensor<2x8x200xf32>) -> tensor<2x200x8x64xf32>, tensor<2x8x200xf32>
  %zero = arith.constant 0.0 : f32
  %empty = tensor.empty() : tensor<f32>
  %start = linalg.fill ins(%zero : f32) outs(%empty : tensor<f32>) -> tensor<f32>
  %loss = linalg.generic {
      indexing_maps = [affine_map<(b, s, h, d) -> (b, s, h, d)>, affine_map<(b, s, h, d) -> ()>],
      iterator_types = ["reduction", "reduction", "reduction", "reduction"]}
      ins(%a : tensor<2x200x8x64xf32>) outs(%start : tensor<f32>) {
  ^bb0(%x: f32, %sum: f32):
    %square = arith.mulf %x, %x : f32
    %next = arith.addf %sum, %square : f32
    linalg.yield %next : f32
  } -> tensor<f32>
  return %loss : tensor<f32>
}
