// RUN: bpt-opt %s --convert-bpt-to-nvvm --split-input-file --remark-format=emitRemark --remarks-filter-missed=convert-bpt-to-nvvm 2>&1 | FileCheck %s

// What has no kernel of its own stays, and a remark says why.
// CHECK: left to convert-bpt-to-vector: {{.*}}tensor cores take bf16 and f16, not f32
func.func @element_type(%q: memref<1x?x2x64xf32>, %l: memref<1x2x?xf32>) {
  bpt.attention {scale = 0.125 : f64}
    ins(%q, %q, %q : memref<1x?x2x64xf32>, memref<1x?x2x64xf32>, memref<1x?x2x64xf32>)
    outs(%q, %l : memref<1x?x2x64xf32>, memref<1x2x?xf32>)
  return
}

// -----

// CHECK: left to convert-bpt-to-vector: {{.*}}head dim 320 is beyond 256: accumulators do not fit the registers
func.func @head_dim(%q: memref<1x?x2x320xbf16>, %l: memref<1x2x?xf32>) {
  bpt.attention {scale = 0.125 : f64}
    ins(%q, %q, %q : memref<1x?x2x320xbf16>, memref<1x?x2x320xbf16>, memref<1x?x2x320xbf16>)
    outs(%q, %l : memref<1x?x2x320xbf16>, memref<1x2x?xf32>)
  return
}

// -----

// CHECK: left to convert-bpt-to-vector: {{.*}}key has a stride of 132 elements, not a multiple of 16 bytes
func.func @strides(%q: memref<1x?x2x64xbf16>, %k: memref<1x?x2x64xbf16, strided<[?, 132, 64, 1]>>, %l: memref<1x2x?xf32>) {
  bpt.attention {scale = 0.125 : f64}
    ins(%q, %k, %q : memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16, strided<[?, 132, 64, 1]>>, memref<1x?x2x64xbf16>)
    outs(%q, %l : memref<1x?x2x64xbf16>, memref<1x2x?xf32>)
  return
}

// -----

// Everything at once beside the sums of 256 columns: no block of keys is short enough.
// CHECK: left to convert-bpt-to-vector: {{.*}}no tiles fit an SM of sm_90a; 128x16 refused: 220 registers of fragments in each thread, 216 fit
func.func @everything_at_256(%q: memref<1x64x1x256xbf16>, %k: memref<1x96x1x256xbf16>, %v: memref<1x96x1x256xbf16>, %b: memref<1x1x64x96xbf16>, %qs: memref<1x64xi32>, %ks: memref<1x96xi32>, %seed: memref<i64>, %o: memref<1x64x1x256xbf16>, %l: memref<1x1x64xf32>) {
  %offset = arith.constant 13 : index
  bpt.attention {mask = #bpt.causal, scale = 0.1 : f64, softcap = 5.0 : f64, dropout = 0.1 : f64} ins(%q, %k, %v : memref<1x64x1x256xbf16>, memref<1x96x1x256xbf16>, memref<1x96x1x256xbf16>) bias(%b : memref<1x1x64x96xbf16>) segments(%qs, %ks : memref<1x64xi32>, memref<1x96xi32>) offset(%offset) seed(%seed : memref<i64>) outs(%o, %l : memref<1x64x1x256xbf16>, memref<1x1x64xf32>)
  return
}
