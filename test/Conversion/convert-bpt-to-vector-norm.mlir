// Row-wise ops: norms, rotary embedding, dropout.
// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --canonicalize --split-input-file | FileCheck %s

// Rows in parallel: mean, variance of centered values, affine map; strided rows stay where they are.
// CHECK-LABEL: func private @layer_norm_0
// CHECK-SAME: memref<?x?x64xbf16, strided<[?, ?, 1], offset: ?>>
// CHECK: scf.forall
// CHECK: scf.for
// CHECK: math.sqrt %{{.*}} : f32
// CHECK-NOT: memref.alloc
func.func @layer_norm(%x: memref<2x128x64xbf16, strided<[16384, 64, 1], offset: ?>>, %w: memref<64xbf16>, %y: memref<2x128x64xbf16>) {
  bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : memref<2x128x64xbf16, strided<[16384, 64, 1], offset: ?>>)
    weight(%w : memref<64xbf16>) bias(%w : memref<64xbf16>) outs(%y : memref<2x128x64xbf16>)
  return
}

// -----

// Gradients of weights: at most 64 blocks of rows write partial sums to the workspace, which are then added in order.
// CHECK-LABEL: func private @rms_norm_grad_0
// CHECK: %[[BLOCKS:.*]] = arith.minsi %{{.*}}, %c64
// CHECK: %[[PARTIALS:.*]] = memref.view %{{.*}}[%c0][%[[BLOCKS]]] : memref<?xi8> to memref<?x64xf32>
// CHECK: scf.forall (%{{.*}}) in (%[[BLOCKS]])
// CHECK: vector.store %{{.*}}, %[[PARTIALS]]
// CHECK: scf.forall
// CHECK: vector.load %[[PARTIALS]]
func.func @rms_norm_grad(%x: memref<2x128x64xf32>, %w: memref<64xf32>, %s: memref<4096xi8>) {
  bpt.rms_norm_grad {eps = 1.0e-5 : f64} cotangent(%x : memref<2x128x64xf32>) ins(%x : memref<2x128x64xf32>)
    weight(%w : memref<64xf32>) outs(%x, %w : memref<2x128x64xf32>, memref<64xf32>) workspace(%s : memref<4096xi8>)
  return
}

// -----

// The angle is reduced in f64; sines and cosines are outside of the loop over heads.
// CHECK-LABEL: func private @rotary_0
// CHECK: scf.forall
// CHECK: arith.extf %{{.*}} : vector<16xf32> to vector<16xf64>
// CHECK: arith.truncf %{{.*}} : vector<16xf64> to vector<16xf32>
// CHECK: scf.for
// CHECK-COUNT-2: vector.store
func.func @rotary(%x: memref<2x128x4x32xf32>) {
  bpt.rotary {theta = 10000.0 : f64} ins(%x : memref<2x128x4x32xf32>) outs(%x : memref<2x128x4x32xf32>)
  return
}

// -----

// 16 calls of Philox at once decide about 128 elements.
// CHECK-LABEL: func private @dropout_0
// CHECK-COUNT-40: arith.muli %{{.*}} : vector<8xi64>
// CHECK-COUNT-3: vector.interleave
// CHECK: arith.cmpi uge, %{{.*}} : vector<128xi16>
func.func @dropout(%x: memref<2x128x256xf32>, %seed: memref<i64>) {
  bpt.dropout {probability = 0.1 : f64} ins(%x : memref<2x128x256xf32>) seed(%seed : memref<i64>) outs(%x : memref<2x128x256xf32>)
  return
}
