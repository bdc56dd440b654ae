// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --split-input-file --verify-diagnostics

func.func @no_workspace(%x: memref<?x64xf32>, %w1: memref<64x256xf32>, %w2: memref<256x64xf32>, %y: memref<?x64xf32>) {
  // expected-error @+1 {{expected a workspace; run bpt-tile-blocks before bufferization}}
  bpt.feed_forward ins(%x : memref<?x64xf32>) up(%w1 : memref<64x256xf32>) down(%w2 : memref<256x64xf32>)
    outs(%y : memref<?x64xf32>)
  return
}

// -----

func.func @scattered_rows(%x: memref<8x64xf32, strided<[1, 8]>>, %w1: memref<64x256xf32>, %w2: memref<256x64xf32>,
                          %y: memref<8x64xf32>, %w: memref<?xi8>) {
  // expected-error @+1 {{expected operand #0 to have contiguous rows, but got}}
  bpt.feed_forward ins(%x : memref<8x64xf32, strided<[1, 8]>>) up(%w1 : memref<64x256xf32>) down(%w2 : memref<256x64xf32>)
    outs(%y : memref<8x64xf32>) workspace(%w : memref<?xi8>)
  return
}

// -----

func.func @tensors(%x: tensor<?x64xf32>, %w1: tensor<64x256xf32>, %w2: tensor<256x64xf32>) -> tensor<?x64xf32> {
  // expected-error @+1 {{expected memrefs; bufferize before convert-bpt-to-vector}}
  %y = bpt.feed_forward ins(%x : tensor<?x64xf32>) up(%w1 : tensor<64x256xf32>) down(%w2 : tensor<256x64xf32>)
    outs(%x : tensor<?x64xf32>) -> tensor<?x64xf32>
  return %y : tensor<?x64xf32>
}

// -----

func.func @library_function(%x: memref<8xf32>) {
  // expected-error @+1 {{expected a body of arith and math operations with vector code, but got 'arith.remf'}}
  linalg.generic {indexing_maps = [affine_map<(i) -> (i)>], iterator_types = ["parallel"]} outs(%x : memref<8xf32>) {
  ^bb0(%a: f32):
    %r = arith.remf %a, %a : f32
    linalg.yield %r : f32
  }
  return
}
