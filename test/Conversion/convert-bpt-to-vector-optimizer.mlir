// Embedding and optimizer.
// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --canonicalize --split-input-file --verify-diagnostics | FileCheck %s

// Ids are clamped to the table.
// CHECK-LABEL: func private @embedding_0
// CHECK: scf.forall
// CHECK: %[[ID:.*]] = memref.load %{{.*}} : memref<?x?xi32>
// CHECK: arith.index_cast %[[ID]]
// CHECK: arith.minsi
// CHECK: arith.maxsi
func.func @embedding(%ids: memref<2x128xi32>, %table: memref<256x64xf32>, %x: memref<2x128x64xf32>) {
  bpt.embedding ins(%ids, %table : memref<2x128xi32>, memref<256x64xf32>) outs(%x : memref<2x128x64xf32>)
  return
}

// -----

// Tokens of an id are linked first; then each id is one chain of sums, from what the table holds, in order.
// CHECK-LABEL: func private @embedding_grad_0
// CHECK: scf.forall
// CHECK: scf.for
// CHECK: scf.forall
// CHECK: scf.while
// CHECK: arith.addf %{{.*}} : vector<16xf32>
// CHECK: vector.store
func.func @embedding_grad(%ids: memref<2x128xi32>, %table: memref<256x64xf32>, %x: memref<2x128x64xf32>, %w: memref<4096xi8>) {
  bpt.embedding_grad cotangent(%x : memref<2x128x64xf32>) ins(%ids : memref<2x128xi32>) outs(%table : memref<256x64xf32>)
    workspace(%w : memref<4096xi8>)
  return
}

// -----

func.func @no_workspace(%ids: memref<2x128xi32>, %table: memref<256x64xf32>, %x: memref<2x128x64xf32>) {
  // expected-error @below {{expected a workspace; run bpt-tile-blocks first}}
  bpt.embedding_grad cotangent(%x : memref<2x128x64xf32>) ins(%ids : memref<2x128xi32>) outs(%table : memref<256x64xf32>)
  return
}

// -----

// One pass over memory; each item computes the bias corrections, f64 scalars. Parameters of one type share the kernel.
// CHECK-LABEL: func @adamw
// CHECK: call @adamw_0
// CHECK: call @adamw_0
// CHECK: func private @adamw_0
// CHECK: scf.forall
// CHECK: scf.while
// CHECK: arith.divf %{{.*}} : f64
// CHECK: math.sqrt %{{.*}} : vector<16xf32>
func.func @adamw(%g: memref<64x64xf32>, %h: memref<8x24xf32>, %step: memref<i64>, %lr: memref<f32>) {
  bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%g, %step, %lr : memref<64x64xf32>, memref<i64>, memref<f32>)
    outs(%g, %g, %g : memref<64x64xf32>, memref<64x64xf32>, memref<64x64xf32>)
  bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%h, %step, %lr : memref<8x24xf32>, memref<i64>, memref<f32>)
    outs(%h, %h, %h : memref<8x24xf32>, memref<8x24xf32>, memref<8x24xf32>)
  return
}

// -----

// One function writes the pieces of every gradient; the pieces are added in order.
// CHECK-LABEL: func private @global_norm_0
// CHECK: %[[FIRST:.*]] = call @sum_of_squares_0
// CHECK: %[[SECOND:.*]] = call @sum_of_squares_0({{.*}}, %[[FIRST]])
// CHECK: %[[COUNT:.*]] = arith.addi %[[FIRST]], %[[SECOND]]
// CHECK: scf.forall (%{{.*}}) in (1)
// CHECK: scf.for %{{.*}} = %c0 to %[[COUNT]]
// CHECK: math.sqrt %{{.*}} : f64
// CHECK: func private @sum_of_squares_0
// CHECK: scf.forall
func.func @global_norm(%g: memref<64x64xf32>, %h: memref<8x24xf32>, %n: memref<f32>, %w: memref<4096xi8>) {
  bpt.global_norm ins(%g, %h : memref<64x64xf32>, memref<8x24xf32>) outs(%n : memref<f32>) workspace(%w : memref<4096xi8>)
  return
}
