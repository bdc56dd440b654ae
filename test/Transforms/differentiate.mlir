// bpt-differentiate: arguments, results and names of the gradient function.
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=loss})' | FileCheck %s --check-prefix=LOSS
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=vector wrt=b,a})' | FileCheck %s --check-prefix=VECTOR
// RUN: bpt-opt %s --pass-pipeline='builtin.module(bpt-differentiate{function=several})' | FileCheck %s --check-prefix=SEVERAL

// One floating-point scalar: its cotangent is 1. Integers have no gradient, an unused argument's is zero. @loss stays.
// LOSS-LABEL: func.func @loss(
// LOSS-LABEL: func.func @loss.grad(
// LOSS-SAME: %{{.*}}: tensor<4xf32> {bpt.decay = true, bpt.init = #bpt.ones, bpt.name = "w"}, %{{.*}}: tensor<4xi32>, %{{.*}}: tensor<2xf32>)
// LOSS-SAME: -> (tensor<f32> {bpt.name = "loss"}, tensor<4xf32> {bpt.name = "w.grad"}, tensor<2xf32> {bpt.name = "arg2.grad"})
// LOSS: %[[ZERO:.*]] = linalg.fill {{.*}} -> tensor<2xf32>
// LOSS: return %{{.*}}, %{{.*}}, %[[ZERO]]
func.func @loss(%w: tensor<4xf32> {bpt.name = "w", bpt.init = #bpt.ones, bpt.decay = true}, %ids: tensor<4xi32>,
                %unused: tensor<2xf32>) -> (tensor<f32> {bpt.name = "loss"}) {
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<f32>
  %z = linalg.fill ins(%zero : f32) outs(%e : tensor<f32>) -> tensor<f32>
  %y = linalg.reduce { arith.addf } ins(%w : tensor<4xf32>) outs(%z : tensor<f32>) dimensions = [0]
  return %y : tensor<f32>
}

// wrt: in the order of the arguments.
// VECTOR-LABEL: func.func @vector.grad(
// VECTOR-SAME: %[[D:[^ ]*]]: tensor<4xf32> {bpt.name = "y.cotangent"})
// VECTOR-SAME: -> (tensor<4xf32> {bpt.name = "y"}, tensor<4xf32> {bpt.name = "a.grad"}, tensor<4xf32> {bpt.name = "b.grad"})
func.func @vector(%a: tensor<4xf32> {bpt.name = "a"}, %b: tensor<4xf32> {bpt.name = "b"}, %c: tensor<4xf32>)
    -> (tensor<4xf32> {bpt.name = "y"}) {
  %0 = arith.mulf %a, %b : tensor<4xf32>
  %1 = arith.addf %0, %c : tensor<4xf32>
  return %1 : tensor<4xf32>
}

// SEVERAL-LABEL: func.func @several.grad(
// SEVERAL-SAME: %[[X:[^ ]*]]: f64, %[[DX:[^ ]*]]: f64 {bpt.name = "result0.cotangent"}, %[[DY:[^ ]*]]: f64 {bpt.name = "result2.cotangent"})
// SEVERAL: %[[SUM:.*]] = arith.addf
// SEVERAL: return %{{.*}}, %{{.*}}, %{{.*}}, %[[SUM]]
func.func @several(%x: f64) -> (f64, index, f64) {
  %i = arith.constant 3 : index
  %y = math.exp %x : f64
  return %x, %i, %y : f64, index, f64
}
