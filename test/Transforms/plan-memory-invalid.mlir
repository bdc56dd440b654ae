// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-plan-memory{budget=1000})' --split-input-file --verify-diagnostics

// expected-error @below {{expected an arena of at most 1000 bytes, but the plan needs 4096 (3096 too many); use a smaller block, batch or context}}
func.func @over_budget(%x: memref<1024xf32>) -> memref<1024xf32> {
  %y = memref.alloc() : memref<1024xf32>
  memref.copy %x, %y : memref<1024xf32> to memref<1024xf32>
  return %y : memref<1024xf32>
}

// -----

func.func @size_from_data(%x: memref<4xi64>) {
  %c0 = arith.constant 0 : index
  %n = memref.load %x[%c0] : memref<4xi64>
  %m = arith.index_cast %n : i64 to index
  // expected-error @below {{expected sizes computed from dims of the entry's arguments}}
  %y = memref.alloc(%m) : memref<?xf32>
  %zero = arith.constant 0.0 : f32
  linalg.fill ins(%zero : f32) outs(%y : memref<?xf32>)
  return
}

// -----

// expected-error @below {{expected no recursion, but got a call of `recursive` from itself}}
func.func @recursive(%x: memref<4xf32>) {
  func.call @recursive(%x) : (memref<4xf32>) -> ()
  return
}

// -----

// expected-error @below {{expected argument `arg0` to be a tensor of f32, f64, bf16, f16, i32 or i64, but got 'memref<4xi1>'}}
func.func @unknown_type(%x: memref<4xi1>) {
  return
}
