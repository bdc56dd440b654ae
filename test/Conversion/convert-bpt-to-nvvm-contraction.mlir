// RUN: bpt-opt %s --convert-bpt-to-nvvm --split-input-file | FileCheck %s
// RUN: bpt-opt %s --convert-bpt-to-nvvm --split-input-file --remark-format=emitRemark --remarks-filter-passed=convert-bpt-to-nvvm --remarks-filter-missed=convert-bpt-to-nvvm -o /dev/null 2>&1 | FileCheck %s --check-prefix=REMARK

// One thread fills the ring; a consumer has one product in flight and releases the stage before it. 16-bit results leave through
// shared memory. The zeros before the product go into the kernel.
// CHECK: llvm.func @contraction_0(%[[A:.*]]: !llvm.ptr {{{.*}}nvvm.grid_constant}, %[[B:.*]]: !llvm.ptr {{{.*}}nvvm.grid_constant}, %[[C:.*]]: !llvm.ptr {{{.*}}nvvm.grid_constant}, %{{.*}}: i32, %{{.*}}: i32, %{{.*}}: i32) attributes {gpu.kernel, nvvm.kernel, nvvm.minctasm = 1 : i32, nvvm.reqntid = array<i32: 384>
// CHECK: nvvm.setmaxregister decrease 40
// CHECK: nvvm.mbarrier.arrive.expect_tx
// CHECK: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[A]],
// CHECK-COUNT-4: nvvm.cp.async.bulk.tensor.shared.cluster.global %{{.*}}, %[[B]],
// CHECK: nvvm.setmaxregister increase 232
// CHECK: scf.for
// CHECK: nvvm.wgmma.fence.aligned
// CHECK-COUNT-4: wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16{{.*}}, 1, 1, 1, 0, 1; }"
// CHECK: nvvm.wgmma.commit.group.sync.aligned
// CHECK: nvvm.wgmma.wait.group.sync.aligned 1
// CHECK: nvvm.mbarrier.arrive
// CHECK: "wgmma.wait_group.sync.aligned 0;"
// CHECK: nvvm.stmatrix
// CHECK: nvvm.fence.proxy
// CHECK: nvvm.cp.async.bulk.tensor.global.shared.cta %[[C]]
// REMARK: 128x256x64, 4 stages: 229632 bytes of shared memory, 128 registers of sums
// CHECK-LABEL: func.func @product
// CHECK-NOT: linalg
// CHECK: gpu.launch_func @bpt_kernels::@contraction_0 blocks in (%{{.*}}) threads in (%c384, {{.*}})
// CHECK-NOT: linalg
// Other lengths, the same kernel.
// CHECK-LABEL: func.func @longer
// CHECK: gpu.launch_func @bpt_kernels::@contraction_0
func.func @product(%a: memref<?x512xbf16>, %b: memref<512x4096xbf16>, %c: memref<?x4096xbf16>) {
  %zero = arith.constant 0.0 : bf16
  linalg.fill ins(%zero : bf16) outs(%c : memref<?x4096xbf16>)
  linalg.matmul ins(%a, %b : memref<?x512xbf16>, memref<512x4096xbf16>) outs(%c : memref<?x4096xbf16>)
  return
}
func.func @longer(%a: memref<?x2048xbf16>, %b: memref<2048x4096xbf16>, %c: memref<?x4096xbf16>) {
  %zero = arith.constant 0.0 : bf16
  linalg.fill ins(%zero : bf16) outs(%c : memref<?x4096xbf16>)
  linalg.matmul ins(%a, %b : memref<?x2048xbf16>, memref<2048x4096xbf16>) outs(%c : memref<?x4096xbf16>)
  return
}

// -----

// A weight gradient: both operands are summed over their rows, batch and sequence are one dim, sums are added to f32 in place.
// CHECK: wgmma.mma_async.sync.aligned.m64n{{.*}}k16.f32.f16.f16{{.*}}, 1, 1, 1, 1, 1; }"
// CHECK-NOT: nvvm.stmatrix
// CHECK: llvm.load %{{.*}} : !llvm.ptr -> vector<2xf32>
// CHECK: llvm.store %{{.*}} : vector<2xf32>, !llvm.ptr
// CHECK-LABEL: func.func @weight_grad
// CHECK: memref.reinterpret_cast %{{.*}} to {{.*}} : memref<2x64x256xf16> to memref<128x256xf16, strided<[256, 1], offset: ?>>
// CHECK: gpu.launch_func
func.func @weight_grad(%x: memref<2x64x256xf16>, %dy: memref<2x64x512xf16>, %dw: memref<256x512xf32>) {
  linalg.contract indexing_maps = [affine_map<(b, s, e, f) -> (b, s, e)>, affine_map<(b, s, e, f) -> (b, s, f)>,
                                   affine_map<(b, s, e, f) -> (e, f)>]
    ins(%x, %dy : memref<2x64x256xf16>, memref<2x64x512xf16>) outs(%dw : memref<256x512xf32>)
  return
}

// -----

// Slices: batch and sequence are not one dim of x; the sum has a loop over the batch, which tensor maps have as a dim.
// CHECK-LABEL: func.func @slice
// CHECK: memref.reinterpret_cast %{{.*}} : memref<2x64x256xf16, strided<[98304, 768, 1], offset: ?>> to memref<2x64x256xf16, strided<[98304, 768, 1], offset: ?>>
// CHECK: nvgpu.tma.create.descriptor %{{.*}} box[%{{.*}}, %{{.*}}, %{{.*}}] : memref<*xf16> -> <tensor = memref<1x64x64xf16, 3>
// CHECK: gpu.launch_func
func.func @slice(%x: memref<2x64x256xf16, strided<[98304, 768, 1], offset: ?>>, %dy: memref<2x64x512xf16>, %dw: memref<256x512xf32>) {
  linalg.contract indexing_maps = [affine_map<(b, s, e, f) -> (b, s, e)>, affine_map<(b, s, e, f) -> (b, s, f)>,
                                   affine_map<(b, s, e, f) -> (e, f)>]
    ins(%x, %dy : memref<2x64x256xf16, strided<[98304, 768, 1], offset: ?>>, memref<2x64x512xf16>) outs(%dw : memref<256x512xf32>)
  return
}

// -----

// What other kernels have to do stays: f32, rows that are no multiple of 16 bytes, an odd number of columns.
// REMARK: no products of warpgroups: tensor cores multiply bf16 or f16 into the same or f32
// REMARK: no products of warpgroups: a row is not contiguous or no known multiple of 16 bytes apart from the next
// REMARK: no products of warpgroups: the number of columns is not known to be even
// CHECK-LABEL: func.func @others
// CHECK-COUNT-3: linalg.matmul
// CHECK-NOT: gpu.launch_func
func.func @others(%a: memref<64x64xf32>, %b: memref<64x60xbf16>, %c: memref<60x64xbf16>, %d: memref<64x64xbf16>,
                  %e: memref<64x63xbf16, strided<[64, 1]>>, %f: memref<64x63xbf16, strided<[64, 1]>>) {
  linalg.matmul ins(%a, %a : memref<64x64xf32>, memref<64x64xf32>) outs(%a : memref<64x64xf32>)
  linalg.matmul ins(%b, %c : memref<64x60xbf16>, memref<60x64xbf16>) outs(%d : memref<64x64xbf16>)
  linalg.matmul ins(%d, %e : memref<64x64xbf16>, memref<64x63xbf16, strided<[64, 1]>>)
    outs(%f : memref<64x63xbf16, strided<[64, 1]>>)
  return
}
