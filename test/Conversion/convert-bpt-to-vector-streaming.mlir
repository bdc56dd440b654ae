// What is larger than caches is written past them, where rows are whole vectors at aligned addresses; asked when it runs.
// RUN: bpt-opt %s --convert-bpt-to-vector=cpu=x86-64-v3 | FileCheck %s

// CHECK-LABEL: func private @rms_norm_0
// CHECK-SAME: memref<{{.*}}x2048xf32
// CHECK: %[[ADDRESS:.*]] = memref.extract_aligned_pointer_as_index
// CHECK: arith.remui {{.*}} %c32
// CHECK: %[[SMALL:.*]] = arith.cmpi slt, {{.*}}, %c25165824
// CHECK: %[[REST:.*]] = arith.select %[[SMALL]], %c1
// CHECK: %[[STREAMS:.*]] = arith.cmpi eq, %[[REST]], %c0
// CHECK: scf.if %[[STREAMS]]
// CHECK: vector.store {{.*}} {alignment = 32 : i64, nontemporal = true}
// CHECK: } else {
// CHECK: vector.store
// CHECK-NOT: nontemporal
// CHECK: return
func.func @whole_vectors(%x: memref<4096x2048xf32>, %y: memref<4096x2048xf32>) {
  bpt.rms_norm {eps = 1.0e-5 : f64} ins(%x : memref<4096x2048xf32>) outs(%y : memref<4096x2048xf32>)
  return
}

// Rows of 2047 do not begin at whole vectors.
// CHECK-LABEL: func private @rms_norm_1
// CHECK-NOT: nontemporal
// CHECK: return
func.func @odd(%x: memref<4096x2047xf32>, %y: memref<4096x2047xf32>) {
  bpt.rms_norm {eps = 1.0e-5 : f64} ins(%x : memref<4096x2047xf32>) outs(%y : memref<4096x2047xf32>)
  return
}

// The row of the next token is fetched.
// CHECK-LABEL: func private @embedding_0
// CHECK: memref.prefetch %arg1[{{.*}}], read, locality<2>, data
// CHECK: vector.store {{.*}} {alignment = 16 : i64, nontemporal = true} : {{.*}}, vector<8xi16>
// CHECK: return
func.func @halves(%ids: memref<4x4096xi32>, %table: memref<64x2048xbf16>, %y: memref<4x4096x2048xbf16>) {
  bpt.embedding ins(%ids, %table : memref<4x4096xi32>, memref<64x2048xbf16>) outs(%y : memref<4x4096x2048xbf16>)
  return
}
