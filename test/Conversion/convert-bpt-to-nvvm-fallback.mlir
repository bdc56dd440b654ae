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

