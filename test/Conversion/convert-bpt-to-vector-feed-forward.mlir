// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --canonicalize --split-input-file | FileCheck %s --implicit-check-not=memref.alloc

// Chunks of rows, two phases each: the activated hidden goes to the workspace in the storage type, then the second product.
// CHECK-LABEL: func.func @plain(
// CHECK: call @bpt_feed_forward_0(
// CHECK: func.func private @bpt_feed_forward_0(%[[X:.*]]: memref<?x64xbf16>, {{.*}} %[[W:.*]]: memref<?xi8>)
// CHECK: %[[HIDDEN:.*]] = memref.view %[[W]]{{.*}} to memref<?x256xbf16>
// CHECK: arith.divui %{{.*}}, %c384
// CHECK: scf.for
// CHECK: scf.forall
// CHECK: bpt_tiles
// CHECK: arith.divf
// CHECK: mapping = [#bpt.workers]
// CHECK: scf.forall
// CHECK: bpt_tiles
// CHECK: mapping = [#bpt.workers]
// CHECK-NOT: scf.forall
func.func @plain(%x: memref<?x64xbf16>, %w1: memref<64x256xbf16>, %b1: memref<256xbf16>, %w2: memref<256x64xbf16>,
                 %y: memref<?x64xbf16>, %w: memref<?xi8>) {
  bpt.feed_forward {schedule = #bpt.schedule<{rows = 384}>} ins(%x : memref<?x64xbf16>)
    up(%w1 : memref<64x256xbf16> bias %b1 : memref<256xbf16>) down(%w2 : memref<256x64xbf16>) outs(%y : memref<?x64xbf16>)
    workspace(%w : memref<?xi8>)
  return
}

// -----

// The gradient: a and du of a chunk, then dinput, ddown and dup; 16-bit weight gradients are kept in f32 between chunks.
// CHECK-LABEL: func.func @gradient(
// CHECK: func.func private @bpt_feed_forward_grad_0(
// CHECK-COUNT-2: memref.view %{{.*}} to memref<?x256xbf16>
// CHECK-COUNT-2: memref.view %{{.*}}xf32>
// CHECK: scf.for
// CHECK-COUNT-4: mapping = [#bpt.workers]
// CHECK-NOT: scf.forall
func.func @gradient(%dy: memref<?x64xbf16>, %x: memref<?x64xbf16>, %w1: memref<64x256xbf16>, %w2: memref<256x64xbf16>,
                    %dx: memref<?x64xbf16>, %dw1: memref<64x256xbf16>, %dw2: memref<256x64xbf16>, %w: memref<?xi8>) {
  bpt.feed_forward_grad cotangent(%dy : memref<?x64xbf16>) ins(%x : memref<?x64xbf16>) up(%w1 : memref<64x256xbf16>)
    down(%w2 : memref<256x64xbf16>)
    outs(%dx, %dw1, %dw2 : memref<?x64xbf16>, memref<64x256xbf16>, memref<256x64xbf16>) workspace(%w : memref<?xi8>)
  return
}
