// One layer of Llama: grouped heads, rotary, SwiGLU; weights [out, in].
// RUN: bpt-gen llama --layers=1 --heads=4 --kv-heads=2 --embed=16 --hidden=24 --vocab=32 --context=4 --batch=3 --rope-theta=500000 --norm-eps=1e-5 > %t
// RUN: FileCheck %s < %t
// RUN: bpt-opt %t --canonicalize --cse -o /dev/null
// RUN: bpt-gen llama --layers=1 --heads=4 --embed=104 | FileCheck %s --check-prefix=DEFAULTS

// CHECK: func.func @loss(
// CHECK-SAME: tensor<32x16xf32> {bpt.decay = true, bpt.init = #bpt.normal<2.000000e-02>, bpt.name = "model.embed_tokens.weight"}
// CHECK-SAME: tensor<16x16xf32> {{{.*}}bpt.name = "model.layers.0.self_attn.q_proj.weight"}
// CHECK-SAME: tensor<8x16xf32> {{{.*}}bpt.name = "model.layers.0.self_attn.k_proj.weight"}
// CHECK-SAME: tensor<8x16xf32> {{{.*}}bpt.name = "model.layers.0.self_attn.v_proj.weight"}
// CHECK-SAME: tensor<16x16xf32> {{{.*}}bpt.name = "model.layers.0.self_attn.o_proj.weight"}
// CHECK-SAME: tensor<24x16xf32> {{{.*}}bpt.name = "model.layers.0.mlp.gate_proj.weight"}
// CHECK-SAME: tensor<24x16xf32> {{{.*}}bpt.name = "model.layers.0.mlp.up_proj.weight"}
// CHECK-SAME: tensor<16x24xf32> {{{.*}}bpt.name = "model.layers.0.mlp.down_proj.weight"}
// CHECK-SAME: tensor<16xf32> {bpt.decay = false, bpt.init = #bpt.ones, bpt.name = "model.layers.0.input_layernorm.weight"}
// CHECK-SAME: bpt.name = "model.layers.0.post_attention_layernorm.weight"
// CHECK-SAME: bpt.name = "model.norm.weight"
// CHECK-SAME: tensor<32x16xf32> {{{.*}}bpt.name = "lm_head.weight"}
// CHECK: bpt.rms_norm {eps = 1.000000e-05 : f64} ins(%embed_tokens
// CHECK: linalg.contract {{.*}} ins(%layers.0.input_layernorm, %layers.0.self_attn.q_proj.weight
// CHECK: bpt.rotary {theta = 5.000000e+05 : f64} ins(%layers.0.self_attn.q : tensor<3x4x4x4xf32>)
// CHECK: bpt.rotary {theta = 5.000000e+05 : f64} ins(%layers.0.self_attn.k : tensor<3x4x2x4xf32>)
// CHECK: bpt.attention {mask = #bpt.causal, scale = 5.000000e-01 : f64}
// CHECK: linalg.contract {{.*}} ins(%layers.0.self_attn.merged, %layers.0.self_attn.o_proj.weight
// CHECK: bpt.feed_forward {activation = #bpt.activation<silu>, weights_transposed} {{.*}} up(%layers.0.mlp.up_proj.weight : tensor<24x16xf32>) gate(%layers.0.mlp.gate_proj.weight : tensor<24x16xf32>) down(%layers.0.mlp.down_proj.weight
// CHECK: bpt.linear_cross_entropy {weights_transposed} ins(%norm, %lm_head.weight, %targets

// As many key/value heads as heads; 8/3 of 104, rounded up to a multiple of 256.
// DEFAULTS: %layers.0.self_attn.k_proj.weight: tensor<104x104xf32>
// DEFAULTS-SAME: %layers.0.mlp.gate_proj.weight: tensor<512x104xf32>
