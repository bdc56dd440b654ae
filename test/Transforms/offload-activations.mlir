// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-offload-activations{least-bytes=16})' --split-input-file | FileCheck %s
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-offload-activations)' --split-input-file | FileCheck %s --check-prefix=SMALL

// The input of the first layer waits in host memory: copied out while the third layer runs, back while the one before its use does. The
// last two would be gone for no time at all.
// CHECK-LABEL: func.func @gradient
// CHECK: %[[X1:.*]] = call @layer
// CHECK-NEXT: %[[X2:.*]] = call @layer(%[[X1]])
// CHECK-NEXT: %[[HOST:.*]] = memref.alloc() {alignment = 64 : i64, bpt.host} : memref<4xf32>
// CHECK-NEXT: %[[OUT:.*]] = gpu.memcpy async %[[HOST]], %[[X1]] : memref<4xf32>, memref<4xf32>
// CHECK-NEXT: %[[X3:.*]] = call @layer(%[[X2]])
// CHECK-NEXT: gpu.wait [%[[OUT]]]
// CHECK-NEXT: %[[D3:.*]] = call @layer.vjp(%[[X3]], %[[X3]])
// CHECK-NEXT: %[[AGAIN:.*]] = memref.alloc() {alignment = 64 : i64} : memref<4xf32>
// CHECK-NEXT: %[[IN:.*]] = gpu.memcpy async %[[AGAIN]], %[[HOST]] : memref<4xf32>, memref<4xf32>
// CHECK-NEXT: %[[D2:.*]] = call @layer.vjp(%[[X2]], %[[D3]])
// CHECK-NEXT: gpu.wait [%[[IN]]]
// CHECK-NEXT: call @layer.vjp(%[[AGAIN]], %[[D2]])
// SMALL-LABEL: func.func @gradient
// SMALL-NOT: gpu.memcpy
// SMALL-LABEL: func.func @views
func.func private @layer(%x: memref<4xf32>) -> memref<4xf32> {
  %y = memref.alloc() : memref<4xf32>
  linalg.copy ins(%x : memref<4xf32>) outs(%y : memref<4xf32>)
  return %y : memref<4xf32>
}
func.func private @layer.vjp(%x: memref<4xf32>, %d: memref<4xf32>) -> memref<4xf32> {
  linalg.add ins(%x, %d : memref<4xf32>, memref<4xf32>) outs(%d : memref<4xf32>)
  return %d : memref<4xf32>
}
func.func @gradient(%x0: memref<4xf32>) -> memref<4xf32> {
  %x1 = call @layer(%x0) : (memref<4xf32>) -> memref<4xf32>
  %x2 = call @layer(%x1) : (memref<4xf32>) -> memref<4xf32>
  %x3 = call @layer(%x2) : (memref<4xf32>) -> memref<4xf32>
  %d3 = call @layer.vjp(%x3, %x3) : (memref<4xf32>, memref<4xf32>) -> memref<4xf32>
  %d2 = call @layer.vjp(%x2, %d3) : (memref<4xf32>, memref<4xf32>) -> memref<4xf32>
  %d1 = call @layer.vjp(%x1, %d2) : (memref<4xf32>, memref<4xf32>) -> memref<4xf32>
  return %d1 : memref<4xf32>
}

// -----

// By views, and with dynamic sizes; the view of what comes back is made anew.
// CHECK-LABEL: func.func @views
// CHECK: %[[X:.*]] = memref.alloc(%{{.*}}) : memref<?x4xf32>
// CHECK: memref.collapse_shape %[[X]]
// CHECK: %[[HOST:.*]] = memref.alloc(%{{.*}}) {alignment = 64 : i64, bpt.host} : memref<?x4xf32>
// CHECK: gpu.memcpy async %[[HOST]], %[[X]]
// CHECK: %[[AGAIN:.*]] = memref.alloc(%{{.*}}) {alignment = 64 : i64} : memref<?x4xf32>
// CHECK: %[[IN:.*]] = gpu.memcpy async
// CHECK: gpu.wait [%[[IN]]]
// CHECK-NEXT: %[[FLAT:.*]] = memref.collapse_shape %[[AGAIN]]
// CHECK-NEXT: call @use(%[[FLAT]])
func.func private @use(%x: memref<?xf32>) {
  return
}
func.func @views(%n: index, %other: memref<?xf32>) {
  %x = memref.alloc(%n) : memref<?x4xf32>
  %flat = memref.collapse_shape %x [[0, 1]] : memref<?x4xf32> into memref<?xf32>
  call @use(%flat) : (memref<?xf32>) -> ()
  call @use(%other) : (memref<?xf32>) -> ()
  call @use(%other) : (memref<?xf32>) -> ()
  call @use(%other) : (memref<?xf32>) -> ()
  call @use(%flat) : (memref<?xf32>) -> ()
  return
}

// -----

// Memory that has another name stays where it is: what a call hands back, what a loop carries, and two results that are one buffer.
// CHECK-LABEL: func.func @aliases
// CHECK-NOT: gpu.memcpy
func.func private @same(%x: memref<4xf32>) -> memref<4xf32> {
  return %x : memref<4xf32>
}
func.func private @twice() -> (memref<4xf32>, memref<4xf32>) {
  %x = memref.alloc() : memref<4xf32>
  return %x, %x : memref<4xf32>, memref<4xf32>
}
func.func private @use(%x: memref<4xf32>) {
  return
}
func.func @aliases(%n: index, %other: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %x = memref.alloc() : memref<4xf32>
  %y = call @same(%x) : (memref<4xf32>) -> memref<4xf32>
  %z = memref.alloc() : memref<4xf32>
  %carried = scf.for %i = %c0 to %n step %c1 iter_args(%w = %z) -> (memref<4xf32>) {
    scf.yield %w : memref<4xf32>
  }
  %a, %b = call @twice() : () -> (memref<4xf32>, memref<4xf32>)
  call @use(%a) : (memref<4xf32>) -> ()
  call @use(%other) : (memref<4xf32>) -> ()
  call @use(%other) : (memref<4xf32>) -> ()
  call @use(%other) : (memref<4xf32>) -> ()
  call @use(%a) : (memref<4xf32>) -> ()
  call @use(%x) : (memref<4xf32>) -> ()
  call @use(%y) : (memref<4xf32>) -> ()
  call @use(%z) : (memref<4xf32>) -> ()
  call @use(%carried) : (memref<4xf32>) -> ()
  return
}
