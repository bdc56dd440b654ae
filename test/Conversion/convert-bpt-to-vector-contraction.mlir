// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --canonicalize --split-input-file | FileCheck %s --implicit-check-not=memref.alloc --implicit-check-not=linalg.
// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v3 --canonicalize --split-input-file | FileCheck %s --check-prefix=AVX2 --implicit-check-not=memref.alloc "--implicit-check-not=vector<16xf32>"

// Blocks of C in the scratch of a thread; the register tile carries 24 accumulators of 16 lanes, zero at the start of a depth
// block and added to C at its end, or stored there by the first. Its loop fetches lines of the next panel and of C. Columns
// beyond the last whole vector are masked. So few columns do not pay for a copy of the left operand.
// CHECK: module attributes {bpt.thread_scratch = 356672 : i64}
// CHECK-LABEL: func.func @rows(
// CHECK: call @[[KERNEL:bpt_contraction_[0-9]+]](
// CHECK: func.func private @[[KERNEL]](
// CHECK: scf.forall
// CHECK: %[[SCRATCH:.*]] = bpt.thread_scratch
// CHECK: memref.view %[[SCRATCH]]
// CHECK: memref.subview %arg0
// CHECK: call @bpt_pack_panel_0
// CHECK: call @bpt_tiles_fetching_64_fetching_64_0
// CHECK: vector.load %arg2
// CHECK: vector.store %{{.*}}, %arg2
// CHECK: vector.create_mask
// CHECK: vector.maskedload %arg2
// CHECK: vector.maskedstore %arg2
// CHECK: mapping = [#bpt.workers]
// CHECK: func.func private @bpt_tiles_fetching_64_fetching_64_0(%{{.*}}: memref<?x?xf32, strided<[?, 1], offset: ?>>,
// CHECK: scf.for
// CHECK: %[[SUMS:.*]]:24 = scf.for {{.*}} iter_args(
// CHECK-COUNT-2: memref.prefetch
// CHECK-COUNT-96: vector.fma
// CHECK: scf.yield
// CHECK: scf.if
// CHECK-COUNT-24: vector.store
// CHECK: else
// CHECK-COUNT-24: arith.addf
// CHECK: call @bpt_last_tile_0
// CHECK: func.func private @bpt_last_tile_0(
// CHECK: scf.index_switch
// AVX2: func.func private @bpt_tiles_fetching_16_0(
// AVX2: :12 = scf.for {{.*}} iter_args(
// AVX2-COUNT-48: vector.fma {{.*}} : vector<8xf32>
// AVX2: scf.yield
func.func @rows(%a: memref<?x64xf32>, %b: memref<64x40xf32>, %c: memref<?x40xf32>) {
  linalg.matmul ins(%a, %b : memref<?x64xf32>, memref<64x40xf32>) outs(%c : memref<?x40xf32>)
  return
}

// -----

// A fill of zeros just before is part of the product: the first depth block overwrites C. Its rows are short and whole panels, so
// that sums grow there and not in scratch.
// CHECK-LABEL: func.func @after_fill(
// CHECK-NOT: elementwise
// CHECK: call @bpt_contraction_0
// CHECK: func.func private @bpt_contraction_0(
// CHECK-NOT: vector.load %arg2
// CHECK: %[[BLOCK:.*]] = memref.subview %arg2
// CHECK: %[[AS_BLOCK:.*]] = memref.cast %[[BLOCK]] :
// CHECK: call @bpt_tiles_fetching_64_0({{.*}}, %[[AS_BLOCK]], {{.*}}, %true,
// CHECK-NOT: vector.load %arg2
// CHECK: mapping
func.func @after_fill(%a: memref<?x64xf32>, %b: memref<64x64xf32>, %c: memref<?x64xf32>) {
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%c : memref<?x64xf32>)
  linalg.matmul ins(%a, %b : memref<?x64xf32>, memref<64x64xf32>) outs(%c : memref<?x64xf32>)
  return
}

// -----

// Gradient of a weight: batch and sequence, contiguous or not, are one depth. The left operand is stored by depth.
// CHECK-LABEL: func.func @weight_gradient(
// CHECK: func.func private @bpt_contraction_0(%[[X:.*]]: memref<?x?x48xbf16, strided<[?, ?, 1], offset: ?>>,
// CHECK: func.func private @bpt_pack_left_columns_0(
// CHECK: arith.remui
// CHECK: func.func private @bpt_tiles_fetching_64_fetching_64_0(
func.func @weight_gradient(%x: memref<2x32x48xbf16, strided<[6144, 48, 1], offset: ?>>, %dy: memref<2x32x80xbf16>,
                           %dw: memref<48x80xf32>) {
  linalg.contract indexing_maps = [affine_map<(e, f, b, s) -> (b, s, e)>, affine_map<(e, f, b, s) -> (b, s, f)>,
                                   affine_map<(e, f, b, s) -> (e, f)>]
    ins(%x, %dy : memref<2x32x48xbf16, strided<[6144, 48, 1], offset: ?>>, memref<2x32x80xbf16>)
    outs(%dw : memref<48x80xf32>)
  return
}

// -----

// A right operand stored by columns is transposed in registers while its panel is packed.
// CHECK-LABEL: func.func @transposed_weight(
// CHECK: func.func private @bpt_pack_panel_transposed_0(
// CHECK: vector.shuffle {{.*}} : vector<16xf32>, vector<16xf32>
func.func @transposed_weight(%x: memref<?x64xf32>, %w: memref<80x64xf32>, %y: memref<?x80xf32>) {
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (n, k)>,
                                   affine_map<(m, n, k) -> (m, n)>]
    ins(%x, %w : memref<?x64xf32>, memref<80x64xf32>) outs(%y : memref<?x80xf32>)
  return
}

// -----

// One kernel serves every length; another layout is another kernel.
// CHECK-LABEL: func.func @lengths(
// CHECK-COUNT-2: call @bpt_contraction_0
// CHECK: call @bpt_contraction_1
func.func @lengths(%a: memref<10x64xf32>, %b: memref<64x64xf32>, %c: memref<10x64xf32>, %d: memref<20x64xf32>,
                   %e: memref<20x64xf32>, %f: memref<20x64xf32, strided<[128, 1]>>) {
  linalg.matmul ins(%a, %b : memref<10x64xf32>, memref<64x64xf32>) outs(%c : memref<10x64xf32>)
  linalg.matmul ins(%d, %b : memref<20x64xf32>, memref<64x64xf32>) outs(%e : memref<20x64xf32>)
  linalg.matmul ins(%f, %b : memref<20x64xf32, strided<[128, 1]>>, memref<64x64xf32>) outs(%e : memref<20x64xf32>)
  return
}

// -----

// A large right operand that many blocks of rows use is packed once, into the scratch all threads share; where the kernel finds that
// not worth it, there are no items to pack and each item packs what it needs.
// CHECK-LABEL: func.func @shared_panels(
// CHECK: func.func private @bpt_contraction_0(
// CHECK: %[[BYTES:.*]], %[[AVAILABLE:.*]] = bpt.shared_scratch
// CHECK: arith.cmpi sge, %{{.*}}, %c504
// CHECK: %[[PACKS:.*]] = arith.andi
// CHECK: %[[ITEMS:.*]] = arith.select %[[PACKS]], %{{.*}}, %c0
// CHECK: scf.forall (%{{.*}}) in (%[[ITEMS]])
// CHECK: memref.view %[[BYTES]]
// CHECK: call @bpt_pack_panel_0
// CHECK: scf.forall
// CHECK: scf.if %[[PACKS]]
// CHECK: memref.view %[[BYTES]]
// CHECK: call @bpt_tiles_fetching_128_fetching_64_fetching_64_0
// CHECK: } else {
// CHECK: call @bpt_pack_panel_0
// CHECK: call @bpt_tiles_fetching_64_fetching_64_0
module attributes {bpt.shared_scratch = 3145728 : i64} {
  func.func @shared_panels(%a: memref<?x512xf32>, %b: memref<512x1024xf32>, %c: memref<?x1024xf32>) {
    linalg.matmul ins(%a, %b : memref<?x512xf32>, memref<512x1024xf32>) outs(%c : memref<?x1024xf32>)
    return
  }
}
