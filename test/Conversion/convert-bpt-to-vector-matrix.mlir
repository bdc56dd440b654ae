// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4+amx --canonicalize --split-input-file | FileCheck %s
// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --canonicalize --split-input-file | FileCheck %s --check-prefix=VECTORS --implicit-check-not=amx.
// RUN: not bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v3+amx --split-input-file 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: error: expected cpu to be one of native, {{.*}}, but got 'x86-64-v3+amx'

// Products of bf16 take tiles of 16 rows: two of the left operand, which is copied by rows, by two of the right one, whose pairs
// of rows are interleaved. Sums are loaded from the block of C before the depth and stored after it.
// CHECK-LABEL: func.func @rows(
// CHECK: call @bpt_pack_matrix_left_rows_256_0
// CHECK: call @bpt_pack_matrix_right_rows_0
// CHECK: call @[[TILES:bpt_tiles_[a-z0-9_]+]]
// CHECK: func.func private @bpt_pack_matrix_left_rows_256_0(%{{.*}}: memref<?x?xbf16>,
// CHECK: vector.load {{.*}} vector<16xi16>
// CHECK: func.func private @bpt_pack_matrix_right_rows_0(
// CHECK: vector.interleave {{.*}} : vector<16xi16> -> vector<32xi16>
// CHECK: func.func private @[[TILES]](%{{.*}}: memref<1024x32xbf16>, %{{.*}}: memref<?x64xbf16>,
// CHECK-COUNT-4: amx.tile_load {{.*}} into !amx.tile<16x16xf32>
// CHECK: :4 = scf.for
// CHECK-COUNT-2: amx.tile_load {{.*}} : memref<?x64xbf16> into !amx.tile<16x32xbf16>
// CHECK: %[[LEFT:.*]] = amx.tile_load {{.*}} : memref<1024x32xbf16> into !amx.tile<16x32xbf16>
// CHECK-COUNT-2: amx.tile_mulf %[[LEFT]]
// CHECK: amx.tile_load
// CHECK-COUNT-2: amx.tile_mulf
// CHECK: scf.yield
// CHECK-COUNT-4: amx.tile_store
// VECTORS-LABEL: func.func @rows(
// VECTORS: call @bpt_pack_left_rows_0
func.func @rows(%a: memref<?x64xbf16>, %b: memref<64x40xbf16>, %c: memref<?x40xf32>) {
  linalg.matmul ins(%a, %b : memref<?x64xbf16>, memref<64x40xbf16>) outs(%c : memref<?x40xf32>)
  return
}

// -----

// Transposed operands: pairs are lanes of 32 bits and transposed in registers.
// CHECK-LABEL: func.func @transposed(
// CHECK: call @bpt_pack_matrix_left_columns_256_0
// CHECK: call @bpt_pack_matrix_right_columns_0
// CHECK: func.func private @bpt_pack_matrix_left_columns_256_0(
// CHECK-COUNT-16: vector.interleave
// CHECK-COUNT-64: vector.shuffle {{.*}} : vector<16xf32>, vector<16xf32>
func.func @transposed(%a: memref<64x?xbf16>, %b: memref<40x64xbf16>, %c: memref<?x40xbf16>) {
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (k, m)>, affine_map<(m, n, k) -> (n, k)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%a, %b : memref<64x?xbf16>, memref<40x64xbf16>) outs(%c : memref<?x40xbf16>)
  return
}

// -----

// Products of other types stay vectors.
// CHECK-LABEL: func.func @mixed(
// CHECK-NOT: amx.
// CHECK: vector.fma
func.func @mixed(%a: memref<8x64xf32>, %b: memref<64x40xbf16>, %c: memref<8x40xf32>) {
  linalg.contract indexing_maps = [affine_map<(m, n, k) -> (m, k)>, affine_map<(m, n, k) -> (k, n)>, affine_map<(m, n, k) -> (m, n)>]
    ins(%a, %b : memref<8x64xf32>, memref<64x40xbf16>) outs(%c : memref<8x40xf32>)
  return
}

// -----

// Scores of 32 keys by 32 queries go through a block of f32 to registers; probabilities are stored as bf16, interleaved in pairs of
// keys, and multiplied with transposed values.
// CHECK-LABEL: func.func private @attention_0(
// CHECK: %[[PRODUCTS:.*]] = memref.view {{.*}} to memref<32x32xf32>
// CHECK-COUNT-4: amx.tile_zero : !amx.tile<16x16xf32>
// CHECK-COUNT-4: amx.tile_mulf
// CHECK: amx.tile_store %[[PRODUCTS]]
// CHECK: vector.load %[[PRODUCTS]]
// CHECK: llvm.call_intrinsic "llvm.x86.avx512.mask.scalef.ps.512"
// CHECK: llvm.call_intrinsic "llvm.x86.avx512bf16.cvtneps2bf16.512"
// CHECK: call @bpt_pack_matrix_right_rows_
// CHECK: amx.tile_load {{.*}} : memref<64x192xf32> into !amx.tile<16x16xf32>
// CHECK: amx.tile_mulf
// VECTORS-LABEL: func.func private @attention_0(
// VECTORS: vector.fma
func.func @attention(%q: memref<1x1024x2x64xbf16>, %o: memref<1x1024x2x64xbf16>, %l: memref<1x2x1024xf32>) {
  bpt.attention {mask = #bpt.causal, scale = 0.125 : f64, schedule = #bpt.schedule<{q_block = 192 : i64, kv_block = 96 : i64}>}
    ins(%q, %q, %q : memref<1x1024x2x64xbf16>, memref<1x1024x2x64xbf16>, memref<1x1024x2x64xbf16>)
    outs(%o, %l : memref<1x1024x2x64xbf16>, memref<1x2x1024xf32>)
  return
}
