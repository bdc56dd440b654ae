// A loss over a downstream op that brings its own derivative.
func.func @loss(%x: tensor<4xf32> {bpt.name = "x"}) -> (tensor<f32> {bpt.name = "loss"}) {
  %s = wave.sine %x : tensor<4xf32>
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<f32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<f32>) -> tensor<f32>
  %sum = linalg.generic {indexing_maps = [affine_map<(i) -> (i)>, affine_map<(i) -> ()>], iterator_types = ["reduction"]}
    ins(%s : tensor<4xf32>) outs(%z : tensor<f32>) {
  ^bb0(%a: f32, %b: f32):
    %c = arith.addf %b, %a : f32
    linalg.yield %c : f32
  } -> tensor<f32>
  return %sum : tensor<f32>
}
