// RUN: bpt-opt %s --convert-bpt-to-nvvm --split-input-file | FileCheck %s

// Three launches. The main kernel: S' and dP' of 64 keys x 64 queries; dV with P' in registers; dS' through shared memory for dQ of both
// warpgroups' keys, half of the columns each; dK with dS' in registers; dQ is added up by TMA reductions.
// CHECK: llvm.func @attention_grad_rows_0
// CHECK: llvm.func @attention_grad_0
// CHECK: nvvm.setmaxregister decrease 24
// CHECK: nvvm.cp.async.bulk.shared.cluster.global
// CHECK: nvvm.setmaxregister increase 240
// CHECK: scf.for
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16{{.*}}, 1, 1, 0, 0; }"
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16{{.*}}, 1, 1, 0, 0; }"
// CHECK: "wgmma.wait_group.sync.aligned 1;"
// CHECK-COUNT-32: llvm.intr.exp2
// CHECK: "wgmma.wait_group.sync.aligned 0;"
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16{{.*}}, 1, 1, 1, 1; }"
// CHECK: nvvm.barrier id
// CHECK-COUNT-4: nvvm.stmatrix
// CHECK: nvvm.fence.proxy
// CHECK: nvvm.barrier id
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16{{.*}}, 1, 1, 1, 1; }"
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16{{.*}}, 1, 1, 1, 1; }"
// CHECK: "wgmma.wait_group.sync.aligned 1;"
// CHECK-COUNT-2: nvvm.cp.async.bulk.tensor.reduce
// CHECK: "wgmma.wait_group.sync.aligned 0;"
// CHECK: llvm.func @attention_grad_query_0
// CHECK-LABEL: func.func @gradient
// CHECK: memref.view %{{.*}} : memref<?xi8> to memref<?x?x128xf32>
// CHECK: gpu.launch_func @bpt_kernels::@attention_grad_rows_0
// CHECK: gpu.launch_func @bpt_kernels::@attention_grad_0
// CHECK: gpu.launch_func @bpt_kernels::@attention_grad_query_0
// CHECK-NOT: bpt.attention_grad
func.func @gradient(%q: memref<2x?x4x128xbf16>, %k: memref<2x?x2x128xbf16>, %l: memref<2x4x?xf32>, %w: memref<?xi8>) {
  bpt.attention_grad {mask = #bpt.causal, scale = 0.088388347648318447 : f64} cotangent(%q : memref<2x?x4x128xbf16>)
    ins(%q, %k, %k, %q, %l : memref<2x?x4x128xbf16>, memref<2x?x2x128xbf16>, memref<2x?x2x128xbf16>, memref<2x?x4x128xbf16>, memref<2x4x?xf32>)
    outs(%q, %k, %k : memref<2x?x4x128xbf16>, memref<2x?x2x128xbf16>, memref<2x?x2x128xbf16>) workspace(%w : memref<?xi8>)
  return
}

// -----

// A head dim beyond 128: each warpgroup has half of its columns, and half of the queries of the scores.
// CHECK: llvm.func @attention_grad_0
// CHECK-COUNT-16: wgmma.mma_async.sync.aligned.m64n32k16.f32.bf16.bf16
// CHECK: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16
func.func @long_heads(%q: memref<2x?x4x256xbf16>, %l: memref<2x4x?xf32>, %w: memref<?xi8>) {
  bpt.attention_grad {scale = 0.0625 : f64} cotangent(%q : memref<2x?x4x256xbf16>)
    ins(%q, %q, %q, %q, %l : memref<2x?x4x256xbf16>, memref<2x?x4x256xbf16>, memref<2x?x4x256xbf16>, memref<2x?x4x256xbf16>, memref<2x4x?xf32>)
    outs(%q, %q, %q : memref<2x?x4x256xbf16>, memref<2x?x4x256xbf16>, memref<2x?x4x256xbf16>) workspace(%w : memref<?xi8>)
  return
}

// -----

// The gradient of the bias is added up in the workspace, cleared before and added to dbias after.
// CHECK: llvm.func @fill_zero_0
// CHECK: llvm.func @attention_grad_0
// CHECK: llvm.atomicrmw fadd
// CHECK: llvm.func @attention_grad_bias_0
// CHECK-LABEL: func.func @bias
// CHECK: memref.view %{{.*}} : memref<?xi8> to memref<1x4x?x?xf32>
// CHECK: gpu.launch_func @bpt_kernels::@fill_zero_0
// CHECK: gpu.launch_func @bpt_kernels::@attention_grad_0
// CHECK: gpu.launch_func @bpt_kernels::@attention_grad_bias_0
func.func @bias(%q: memref<2x?x4x64xbf16>, %l: memref<2x4x?xf32>, %b: memref<1x4x?x?xbf16>, %w: memref<?xi8>) {
  bpt.attention_grad {scale = 0.125 : f64} cotangent(%q : memref<2x?x4x64xbf16>)
    ins(%q, %q, %q, %q, %l : memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x4x?xf32>)
    bias(%b : memref<1x4x?x?xbf16>)
    outs(%q, %q, %q, %b : memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<1x4x?x?xbf16>) workspace(%w : memref<?xi8>)
  return
}

// -----

// A deterministic schedule adds up dquery a block of keys after the other.
// CHECK-LABEL: func.func @deterministic
// CHECK: scf.for %[[ROW:.*]] = %{{.*}} to %{{.*}} step
// CHECK: arith.index_cast %[[ROW]] : index to i32
// CHECK: gpu.launch_func @bpt_kernels::@attention_grad_0
func.func @deterministic(%q: memref<2x?x4x64xbf16>, %l: memref<2x4x?xf32>, %w: memref<?xi8>) {
  bpt.attention_grad {scale = 0.125 : f64, schedule = #bpt.schedule<{deterministic = 1}>} cotangent(%q : memref<2x?x4x64xbf16>)
    ins(%q, %q, %q, %q, %l : memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x4x?xf32>)
    outs(%q, %q, %q : memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>, memref<2x?x4x64xbf16>) workspace(%w : memref<?xi8>)
  return
}
