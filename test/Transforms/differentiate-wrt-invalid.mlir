// Names in wrt that no floating-point argument has.
// RUN: not bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=f wrt=wight})' 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: not bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=f wrt=ids})' 2>&1 | FileCheck %s --check-prefix=INTEGER

// UNKNOWN: error: expected the name of an argument in wrt, but got 'wight' (did you mean 'weight'?)
// INTEGER: error: expected a floating-point argument in wrt, but got 'ids' of type 'tensor<4xi32>'
func.func @f(%w: tensor<f32> {bpt.name = "weight"}, %i: tensor<4xi32> {bpt.name = "ids"}) -> tensor<f32> {
  return %w : tensor<f32>
}
