// Text, generic form and bytecode give the same attention ops back.
// RUN: bpt-opt %s | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --mlir-print-op-generic | bpt-opt | FileCheck %s
// RUN: bpt-opt %s --emit-bytecode | bpt-opt | FileCheck %s

// The example of the op's page.
// CHECK-LABEL: func @attention
func.func @attention(%q: tensor<2x128x4x64xf32>, %k: tensor<2x128x4x64xf32>, %v: tensor<2x128x4x64xf32>,
                     %o: tensor<2x128x4x64xf32>, %l: tensor<2x4x128xf32>) -> tensor<2x4x128xf32> {
  // CHECK: bpt.attention {mask = #bpt.causal, scale = 1.250000e-01 : f64} ins(%{{.*}}, %{{.*}}, %{{.*}} : tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>) outs(%{{.*}}, %{{.*}} : tensor<2x128x4x64xf32>, tensor<2x4x128xf32>) -> tensor<2x128x4x64xf32>, tensor<2x4x128xf32>
  %a, %lse = bpt.attention {mask = #bpt.causal, scale = 0.125 : f64}
    ins(%q, %k, %v : tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>)
    outs(%o, %l : tensor<2x128x4x64xf32>, tensor<2x4x128xf32>) -> tensor<2x128x4x64xf32>, tensor<2x4x128xf32>
  return %lse : tensor<2x4x128xf32>
}

// Every optional operand and attribute; grouped heads, dynamic batch and lengths, statistics of bf16 in f32.
// CHECK-LABEL: func @attention_everything
func.func @attention_everything(%q: tensor<?x?x8x64xbf16>, %k: tensor<?x?x2x64xbf16>, %bias: tensor<1x8x?x1xbf16>,
    %qs: tensor<?x?xi32>, %ks: tensor<?x?xi32>, %offset: index, %seed: tensor<i64>, %l: tensor<?x8x?xf32>,
    %p: tensor<?x8x?x?xbf16>, %w: tensor<4096xi8>) -> tensor<?x8x?x?xbf16> {
  // CHECK: bpt.attention {dropout = 1.000000e-01 : f64, mask = #bpt.intersection<#bpt.causal, #bpt.sliding_window<512>>, scale = 1.250000e-01 : f64, schedule = #bpt.schedule<{q_block = 192 : i64}>, softcap = 5.000000e+01 : f64, stream = 7 : i64}
  // CHECK-SAME: bias(%{{.*}} : tensor<1x8x?x1xbf16>) segments(%{{.*}}, %{{.*}} : tensor<?x?xi32>, tensor<?x?xi32>) offset(%{{.*}}) seed(%{{.*}} : tensor<i64>)
  // CHECK-SAME: workspace(%{{.*}} : tensor<4096xi8>)
  %r:3 = bpt.attention {dropout = 0.1 : f64, mask = #bpt.intersection<#bpt.causal, #bpt.sliding_window<512>>,
      scale = 0.125 : f64, softcap = 50.0 : f64, stream = 7 : i64, schedule = #bpt.schedule<{q_block = 192}>}
    ins(%q, %k, %k : tensor<?x?x8x64xbf16>, tensor<?x?x2x64xbf16>, tensor<?x?x2x64xbf16>)
    bias(%bias : tensor<1x8x?x1xbf16>) segments(%qs, %ks : tensor<?x?xi32>, tensor<?x?xi32>) offset(%offset)
    seed(%seed : tensor<i64>) outs(%q, %l, %p : tensor<?x?x8x64xbf16>, tensor<?x8x?xf32>, tensor<?x8x?x?xbf16>)
    workspace(%w : tensor<4096xi8>) -> tensor<?x?x8x64xbf16>, tensor<?x8x?xf32>, tensor<?x8x?x?xbf16>
  return %r#2 : tensor<?x8x?x?xbf16>
}

// No result on memrefs; strided ones are fine.
// CHECK-LABEL: func @attention_memref
func.func @attention_memref(%q: memref<2x8x4x16xf64, strided<[1536, 192, 16, 1], offset: ?>>, %o: memref<2x8x4x16xf64>,
                            %l: memref<2x4x8xf64>) {
  // CHECK: bpt.attention {mask = #bpt.prefix<3>, scale = 2.500000e-01 : f64} ins({{.*}}) outs(%{{.*}}, %{{.*}} : memref<2x8x4x16xf64>, memref<2x4x8xf64>){{$}}
  bpt.attention {mask = #bpt.prefix<3>, scale = 0.25 : f64}
    ins(%q, %q, %q : memref<2x8x4x16xf64, strided<[1536, 192, 16, 1], offset: ?>>,
        memref<2x8x4x16xf64, strided<[1536, 192, 16, 1], offset: ?>>,
        memref<2x8x4x16xf64, strided<[1536, 192, 16, 1], offset: ?>>)
    outs(%o, %l : memref<2x8x4x16xf64>, memref<2x4x8xf64>)
  return
}

// CHECK-LABEL: func @attention_grad
func.func @attention_grad(%da: tensor<2x128x4x64xf32>, %q: tensor<2x128x4x64xf32>, %k: tensor<2x128x4x64xf32>,
    %v: tensor<2x128x4x64xf32>, %a: tensor<2x128x4x64xf32>, %lse: tensor<2x4x128xf32>, %z: tensor<2x128x4x64xf32>)
    -> tensor<2x128x4x64xf32> {
  // CHECK: bpt.attention_grad {mask = #bpt.causal, scale = 1.250000e-01 : f64} cotangent(%{{.*}} : tensor<2x128x4x64xf32>) ins(
  %dq, %dk, %dv = bpt.attention_grad {mask = #bpt.causal, scale = 0.125 : f64} cotangent(%da : tensor<2x128x4x64xf32>)
    ins(%q, %k, %v, %a, %lse : tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>,
        tensor<2x128x4x64xf32>, tensor<2x4x128xf32>)
    outs(%z, %z, %z : tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>)
    -> tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>, tensor<2x128x4x64xf32>
  return %dk : tensor<2x128x4x64xf32>
}

// With a bias there is a fourth gradient.
// CHECK-LABEL: func @attention_grad_everything
func.func @attention_grad_everything(%q: tensor<2x6x4x8xf16>, %k: tensor<2x5x2x8xf16>, %lse: tensor<2x4x6xf32>,
    %p: tensor<2x4x6x5xf16>, %bias: tensor<2x1x6x5xf16>, %offset: index, %seed: tensor<i64>) -> tensor<2x1x6x5xf16> {
  // CHECK: bpt.attention_grad {dropout = 5.000000e-01 : f64, scale = 1.000000e+00 : f64}
  // CHECK-SAME: lse_cotangent(%{{.*}} : tensor<2x4x6xf32>)
  // CHECK-SAME: probabilities(%{{.*}} : tensor<2x4x6x5xf16>) bias(%{{.*}} : tensor<2x1x6x5xf16>) offset(%{{.*}}) seed(%{{.*}} : tensor<i64>)
  %r:4 = bpt.attention_grad {scale = 1.0 : f64, dropout = 0.5 : f64} cotangent(%q : tensor<2x6x4x8xf16>)
    lse_cotangent(%lse : tensor<2x4x6xf32>)
    ins(%q, %k, %k, %q, %lse : tensor<2x6x4x8xf16>, tensor<2x5x2x8xf16>, tensor<2x5x2x8xf16>, tensor<2x6x4x8xf16>,
        tensor<2x4x6xf32>)
    probabilities(%p : tensor<2x4x6x5xf16>) bias(%bias : tensor<2x1x6x5xf16>) offset(%offset) seed(%seed : tensor<i64>)
    outs(%q, %k, %k, %bias : tensor<2x6x4x8xf16>, tensor<2x5x2x8xf16>, tensor<2x5x2x8xf16>, tensor<2x1x6x5xf16>)
    -> tensor<2x6x4x8xf16>, tensor<2x5x2x8xf16>, tensor<2x5x2x8xf16>, tensor<2x1x6x5xf16>
  return %r#3 : tensor<2x1x6x5xf16>
}

// Two heads, from the third on, of an attention with six.
// CHECK-LABEL: func @attention_of_some_heads
func.func @attention_of_some_heads(%q: tensor<2x6x2x8xf32>, %lse: tensor<2x2x6xf32>, %seed: tensor<i64>) -> tensor<2x6x2x8xf32> {
  // CHECK: bpt.attention {dropout = 5.000000e-01 : f64, head_count = 6 : i64, head_offset = 2 : i64, scale = 1.000000e+00 : f64}
  %a, %l = bpt.attention {scale = 1.0 : f64, dropout = 0.5 : f64, head_offset = 2 : i64, head_count = 6 : i64}
    ins(%q, %q, %q : tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32>, tensor<2x6x2x8xf32>) seed(%seed : tensor<i64>)
    outs(%q, %lse : tensor<2x6x2x8xf32>, tensor<2x2x6xf32>) -> tensor<2x6x2x8xf32>, tensor<2x2x6xf32>
  return %a : tensor<2x6x2x8xf32>
}
