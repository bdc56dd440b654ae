// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --canonicalize --split-input-file | FileCheck %s

// One parallel loop over heads and blocks of queries; a loop over blocks of keys in it. Scores are 6 keys x 4 vectors of queries
// over the head dim; their mask is a branch of its own; exponentials, then the product with the values by steps over keys.
// CHECK-LABEL: func @forward
// CHECK: call @attention_0
// CHECK: func private @attention_0
// CHECK: scf.forall
// CHECK: bpt.thread_scratch
// CHECK: call @bpt_pack_panel_transposed
// CHECK: scf.for
// CHECK: call @bpt_pack_rows
// CHECK: call @bpt_pack_rows
// CHECK: scf.for
// CHECK-COUNT-96: vector.fma
// CHECK: scf.if
// CHECK: arith.select %{{.*}} : vector<16xi1>, vector<16xf32>
// CHECK: vector.reduction <or>
// CHECK: scf.for
// CHECK-COUNT-96: vector.fma
func.func @forward(%q: memref<2x128x4x64xf32>, %k: memref<2x128x2x64xf32>, %o: memref<2x128x4x64xf32>, %l: memref<2x4x128xf32>) {
  bpt.attention {mask = #bpt.causal, scale = 0.125 : f64}
    ins(%q, %k, %k : memref<2x128x4x64xf32>, memref<2x128x2x64xf32>, memref<2x128x2x64xf32>)
    outs(%o, %l : memref<2x128x4x64xf32>, memref<2x4x128xf32>)
  return
}

// -----

// Lengths are dynamic in the kernel: ops that differ in nothing else share it, and another mask is another kernel.
// CHECK-LABEL: func @shared
// CHECK: call @attention_0
// CHECK: call @attention_0
// CHECK: call @attention_1
func.func @shared(%a: memref<1x512x2x64xf32>, %la: memref<1x2x512xf32>, %b: memref<1x1024x2x64xf32>, %lb: memref<1x2x1024xf32>) {
  bpt.attention {scale = 0.125 : f64} ins(%a, %a, %a : memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x512x2x64xf32>)
    outs(%a, %la : memref<1x512x2x64xf32>, memref<1x2x512xf32>)
  bpt.attention {scale = 0.125 : f64} ins(%b, %b, %b : memref<1x1024x2x64xf32>, memref<1x1024x2x64xf32>, memref<1x1024x2x64xf32>)
    outs(%b, %lb : memref<1x1024x2x64xf32>, memref<1x2x1024xf32>)
  bpt.attention {mask = #bpt.causal, scale = 0.125 : f64}
    ins(%b, %b, %b : memref<1x1024x2x64xf32>, memref<1x1024x2x64xf32>, memref<1x1024x2x64xf32>)
    outs(%b, %lb : memref<1x1024x2x64xf32>, memref<1x2x1024xf32>)
  return
}

// -----

// A schedule overrides the blocks: 64 queries in 80 lanes (tiles of six rows read past the panel), 48 keys.
// CHECK-LABEL: func @schedule
// CHECK: func private @attention_0
// CHECK: memref<48x80xf32>
func.func @schedule(%q: memref<1x512x2x64xf32>, %l: memref<1x2x512xf32>) {
  bpt.attention {scale = 0.125 : f64, schedule = #bpt.schedule<{q_block = 64, kv_block = 48}>}
    ins(%q, %q, %q : memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x512x2x64xf32>)
    outs(%q, %l : memref<1x512x2x64xf32>, memref<1x2x512xf32>)
  return
}

// -----

// Dropout: one Philox call (two products a round, each of even and of odd lanes) for eight keys of a vector of queries.
// CHECK-LABEL: func @dropout
// CHECK: func private @attention_0
// CHECK-COUNT-40: arith.muli %{{.*}} : vector<8xi64>
// CHECK-NOT: arith.muli %{{.*}} : vector<8xi64>
func.func @dropout(%q: memref<1x512x2x64xf32>, %l: memref<1x2x512xf32>, %seed: memref<i64>) {
  bpt.attention {scale = 0.125 : f64, dropout = 0.1 : f64}
    ins(%q, %q, %q : memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x512x2x64xf32>) seed(%seed : memref<i64>)
    outs(%q, %l : memref<1x512x2x64xf32>, memref<1x2x512xf32>)
  return
}
