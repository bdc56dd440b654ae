// RUN: bpt-opt %s --convert-bpt-to-nvvm --split-input-file --verify-diagnostics

func.func @schedule_shape(%q: memref<1x?x2x64xbf16>, %l: memref<1x2x?xf32>) {
  // expected-error @+1 {{expected a schedule with kv_block a multiple of 16 up to 256, but got q_block = 192, kv_block = 100, stages = 2, warpgroups = 3}}
  bpt.attention {scale = 0.125 : f64, schedule = #bpt.schedule<{kv_block = 100}>}
    ins(%q, %q, %q : memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>)
    outs(%q, %l : memref<1x?x2x64xbf16>, memref<1x2x?xf32>)
  return
}

// -----

func.func @schedule_shared_memory(%q: memref<1x?x2x128xbf16>, %l: memref<1x2x?xf32>) {
  // expected-error @+1 {{schedule does not fit an SM of sm_90a: 128x128, 4 stages, 2 consumer warpgroups: 295424 bytes of shared memory, 160 registers of fragments; 295424 bytes of shared memory (query 32768 + key 131072 + value 131072 + barriers 512), 232448 fit}}
  bpt.attention {scale = 0.125 : f64, schedule = #bpt.schedule<{q_block = 128, kv_block = 128, stages = 4}>}
    ins(%q, %q, %q : memref<1x?x2x128xbf16>, memref<1x?x2x128xbf16>, memref<1x?x2x128xbf16>)
    outs(%q, %l : memref<1x?x2x128xbf16>, memref<1x2x?xf32>)
  return
}

// -----

func.func @schedule_registers(%q: memref<1x?x2x64xbf16>, %l: memref<1x2x?xf32>) {
  // expected-error @+1 {{224 registers of fragments in each thread, 128 fit}}
  bpt.attention {scale = 0.125 : f64, schedule = #bpt.schedule<{q_block = 192, kv_block = 256, stages = 1}>}
    ins(%q, %q, %q : memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>)
    outs(%q, %l : memref<1x?x2x64xbf16>, memref<1x2x?xf32>)
  return
}

// -----

func.func @workspace(%q: memref<2x?x4x64xbf16>, %l: memref<2x4x?xf32>) {
  // expected-error @+1 {{expected a workspace of getHopperWorkspaceBytes; add it before bufferization}}
  bpt.attention_grad {scale = 0.125 : f64} cotangent(%q : memref<2x?x4x64xbf16>)
    ins(%q, %q, %q, %q, %l : memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x4x?xf32>)
    outs(%q, %q, %q : memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>)
  return
}

// -----

func.func @tensors(%q: tensor<1x?x2x64xbf16>, %l: tensor<1x2x?xf32>) {
  // expected-error @+1 {{expected memrefs; bufferize before convert-bpt-to-nvvm}}
  %o:2 = bpt.attention {scale = 0.125 : f64}
    ins(%q, %q, %q : tensor<1x?x2x64xbf16>, tensor<1x?x2x64xbf16>, tensor<1x?x2x64xbf16>)
    outs(%q, %l : tensor<1x?x2x64xbf16>, tensor<1x2x?xf32>) -> tensor<1x?x2x64xbf16>, tensor<1x2x?xf32>
  return
}
