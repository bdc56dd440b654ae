// Rotary positions, an untied head, no biases, dropout with the seed as last argument, bf16 with an f32 loss.
// RUN: bpt-gen gpt --layers=2 --heads=2 --embed=8 --vocab=16 --context=4 --batch=3 --position=rotary --tied=false --bias=false --dropout=0.25 --dtype=bf16 > %t
// RUN: FileCheck %s < %t
// RUN: FileCheck %s --check-prefix=ABSENT < %t
// RUN: bpt-opt %t -o /dev/null
// RUN: bpt-gen gpt --layers=1 --embed=8 --heads=2 --dtype=f64 | FileCheck %s --check-prefix=F64

// CHECK: %lm_head.weight: tensor<16x8xbf16> {bpt.decay = true, bpt.init = #bpt.normal<2.000000e-02>, bpt.name = "lm_head.weight"}, %tokens: tensor<3x4xi32>
// CHECK-SAME: %seed: tensor<i64> {bpt.name = "seed"}) -> (tensor<f32> {bpt.name = "loss"})
// No two ops drop with the same stream.
// CHECK: %drop = bpt.dropout {probability = 2.500000e-01 : f64} ins(%wte
// CHECK: %h.0.attn.q.rotary = bpt.rotary {theta = 1.000000e+04 : f64} ins(%h.0.attn.q
// CHECK: %h.0.attn.k.rotary = bpt.rotary {theta = 1.000000e+04 : f64} ins(%h.0.attn.k
// CHECK: bpt.attention {dropout = 2.500000e-01 : f64, mask = #bpt.causal, scale = 5.000000e-01 : f64, stream = 1 : i64} ins(%h.0.attn.q.rotary, %h.0.attn.k.rotary, %h.0.attn.v
// CHECK-SAME: seed(%seed : tensor<i64>)
// CHECK: bpt.dropout {probability = 2.500000e-01 : f64, stream = 2 : i64} ins(%h.0.attn.c_proj
// CHECK: bpt.dropout {probability = 2.500000e-01 : f64, stream = 3 : i64} ins(%h.0.mlp
// CHECK: bpt.attention {{.*}}stream = 4 : i64
// CHECK: bpt.dropout {{.*}}stream = 5 : i64
// CHECK: bpt.dropout {{.*}}stream = 6 : i64
// CHECK: bpt.linear_cross_entropy {weights_transposed} ins(%ln_f, %lm_head.weight, %targets : tensor<3x4x8xbf16>, tensor<16x8xbf16>, tensor<3x4xi32>) outs(%{{.*}}, %{{.*}} : tensor<f32>, tensor<3x4xf32>)

// ABSENT-NOT: wpe
// ABSENT-NOT: bias

// F64: -> (tensor<f64> {bpt.name = "loss"})
// F64: bpt.linear_cross_entropy {{.*}} -> tensor<f64>, tensor<8x128xf64>
