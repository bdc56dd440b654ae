// The stock mlir-opt reads bpt IR and runs bpt passes and pipelines through the plugin.
// REQUIRES: mlir-opt
// RUN: mlir-opt %s --load-dialect-plugin=%bpt_lib/libBPTPlugin.so | FileCheck %s --check-prefix=PARSE
// RUN: mlir-opt %s --load-dialect-plugin=%bpt_lib/libBPTPlugin.so --load-pass-plugin=%bpt_lib/libBPTPlugin.so \
// RUN:   --pass-pipeline='builtin.module(convert-bpt-to-linalg)' | FileCheck %s --check-prefix=PASS
// RUN: mlir-opt %s --load-dialect-plugin=%bpt_lib/libBPTPlugin.so --load-pass-plugin=%bpt_lib/libBPTPlugin.so \
// RUN:   --pass-pipeline='builtin.module(bpt-lower-to-reference)' | FileCheck %s --check-prefix=PIPELINE

// PARSE: bpt.layer_norm {eps = 1.000000e-05 : f64}
// PASS-LABEL: func.func @f
// PASS-NOT: bpt.layer_norm
// PASS: linalg.generic
// PIPELINE: llvm.func
func.func @f(%x: tensor<2x128x64xf32>) -> tensor<2x128x64xf32> {
  %o = tensor.empty() : tensor<2x128x64xf32>
  %y = bpt.layer_norm {eps = 1.0e-5 : f64} ins(%x : tensor<2x128x64xf32>) outs(%o : tensor<2x128x64xf32>)
    -> tensor<2x128x64xf32>
  return %y : tensor<2x128x64xf32>
}
