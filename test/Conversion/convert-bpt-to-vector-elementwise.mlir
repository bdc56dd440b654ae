// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v4 --canonicalize --split-input-file | FileCheck %s --implicit-check-not=memref.alloc --implicit-check-not=linalg. --implicit-check-not=math.exp

// Whole memrefs of one shape are one long row; elementary functions are polynomials; narrow floats go through integers.
// CHECK-LABEL: func.func @flat(
// CHECK: memref.collapse_shape
// CHECK: func.func private @bpt_elementwise_0(%[[X:.*]]: memref<?xbf16>, %[[Y:.*]]: memref<?xbf16>)
// CHECK: vector.load {{.*}} : memref<?xi16>, vector<16xi16>
// CHECK: vector.fma
// CHECK: vector.store
// CHECK: vector.maskedload
// CHECK: vector.maskedstore
func.func @flat(%x: memref<2x?x48xbf16>, %y: memref<2x?x48xbf16>) {
  linalg.generic {indexing_maps = [affine_map<(b, s, e) -> (b, s, e)>, affine_map<(b, s, e) -> (b, s, e)>],
                  iterator_types = ["parallel", "parallel", "parallel"]}
    ins(%x : memref<2x?x48xbf16>) outs(%y : memref<2x?x48xbf16>) {
  ^bb0(%a: bf16, %b: bf16):
    %c = math.exp %a : bf16
    linalg.yield %c : bf16
  }
  return
}

// -----

// Sums over rows advance four vectors together, each in the order of the rows.
// CHECK-LABEL: func.func @bias_gradient(
// CHECK: func.func private @bpt_elementwise_0(
// CHECK: scf.forall
// CHECK: %{{.*}}:4 = scf.for {{.*}} iter_args(
// CHECK-COUNT-4: arith.addf {{.*}} : vector<16xf32>
// CHECK: scf.yield
func.func @bias_gradient(%dy: memref<?x768xf32>, %db: memref<768xf32>) {
  linalg.generic {indexing_maps = [affine_map<(n, r) -> (r, n)>, affine_map<(n, r) -> (n)>],
                  iterator_types = ["parallel", "reduction"]}
    ins(%dy : memref<?x768xf32>) outs(%db : memref<768xf32>) {
  ^bb0(%a: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  }
  return
}

// -----

// Sums along a row: lanes, then halves of the vector in a fixed order, then what was there.
// CHECK-LABEL: func.func @row_sums(
// CHECK: func.func private @bpt_elementwise_0(
// CHECK: iter_args(%{{.*}} = %{{.*}}) -> (vector<16xf32>)
// CHECK: vector.extract_strided_slice {{.*}} sizes = [8]
// CHECK: vector.extract_strided_slice {{.*}} sizes = [1]
// CHECK: memref.store
func.func @row_sums(%x: memref<?x?xf32>, %y: memref<?xf32>) {
  linalg.generic {indexing_maps = [affine_map<(m, n) -> (m, n)>, affine_map<(m, n) -> (m)>],
                  iterator_types = ["parallel", "reduction"]}
    ins(%x : memref<?x?xf32>) outs(%y : memref<?xf32>) {
  ^bb0(%a: f32, %s: f32):
    %t = arith.addf %s, %a : f32
    linalg.yield %t : f32
  }
  return
}

// -----

// Copies and fills are kernels like the others; a constant is part of the signature's body, a runtime scalar an argument.
// CHECK-LABEL: func.func @copy_and_fill(
// CHECK: call @bpt_elementwise_0(
// CHECK: call @bpt_elementwise_1(%{{.*}}, %{{.*}}) : (f32, memref<?xf32>) -> ()
func.func @copy_and_fill(%x: memref<8x16xf32, strided<[32, 1]>>, %y: memref<8x16xf32>, %v: f32) {
  memref.copy %x, %y : memref<8x16xf32, strided<[32, 1]>> to memref<8x16xf32>
  linalg.fill ins(%v : f32) outs(%y : memref<8x16xf32>)
  return
}
