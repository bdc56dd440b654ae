// What bpt-differentiate refuses: never a wrong or partial gradient.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=f})' --verify-diagnostics --split-input-file

// expected-error@below {{expected the name of a function, but got 'f' (did you mean 'g'?)}}
module {
  func.func @g(%x: f32) -> f32 { return %x : f32 }
}

// -----

// expected-error@+1 {{expected a function of one block to differentiate, but got a declaration}}
func.func private @f(%x: f32) -> f32

// -----

// expected-error@+1 {{expected no function @f.grad yet; remove it or rename it}}
func.func @f(%x: f32) -> f32 { return %x : f32 }
// expected-note@+1 {{it is here}}
func.func @f.grad(%x: f32) -> f32 { return %x : f32 }

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{expected an op with a gradient, but got 'tensor.generate'; implement DifferentiableOpInterface for it}}
  %y = tensor.generate {
  ^bb0(%i: index):
    %v = tensor.extract %x[%i] : tensor<4xf32>
    tensor.yield %v : f32
  } : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  // expected-error@+1 {{expected an op with a gradient, but got 'scf.for'}}
  %y = scf.for %i = %c0 to %c1 step %c1 iter_args(%a = %x) -> tensor<4xf32> {
    %b = math.exp %a : tensor<4xf32>
    scf.yield %b : tensor<4xf32>
  }
  return %y : tensor<4xf32>
}

// -----

// The bits of a float carry its derivative.
func.func @f(%x: f32) -> f32 {
  %a = arith.bitcast %x : f32 to i32
  // expected-error@+1 {{expected an op with a gradient, but got 'arith.bitcast'}}
  %b = arith.bitcast %a : i32 to f32
  return %b : f32
}

// -----

func.func @f(%x: f32) -> f32 {
  %m = memref.alloc() : memref<f32>
  // expected-error@+1 {{expected tensors on the path of a gradient, but got 'memref.store' on memrefs}}
  memref.store %x, %m[] : memref<f32>
  %b = memref.load %m[] : memref<f32>
  return %b : f32
}

// -----

// No second derivatives.
func.func @f(%x: tensor<2x4xf32>, %dy: tensor<2x4xf32>, %o: tensor<2x4xf32>) -> tensor<2x4xf32> {
  // expected-error@+1 {{expected an op with a gradient, but got 'bpt.rms_norm_grad'}}
  %dx = bpt.rms_norm_grad {eps = 1.0e-6 : f64} cotangent(%dy : tensor<2x4xf32>) ins(%x : tensor<2x4xf32>)
    outs(%o : tensor<2x4xf32>) -> tensor<2x4xf32>
  return %dx : tensor<2x4xf32>
}

// -----

func.func @f(%x: tensor<4xf32>, %i: tensor<f32>) -> tensor<f32> {
  // expected-error@+1 {{expected each element of result 0 to be computed once, or to be a sum, maximum or minimum over loops}}
  %y = linalg.reduce { arith.mulf } ins(%x : tensor<4xf32>) outs(%i : tensor<f32>) dimensions = [0]
  return %y : tensor<f32>
}

// -----

func.func @f(%x: tensor<4xf32>, %z: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{expected an op with a gradient, but got 'arith.remf' in the body of 'linalg.generic'}}
  %y = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>], iterator_types = ["parallel"]}
      ins(%x : tensor<4xf32>) outs(%z : tensor<4xf32>) {
  ^bb0(%a: f32, %o: f32):
    %r = arith.remf %a, %a : f32
    linalg.yield %r : f32
  } -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<3x4xf32>, %w: tensor<4x5xf32>, %t: tensor<3xi32>, %o: tensor<f32>, %l: tensor<3xf32>) -> tensor<3xf32> {
  // expected-error@+1 {{expected no gradient through lse, but it is on the path of one; use the loss}}
  %r:2 = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<3x4xf32>, tensor<4x5xf32>, tensor<3xi32>)
    outs(%o, %l : tensor<f32>, tensor<3xf32>) -> tensor<f32>, tensor<3xf32>
  return %r#1 : tensor<3xf32>
}

// -----

func.func private @g(%x: f32) -> f32 {
  // expected-error@+1 {{expected callees without recursion to have a gradient, but @g calls itself}}
  %y = func.call @g(%x) : (f32) -> f32
  return %y : f32
}
func.func @f(%x: f32) -> f32 {
  %y = func.call @g(%x) : (f32) -> f32
  return %y : f32
}

// -----

func.func private @g(%x: f32) -> f32
func.func @f(%x: f32) -> f32 {
  // expected-error@+1 {{expected a callee with a body to have a gradient, but got the declaration @g}}
  %y = func.call @g(%x) : (f32) -> f32
  return %y : f32
}

// -----

func.func @f(%x: tensor<4x3xf32>, %a: tensor<3xf32>) -> tensor<3xf32> {
  // expected-error@+1 {{expected accumulated value 0 to be only added to, to have a gradient}}
  %r = bpt.blockwise sliced(%x : tensor<4x3xf32>) accumulated(%a : tensor<3xf32>) dims = [0] block = 2 {
  ^bb0(%o: index, %xb: tensor<2x3xf32>, %acc: tensor<3xf32>):
    %q = arith.mulf %acc, %acc : tensor<3xf32>
    bpt.yield %q : tensor<3xf32>
  } -> tensor<3xf32>
  return %r : tensor<3xf32>
}
