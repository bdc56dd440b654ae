// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --canonicalize --split-input-file | FileCheck %s --implicit-check-not=memref.alloc

// Logits live in the scratch of a thread; the workspace has a maximum and a sum for each row and 256 columns.
// CHECK-LABEL: func.func @loss(
// CHECK: func.func private @bpt_linear_cross_entropy_0(
// CHECK-COUNT-2: memref.view %{{.*}} to memref<?x4xf32>
// CHECK: scf.forall
// CHECK: bpt.thread_scratch
// CHECK: mapping = [#bpt.workers]
// CHECK: scf.forall
// CHECK: mapping = [#bpt.workers]
// CHECK: arith.divf {{.*}} : f64
func.func @loss(%x: memref<2x?x64xf32>, %w: memref<1000x64xf32>, %t: memref<2x?xi32>, %loss: memref<f32>, %lse: memref<2x?xf32>,
                %ws: memref<?xi8>) {
  bpt.linear_cross_entropy {weights_transposed} ins(%x, %w, %t : memref<2x?x64xf32>, memref<1000x64xf32>, memref<2x?xi32>)
    outs(%loss, %lse : memref<f32>, memref<2x?xf32>) workspace(%ws : memref<?xi8>)
  return
}

// -----

// Blocks of columns, then blocks of rows: dlogits of one block in the workspace, and two products with it.
// CHECK-LABEL: func.func @gradient(
// CHECK: func.func private @bpt_linear_cross_entropy_grad_0(
// CHECK: memref.view %{{.*}} to memref<?x512xf32>
// CHECK: scf.for {{.*}} step %c512
// CHECK: scf.for {{.*}} step %c256
// CHECK-COUNT-3: mapping = [#bpt.workers]
// CHECK-NOT: scf.forall
func.func @gradient(%d: memref<f32>, %x: memref<?x64xf32>, %w: memref<1000x64xf32>, %t: memref<?xi32>, %lse: memref<?xf32>,
                    %dx: memref<?x64xf32>, %dw: memref<1000x64xf32>, %ws: memref<?xi8>) {
  bpt.linear_cross_entropy_grad {weights_transposed, schedule = #bpt.schedule<{columns = 512, rows = 256}>}
    cotangent(%d : memref<f32>) ins(%x, %w, %t, %lse : memref<?x64xf32>, memref<1000x64xf32>, memref<?xi32>, memref<?xf32>)
    outs(%dx, %dw : memref<?x64xf32>, memref<1000x64xf32>) workspace(%ws : memref<?xi8>)
  return
}
