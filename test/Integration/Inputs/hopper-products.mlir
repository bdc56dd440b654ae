// Contractions, feed-forward layers and cross-entropy at sizes of real models: every kind of kernel, in its widest tiles.
func.func @plain(%a: memref<8192x4096xbf16>, %b: memref<4096x8192xbf16>, %c: memref<8192x8192xbf16>) {
  %z = arith.constant 0.0 : bf16
  linalg.fill ins(%z : bf16) outs(%c : memref<8192x8192xbf16>)
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%a, %b : memref<8192x4096xbf16>, memref<4096x8192xbf16>) outs(%c : memref<8192x8192xbf16>)
  return
}
func.func @left_transposed(%a: memref<4096x8192xbf16>, %b: memref<4096x8192xbf16>, %c: memref<8192x8192xbf16>) {
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%a, %b : memref<4096x8192xbf16>, memref<4096x8192xbf16>) outs(%c : memref<8192x8192xbf16>)
  return
}
func.func @right_transposed(%a: memref<8192x4096xf16>, %b: memref<8192x4096xf16>, %c: memref<8192x8192xf16>) {
  %z = arith.constant 0.0 : f16
  linalg.fill ins(%z : f16) outs(%c : memref<8192x8192xf16>)
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%a, %b : memref<8192x4096xf16>, memref<8192x4096xf16>) outs(%c : memref<8192x8192xf16>)
  return
}
func.func @both_transposed(%a: memref<4096x8192xbf16>, %b: memref<8192x4096xbf16>, %c: memref<8192x8192xf32>) {
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%a, %b : memref<4096x8192xbf16>, memref<8192x4096xbf16>) outs(%c : memref<8192x8192xf32>)
  return
}
func.func @wide(%a: memref<8192x4096xbf16>, %b: memref<4096x8192xbf16>, %c: memref<8192x8192xf32>) {
  %z = arith.constant 0.0 : f32
  linalg.fill ins(%z : f32) outs(%c : memref<8192x8192xf32>)
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%a, %b : memref<8192x4096xbf16>, memref<4096x8192xbf16>) outs(%c : memref<8192x8192xf32>)
  return
}
func.func @gelu(%x: memref<?x?x4096xbf16>, %w1: memref<4096x16384xbf16>, %b1: memref<16384xbf16>, %w2: memref<16384x4096xbf16>, %b2: memref<4096xbf16>, %y: memref<?x?x4096xbf16>, %w: memref<?xi8>) {
  bpt.feed_forward {activation = #bpt.activation<gelu_tanh>} ins(%x : memref<?x?x4096xbf16>) up(%w1 : memref<4096x16384xbf16> bias %b1 : memref<16384xbf16>)
    down(%w2 : memref<16384x4096xbf16> bias %b2 : memref<4096xbf16>)
    outs(%y : memref<?x?x4096xbf16>) workspace(%w : memref<?xi8>)
  return
}
func.func @gelu_kept(%x: memref<?x?x4096xbf16>, %w1: memref<4096x16384xbf16>, %b1: memref<16384xbf16>, %w2: memref<16384x4096xbf16>, %b2: memref<4096xbf16>, %y: memref<?x?x4096xbf16>, %h: memref<?x?x16384xbf16>, %w: memref<?xi8>) {
  bpt.feed_forward {activation = #bpt.activation<gelu_erf>} ins(%x : memref<?x?x4096xbf16>) up(%w1 : memref<4096x16384xbf16> bias %b1 : memref<16384xbf16>)
    down(%w2 : memref<16384x4096xbf16> bias %b2 : memref<4096xbf16>)
    outs(%y, %h : memref<?x?x4096xbf16>, memref<?x?x16384xbf16>) workspace(%w : memref<?xi8>)
  return
}
func.func @swiglu(%x: memref<?x?x4096xf16>, %w1: memref<16384x4096xf16>, %wg: memref<16384x4096xf16>, %w2: memref<4096x16384xf16>, %y: memref<?x?x4096xf16>, %w: memref<?xi8>) {
  bpt.feed_forward {activation = #bpt.activation<silu>, weights_transposed} ins(%x : memref<?x?x4096xf16>) up(%w1 : memref<16384x4096xf16>) gate(%wg : memref<16384x4096xf16>)
    down(%w2 : memref<4096x16384xf16>)
    outs(%y : memref<?x?x4096xf16>) workspace(%w : memref<?xi8>)
  return
}
func.func @geglu_kept(%x: memref<?x?x4096xbf16>, %w1: memref<4096x16384xbf16>, %b1: memref<16384xbf16>, %wg: memref<4096x16384xbf16>, %bg: memref<16384xbf16>, %w2: memref<16384x4096xbf16>, %b2: memref<4096xbf16>, %y: memref<?x?x4096xbf16>, %h: memref<?x?x32768xbf16>, %w: memref<?xi8>) {
  bpt.feed_forward {activation = #bpt.activation<gelu_erf>} ins(%x : memref<?x?x4096xbf16>) up(%w1 : memref<4096x16384xbf16> bias %b1 : memref<16384xbf16>) gate(%wg : memref<4096x16384xbf16>) gate_bias(%bg : memref<16384xbf16>)
    down(%w2 : memref<16384x4096xbf16> bias %b2 : memref<4096xbf16>)
    outs(%y, %h : memref<?x?x4096xbf16>, memref<?x?x32768xbf16>) workspace(%w : memref<?xi8>)
  return
}
func.func @gelu_grad(%x: memref<?x?x4096xbf16>, %w1: memref<4096x16384xbf16>, %b1: memref<16384xbf16>, %w2: memref<16384x4096xbf16>, %b2: memref<4096xbf16>, %y: memref<?x?x4096xbf16>, %w: memref<?xi8>, %dx: memref<?x?x4096xbf16>, %dw1: memref<4096x16384xbf16>, %db1: memref<16384xbf16>, %dw2: memref<16384x4096xbf16>, %db2: memref<4096xbf16>) {
  bpt.feed_forward_grad {activation = #bpt.activation<gelu_tanh>} cotangent(%y : memref<?x?x4096xbf16>) ins(%x : memref<?x?x4096xbf16>) up(%w1 : memref<4096x16384xbf16> bias %b1 : memref<16384xbf16>)
    down(%w2 : memref<16384x4096xbf16> bias %b2 : memref<4096xbf16>)
    outs(%dx, %dw1, %db1, %dw2, %db2 : memref<?x?x4096xbf16>, memref<4096x16384xbf16>, memref<16384xbf16>, memref<16384x4096xbf16>, memref<4096xbf16>)
    workspace(%w : memref<?xi8>)
  return
}
func.func @geglu_grad(%x: memref<?x?x4096xbf16>, %w1: memref<4096x16384xbf16>, %b1: memref<16384xbf16>, %wg: memref<4096x16384xbf16>, %bg: memref<16384xbf16>, %w2: memref<16384x4096xbf16>, %b2: memref<4096xbf16>, %y: memref<?x?x4096xbf16>, %h: memref<?x?x32768xbf16>, %w: memref<?xi8>, %dx: memref<?x?x4096xbf16>, %dw1: memref<4096x16384xbf16>, %db1: memref<16384xbf16>, %dwg: memref<4096x16384xbf16>, %dbg: memref<16384xbf16>, %dw2: memref<16384x4096xbf16>, %db2: memref<4096xbf16>) {
  bpt.feed_forward_grad {activation = #bpt.activation<gelu_erf>} cotangent(%y : memref<?x?x4096xbf16>) ins(%x : memref<?x?x4096xbf16>) up(%w1 : memref<4096x16384xbf16> bias %b1 : memref<16384xbf16>) gate(%wg : memref<4096x16384xbf16>) gate_bias(%bg : memref<16384xbf16>)
    down(%w2 : memref<16384x4096xbf16> bias %b2 : memref<4096xbf16>)
    hidden(%h : memref<?x?x32768xbf16>)
    outs(%dx, %dw1, %db1, %dwg, %dbg, %dw2, %db2 : memref<?x?x4096xbf16>, memref<4096x16384xbf16>, memref<16384xbf16>, memref<4096x16384xbf16>, memref<16384xbf16>, memref<16384x4096xbf16>, memref<4096xbf16>)
    workspace(%w : memref<?xi8>)
  return
}
func.func @swiglu_grad(%x: memref<?x?x4096xf16>, %w1: memref<16384x4096xf16>, %wg: memref<16384x4096xf16>, %w2: memref<4096x16384xf16>, %y: memref<?x?x4096xf16>, %w: memref<?xi8>, %dx: memref<?x?x4096xf16>, %dw1: memref<16384x4096xf32>, %dwg: memref<16384x4096xf32>, %dw2: memref<4096x16384xf32>) {
  bpt.feed_forward_grad {activation = #bpt.activation<silu>, weights_transposed} cotangent(%y : memref<?x?x4096xf16>) ins(%x : memref<?x?x4096xf16>) up(%w1 : memref<16384x4096xf16>) gate(%wg : memref<16384x4096xf16>)
    down(%w2 : memref<4096x16384xf16>)
    outs(%dx, %dw1, %dwg, %dw2 : memref<?x?x4096xf16>, memref<16384x4096xf32>, memref<16384x4096xf32>, memref<4096x16384xf32>)
    workspace(%w : memref<?xi8>)
  return
}
func.func @loss(%x: memref<?x?x4096xbf16>, %w: memref<50257x4096xbf16>, %t: memref<?x?xi32>, %l: memref<?x?xf32>, %o: memref<f32>, %ws: memref<?xi8>, %dx: memref<?x?x4096xbf16>, %dw: memref<50257x4096xbf16>) {
  bpt.linear_cross_entropy {weights_transposed} ins(%x, %w, %t : memref<?x?x4096xbf16>, memref<50257x4096xbf16>, memref<?x?xi32>)
    outs(%o, %l : memref<f32>, memref<?x?xf32>) workspace(%ws : memref<?xi8>)
  return
}
func.func @loss_grad(%x: memref<?x?x4096xbf16>, %w: memref<4096x50432xbf16>, %t: memref<?x?xi32>, %l: memref<?x?xf32>, %o: memref<f32>, %ws: memref<?xi8>, %dx: memref<?x?x4096xbf16>, %dw: memref<4096x50432xbf16>) {
  bpt.linear_cross_entropy_grad cotangent(%o : memref<f32>) ins(%x, %w, %t, %l : memref<?x?x4096xbf16>, memref<4096x50432xbf16>, memref<?x?xi32>, memref<?x?xf32>)
    outs(%dx, %dw : memref<?x?x4096xbf16>, memref<4096x50432xbf16>) workspace(%ws : memref<?xi8>)
  return
}
func.func @loss_and_grad(%x: memref<?x?x4096xbf16>, %w: memref<50257x4096xbf16>, %t: memref<?x?xi32>, %l: memref<?x?xf32>, %o: memref<f32>, %ws: memref<?xi8>, %dx: memref<?x?x4096xbf16>, %dw: memref<50257x4096xbf16>) {
  bpt.linear_cross_entropy_grad {weights_transposed} cotangent(%o : memref<f32>) ins(%x, %w, %t : memref<?x?x4096xbf16>, memref<50257x4096xbf16>, memref<?x?xi32>)
    outs(%dx, %dw, %o : memref<?x?x4096xbf16>, memref<50257x4096xbf16>, memref<f32>) workspace(%ws : memref<?xi8>)
  return
}
