// RUN: bpt-opt %s --bpt-lower-copies | FileCheck %s

// CHECK-LABEL: func.func @strided(
// CHECK: linalg.copy
// CHECK-NOT: memref.copy
func.func @strided(%x: memref<4x4xf32, strided<[8, 1]>>, %y: memref<4x4xf32>) {
  memref.copy %x, %y : memref<4x4xf32, strided<[8, 1]>> to memref<4x4xf32>
  return
}
