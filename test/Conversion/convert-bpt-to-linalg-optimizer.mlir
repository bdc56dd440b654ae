// AdamW and the global norm.
// RUN: bpt-opt %s --convert-bpt-to-linalg --canonicalize --split-input-file | FileCheck %s

// One loop updates param, m and v in place; 1 - beta^step is computed in f64.
// CHECK-LABEL: func @adamw
// CHECK-SAME: %[[P:[a-z0-9]+]]: tensor<64xf32>, %[[M:[a-z0-9]+]]: tensor<64xf32>, %[[V:[a-z0-9]+]]: tensor<64xf32>)
// CHECK-COUNT-2: math.powf {{.*}} : f64
// CHECK: linalg.generic {{.*}} iterator_types = ["parallel"]} {{.*}} outs(%[[P]], %[[M]], %[[V]] :
func.func @adamw(%g: tensor<64xbf16>, %step: tensor<i64>, %lr: tensor<f32>, %p: tensor<64xf32>, %m: tensor<64xf32>, %v: tensor<64xf32>)
    -> (tensor<64xf32>, tensor<64xf32>, tensor<64xf32>) {
  %p1, %m1, %v1 = bpt.adamw {beta1 = 0.9 : f64, beta2 = 0.95 : f64, eps = 1.0e-8 : f64, weight_decay = 0.1 : f64}
    ins(%g, %step, %lr : tensor<64xbf16>, tensor<i64>, tensor<f32>) outs(%p, %m, %v : tensor<64xf32>, tensor<64xf32>, tensor<64xf32>)
    -> tensor<64xf32>, tensor<64xf32>, tensor<64xf32>
  return %p1, %m1, %v1 : tensor<64xf32>, tensor<64xf32>, tensor<64xf32>
}

// -----

// CHECK-LABEL: func @global_norm
// CHECK: %[[FIRST:.*]] = linalg.generic {{.*}} iterator_types = ["reduction", "reduction"]
// CHECK: %[[SECOND:.*]] = linalg.generic {{.*}} iterator_types = ["reduction"]} {{.*}} outs(%[[FIRST]] : tensor<f32>)
// CHECK: linalg.generic {{.*}} outs(%[[SECOND]] : tensor<f32>)
// CHECK: math.sqrt
func.func @global_norm(%a: tensor<4x?xf32>, %b: tensor<7xf32>, %o: tensor<f32>) -> tensor<f32> {
  %n = bpt.global_norm ins(%a, %b : tensor<4x?xf32>, tensor<7xf32>) outs(%o : tensor<f32>) -> tensor<f32>
  return %n : tensor<f32>
}
