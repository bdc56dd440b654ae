// RUN: bpt-opt %s --convert-bpt-to-nvvm --split-input-file | FileCheck %s

// One producer: keys first, then queries, then keys and the values of the block before. Consumers: scores of a block and the values of
// the block before are issued together; the mask is a branch; exponentials wait for the scores only, rescaling for the sums.
// CHECK: gpu.module @bpt_kernels [#nvvm.target<O = 3, chip = "sm_90a", features = "+ptx84">]
// CHECK: llvm.mlir.global external @bpt_shared() {addr_space = 3 : i32, alignment = 1024 : i64} : !llvm.array<0 x i8>
// CHECK: llvm.func @attention_0(%[[Q:.*]]: !llvm.ptr {{{.*}}nvvm.grid_constant}, %[[K:.*]]: !llvm.ptr {{{.*}}nvvm.grid_constant}, %[[V:.*]]: !llvm.ptr {{{.*}}nvvm.grid_constant}, %[[O:.*]]: !llvm.ptr {{{.*}}nvvm.grid_constant}, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32) attributes {gpu.kernel, nvvm.kernel, nvvm.minctasm = 1 : i32, nvvm.reqntid = array<i32: 384>, passthrough = {{\[\[}}"denormal-fp-math-f32", "preserve-sign"]]}
// CHECK-COUNT-10: nvvm.mbarrier.init
// CHECK-NOT: nvvm.mbarrier.init
// CHECK: nvvm.barrier0
// CHECK: nvvm.setmaxregister decrease 40
// CHECK: scf.for
// CHECK-COUNT-2: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[K]]
// CHECK-COUNT-2: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[Q]]
// CHECK: scf.for
// CHECK-COUNT-2: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[K]]
// CHECK-COUNT-2: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[V]]
// CHECK: nvvm.setmaxregister increase 232
// CHECK: scf.for
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16
// CHECK: "wgmma.wait_group.sync.aligned 0;"
// CHECK: scf.for
// CHECK: nvvm.barrier id
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16{{.*}}, 1, 1, 0, 0; }"
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK-COUNT-8: wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16{{.*}}, 1, 1, 1, 1; }"
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: nvvm.barrier.arrive
// CHECK: "wgmma.wait_group.sync.aligned 1;"
// CHECK: scf.if %{{.*}} -> (f32, f32
// CHECK-COUNT-64: arith.select
// CHECK-COUNT-64: llvm.intr.exp2
// CHECK: "wgmma.wait_group.sync.aligned 0;"
// CHECK: nvvm.stmatrix
// CHECK: nvvm.fence.proxy
// CHECK-COUNT-2: nvvm.cp.async.bulk.tensor.global.shared.cta %[[O]]
// CHECK-LABEL: func.func @causal
// CHECK: nvgpu.tma.create.descriptor %{{.*}} box[%{{.*}}] : memref<*xbf16> -> <tensor = memref<1x128x1x64xbf16, 3>, swizzle = swizzle_128b
// CHECK: gpu.launch_func @bpt_kernels::@attention_0 blocks in (%{{.*}}) threads in (%c384, {{.*}}) dynamic_shared_memory_size %{{.*}} args(
// CHECK-NOT: bpt.attention
func.func @causal(%q: memref<2x?x4x128xbf16>, %k: memref<2x?x2x128xbf16>, %o: memref<2x?x4x128xbf16>, %l: memref<2x4x?xf32>) {
  bpt.attention {mask = #bpt.causal, scale = 0.088388347648318447 : f64}
    ins(%q, %k, %k : memref<2x?x4x128xbf16>, memref<2x?x2x128xbf16>, memref<2x?x2x128xbf16>)
    outs(%o, %l : memref<2x?x4x128xbf16>, memref<2x4x?xf32>)
  return
}

// -----

// Lengths and strides are arguments: slices of a fused buffer of another length share the kernel, another mask is another one.
// CHECK-COUNT-2: llvm.func @attention_
// CHECK-NOT: llvm.func @attention_
// CHECK-LABEL: func.func @shared
// CHECK: @bpt_kernels::@attention_0
// CHECK: @bpt_kernels::@attention_0
// CHECK: @bpt_kernels::@attention_1
func.func @shared(%a: memref<1x512x2x64xf16>, %la: memref<1x2x512xf32>, %b: memref<1x1024x2x64xf16, strided<[393216, 384, 64, 1], offset: 128>>, %lb: memref<1x2x1024xf32>) {
  bpt.attention {scale = 0.125 : f64} ins(%a, %a, %a : memref<1x512x2x64xf16>, memref<1x512x2x64xf16>, memref<1x512x2x64xf16>)
    outs(%a, %la : memref<1x512x2x64xf16>, memref<1x2x512xf32>)
  bpt.attention {scale = 0.125 : f64} ins(%b, %b, %b : memref<1x1024x2x64xf16, strided<[393216, 384, 64, 1], offset: 128>>, memref<1x1024x2x64xf16, strided<[393216, 384, 64, 1], offset: 128>>, memref<1x1024x2x64xf16, strided<[393216, 384, 64, 1], offset: 128>>)
    outs(%b, %lb : memref<1x1024x2x64xf16, strided<[393216, 384, 64, 1], offset: 128>>, memref<1x2x1024xf32>)
  bpt.attention {mask = #bpt.sliding_window<64>, scale = 0.125 : f64} ins(%a, %a, %a : memref<1x512x2x64xf16>, memref<1x512x2x64xf16>, memref<1x512x2x64xf16>)
    outs(%a, %la : memref<1x512x2x64xf16>, memref<1x2x512xf32>)
  return
}

// -----

// A schedule overrides the tiles: boxes of 96 keys.
// CHECK: wgmma.mma_async.sync.aligned.m64n96k16.f32.bf16.bf16
// CHECK-LABEL: func.func @schedule
// CHECK: memref<1x128x1x64xbf16, 3>
// CHECK: memref<1x96x1x64xbf16, 3>
func.func @schedule(%q: memref<1x?x2x64xbf16>, %l: memref<1x2x?xf32>) {
  bpt.attention {scale = 0.125 : f64, schedule = #bpt.schedule<{q_block = 128, kv_block = 96, stages = 3}>}
    ins(%q, %q, %q : memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>)
    outs(%q, %l : memref<1x?x2x64xbf16>, memref<1x2x?xf32>)
  return
}

// -----

// Three consumers of 160 registers for head dims up to 64, two for longer ones; a head dim of 80 is two boxes of 64 columns, five steps of
// 16.
// CHECK: llvm.func @attention_0{{.*}}nvvm.reqntid = array<i32: 512>
// CHECK: nvvm.setmaxregister decrease 32
// CHECK: nvvm.setmaxregister increase 160
// CHECK: llvm.func @attention_1{{.*}}nvvm.reqntid = array<i32: 384>
// CHECK: nvvm.setmaxregister increase 232
// CHECK-COUNT-5: wgmma.mma_async.sync.aligned.m64n176k16.f32.bf16.bf16
// CHECK-NOT: wgmma.mma_async
// CHECK: "wgmma.wait_group.sync.aligned 0;"
func.func @head_dims(%q: memref<1x?x2x64xbf16>, %p: memref<1x?x2x80xbf16>, %l: memref<1x2x?xf32>) {
  bpt.attention {scale = 0.125 : f64}
    ins(%q, %q, %q : memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>)
    outs(%q, %l : memref<1x?x2x64xbf16>, memref<1x2x?xf32>)
  bpt.attention {scale = 0.125 : f64}
    ins(%p, %p, %p : memref<1x?x2x80xbf16>, memref<1x?x2x80xbf16>, memref<1x?x2x80xbf16>)
    outs(%p, %l : memref<1x?x2x80xbf16>, memref<1x2x?xf32>)
  return
}

// -----

// Dropout: a Philox call (ten rounds of two products) for eight probabilities of four lanes, whose words a quad exchanges.
// CHECK-COUNT-20: arith.mului_extended
// CHECK-COUNT-4: nvvm.shfl.sync bfly
// CHECK-COUNT-8: arith.select
func.func @dropout(%q: memref<1x?x2x64xbf16>, %l: memref<1x2x?xf32>, %seed: memref<i64>) {
  bpt.attention {scale = 0.125 : f64, dropout = 0.1 : f64}
    ins(%q, %q, %q : memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>, memref<1x?x2x64xbf16>) seed(%seed : memref<i64>)
    outs(%q, %l : memref<1x?x2x64xbf16>, memref<1x2x?xf32>)
  return
}
