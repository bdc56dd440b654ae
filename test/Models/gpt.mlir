// One layer of GPT-2: parameters of Hugging Face's state dict, and the graph around them.
// RUN: bpt-gen gpt --layers=1 --heads=2 --embed=8 --hidden=20 --vocab=16 --context=4 --batch=3 > %t
// RUN: FileCheck %s < %t
// RUN: bpt-opt %t --canonicalize --cse -o /dev/null

// CHECK: func.func @loss(
// CHECK-SAME: tensor<16x8xf32> {bpt.decay = true, bpt.init = #bpt.normal<2.000000e-02>, bpt.name = "transformer.wte.weight"}
// CHECK-SAME: tensor<4x8xf32> {bpt.decay = true, bpt.init = #bpt.normal<2.000000e-02>, bpt.name = "transformer.wpe.weight"}
// CHECK-SAME: tensor<8xf32> {bpt.decay = false, bpt.init = #bpt.ones, bpt.name = "transformer.h.0.ln_1.weight"}
// CHECK-SAME: tensor<8xf32> {bpt.decay = false, bpt.init = #bpt.zeros, bpt.name = "transformer.h.0.ln_1.bias"}
// CHECK-SAME: tensor<8x24xf32> {bpt.decay = true, bpt.init = #bpt.normal<2.000000e-02>, bpt.name = "transformer.h.0.attn.c_attn.weight"}
// CHECK-SAME: tensor<24xf32> {bpt.decay = false, bpt.init = #bpt.zeros, bpt.name = "transformer.h.0.attn.c_attn.bias"}
// Residual projections: 0.02 / sqrt(2 layers).
// CHECK-SAME: tensor<8x8xf32> {bpt.decay = true, bpt.init = #bpt.normal<0.014142135623730949>, bpt.name = "transformer.h.0.attn.c_proj.weight"}
// CHECK-SAME: tensor<8xf32> {{{.*}}bpt.name = "transformer.h.0.attn.c_proj.bias"}
// CHECK-SAME: bpt.name = "transformer.h.0.ln_2.weight"
// CHECK-SAME: bpt.name = "transformer.h.0.ln_2.bias"
// CHECK-SAME: tensor<8x20xf32> {{{.*}}bpt.name = "transformer.h.0.mlp.c_fc.weight"}
// CHECK-SAME: tensor<20xf32> {{{.*}}bpt.name = "transformer.h.0.mlp.c_fc.bias"}
// CHECK-SAME: tensor<20x8xf32> {bpt.decay = true, bpt.init = #bpt.normal<0.014142135623730949>, bpt.name = "transformer.h.0.mlp.c_proj.weight"}
// CHECK-SAME: bpt.name = "transformer.h.0.mlp.c_proj.bias"
// CHECK-SAME: bpt.name = "transformer.ln_f.weight"
// CHECK-SAME: bpt.name = "transformer.ln_f.bias"
// CHECK-SAME: %tokens: tensor<3x4xi32> {bpt.name = "tokens", bpt.range = 16 : i64}
// CHECK-SAME: %targets: tensor<3x4xi32> {bpt.name = "targets", bpt.range = 16 : i64}
// CHECK-SAME: ) -> (tensor<f32> {bpt.name = "loss"})
// CHECK: %wte = bpt.embedding ins(%tokens, %wte.weight
// CHECK: %wpe = linalg.generic {{.*}} ins(%wte, %wpe.weight : tensor<3x4x8xf32>, tensor<4x8xf32>)
// CHECK: %h.0.ln_1 = bpt.layer_norm {eps = 1.000000e-05 : f64} ins(%wpe
// CHECK: %h.0.attn.c_attn.product = linalg.contract {{.*}} ins(%h.0.ln_1, %h.0.attn.c_attn.weight
// CHECK: %h.0.attn.c_attn = linalg.generic {{.*}} ins(%h.0.attn.c_attn.product, %h.0.attn.c_attn.bias
// CHECK: tensor.extract_slice %h.0.attn.c_attn[0, 0, 0] [3, 4, 8]
// CHECK: %h.0.attn.q = tensor.expand_shape
// CHECK: tensor.extract_slice %h.0.attn.c_attn[0, 0, 8] [3, 4, 8]
// CHECK: tensor.extract_slice %h.0.attn.c_attn[0, 0, 16] [3, 4, 8]
// CHECK: %h.0.attn:2 = bpt.attention {mask = #bpt.causal, scale = 5.000000e-01 : f64} ins(%h.0.attn.q, %h.0.attn.k, %h.0.attn.v
// CHECK: %h.0.attn.merged = tensor.collapse_shape %h.0.attn#0
// CHECK: linalg.contract {{.*}} ins(%h.0.attn.merged, %h.0.attn.c_proj.weight
// CHECK: %h.0.attn.residual = linalg.generic {{.*}} ins(%wpe, %h.0.attn.c_proj
// CHECK: %h.0.ln_2 = bpt.layer_norm
// CHECK: %h.0.mlp = bpt.feed_forward ins(%h.0.ln_2 : {{.*}}) up(%h.0.mlp.c_fc.weight : {{.*}} bias %h.0.mlp.c_fc.bias : {{.*}}) down(%h.0.mlp.c_proj.weight
// CHECK: %h.0.mlp.residual = linalg.generic {{.*}} ins(%h.0.attn.residual, %h.0.mlp
// CHECK: %ln_f = bpt.layer_norm
// The tied embedding.
// CHECK: %loss:2 = bpt.linear_cross_entropy {weights_transposed} ins(%ln_f, %wte.weight, %targets
// CHECK: return %loss#0 : tensor<f32>
