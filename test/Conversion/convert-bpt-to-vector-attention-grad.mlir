// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --canonicalize --split-input-file | FileCheck %s

// Three phases, no atomics: delta into the workspace, the gradients by blocks of keys, and the sum of what the work items that
// share a head's keys have of dquery. Five products: scores, dout . value, then dvalue, dkey and dquery.
// CHECK-LABEL: func private @attention_grad_0
// CHECK: memref.view %{{.*}} : memref<?xi8> to memref<?xf32>
// CHECK: scf.forall
// CHECK: scf.forall
// CHECK: memref.view %{{.*}} : memref<?xi8> to memref<{{.*}}x64xf32>
// CHECK-COUNT-96: vector.fma
// CHECK-COUNT-96: vector.fma
// CHECK-COUNT-96: vector.fma
// CHECK-COUNT-96: vector.fma
// CHECK-COUNT-96: vector.fma
// CHECK: scf.forall
// CHECK-NOT: scf.forall
// CHECK-LABEL: func private @bpt_pack_panel_transposed
func.func @gradient(%q: memref<1x512x2x64xf32>, %l: memref<1x2x512xf32>, %w: memref<4096xi8>) {
  bpt.attention_grad {mask = #bpt.causal, scale = 0.125 : f64} cotangent(%q : memref<1x512x2x64xf32>)
    ins(%q, %q, %q, %q, %l : memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x512x2x64xf32>,
        memref<1x2x512xf32>)
    outs(%q, %q, %q : memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x512x2x64xf32>) workspace(%w : memref<4096xi8>)
  return
}

// -----

// A bias gets a phase of its own. That of one row for all queries is summed over the lanes at the end.
// CHECK-LABEL: func private @attention_grad_0
// CHECK-COUNT-4: scf.forall
// CHECK: memref.subview %{{.*}} : memref<1x?x1x?xf32>
// CHECK: vector.extract_strided_slice %{{.*}} : vector<16xf32> to vector<8xf32>
func.func @bias(%q: memref<1x512x2x64xf32>, %b: memref<1x2x1x512xf32>, %l: memref<1x2x512xf32>, %w: memref<4096xi8>) {
  bpt.attention_grad {scale = 0.125 : f64} cotangent(%q : memref<1x512x2x64xf32>)
    ins(%q, %q, %q, %q, %l : memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x512x2x64xf32>,
        memref<1x2x512xf32>) bias(%b : memref<1x2x1x512xf32>)
    outs(%q, %q, %q, %b : memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x512x2x64xf32>, memref<1x2x1x512xf32>)
    workspace(%w : memref<4096xi8>)
  return
}
