// RUN: bpt-opt %s --pass-pipeline="builtin.module(func.func(bpt-lower-matrix-tiles))" | FileCheck %s --implicit-check-not=amx.tile

// Loops carry LLVM's tiles; what else they carry stays as it is.
// CHECK-LABEL: func.func @sum(
// CHECK: %[[ZERO:.*]] = llvm.call_intrinsic "llvm.x86.tilezero.internal"
// CHECK: %[[SUM:.*]]:2 = scf.for {{.*}} iter_args(%[[BEFORE:.*]] = %[[ZERO]], %{{.*}} = %{{.*}}) -> (!llvm.x86_amx, index)
// CHECK: tileloadd64
// CHECK: tileloadd64
// CHECK: tdpbf16ps
// CHECK: scf.yield %{{.*}}, %{{.*}} : !llvm.x86_amx, index
// CHECK: tilestored64
func.func @sum(%a: memref<?x32xbf16>, %c: memref<16x16xf32>, %n: index) -> index {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %zero = amx.tile_zero : !amx.tile<16x16xf32>
  %sum, %count = scf.for %i = %c0 to %n step %c1 iter_args(%before = %zero, %j = %c0) -> (!amx.tile<16x16xf32>, index) {
    %x = amx.tile_load %a[%i, %c0] : memref<?x32xbf16> into !amx.tile<16x32xbf16>
    %y = amx.tile_load %a[%j, %c0] : memref<?x32xbf16> into !amx.tile<16x32xbf16>
    %next = amx.tile_mulf %x, %y, %before : !amx.tile<16x32xbf16>, !amx.tile<16x32xbf16>, !amx.tile<16x16xf32>
    %k = arith.addi %j, %c1 : index
    scf.yield %next, %k : !amx.tile<16x16xf32>, index
  }
  amx.tile_store %c[%c0, %c0], %sum : memref<16x16xf32>, !amx.tile<16x16xf32>
  return %count : index
}
