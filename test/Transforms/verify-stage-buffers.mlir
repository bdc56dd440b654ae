// RUN: bpt-opt %s --bpt-verify-stage=stage=buffers --split-input-file --verify-diagnostics

func.func @good(%x: memref<4x8xf32>, %y: memref<2x8xf32>) {
  %stack = memref.alloca() : memref<16xf32>
  %part = memref.subview %x[0, 0] [2, 8] [1, 1] : memref<4x8xf32> to memref<2x8xf32, strided<[8, 1]>>
  memref.copy %part, %y : memref<2x8xf32, strided<[8, 1]>> to memref<2x8xf32>
  return
}

// -----

func.func @allocation() {
  // expected-error @+1 {{expected every buffer to be in the arena at stage 'buffers', but got one outside of it; run bpt-plan-memory}}
  %a = memref.alloc() : memref<4x8xf32>
  return
}

// -----

func.func @stack() {
  // expected-error @+1 {{expected at most 4096 bytes on the stack at stage 'buffers'}}
  %a = memref.alloca() : memref<1025xf32>
  return
}

// -----

func.func @silent_copy(%x: memref<4x8xf32>, %y: memref<4x8xf32>) {
  // expected-error @+1 {{expected updates in place at stage 'buffers', but got a copy of a whole buffer that bufferization inserted}}
  memref.copy %x, %y : memref<4x8xf32> to memref<4x8xf32>
  return
}
