// RUN: bpt-opt %s --bpt-verify-stage=stage=step -o /dev/null
// RUN: not bpt-opt %s --bpt-verify-stage=stage=graph 2>&1 | FileCheck %s --check-prefix=GRAPH
// RUN: not bpt-opt %s --bpt-verify-stage=stage=blocks 2>&1 | FileCheck %s --check-prefix=BLOCKS
// RUN: not bpt-opt %s --bpt-verify-stage=stage=tiles 2>&1 | FileCheck %s --check-prefix=TILES
// RUN: not bpt-opt %s --bpt-verify-stage=stage=buffers 2>&1 | FileCheck %s --check-prefix=BUFFERS
// RUN: not bpt-opt %s --bpt-verify-stage=stage=kernels 2>&1 | FileCheck %s --check-prefix=KERNELS
// RUN: not bpt-opt %s --bpt-verify-stage=stage=llvm 2>&1 | FileCheck %s --check-prefix=LLVM
// RUN: not bpt-opt %s --bpt-verify-stage=stage=soon 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// RUN: bpt-opt %s --bpt-lower-structure --bpt-verify-stage=stage=tiles -o /dev/null

// GRAPH: error: 'bpt.checkpoint' op expected to be seen only from stage 'blocks' to 'step', but got it at stage 'graph'
// GRAPH: error: 'bpt.barrier' op expected to be seen only from stage 'step' to 'tiles', but got it at stage 'graph'

// BLOCKS-NOT: bpt.checkpoint
// BLOCKS: error: 'bpt.barrier' op expected to be seen only from stage 'step' to 'tiles', but got it at stage 'blocks'

// TILES: error: 'bpt.checkpoint' op expected to be seen only from stage 'blocks' to 'step', but got it at stage 'tiles'; run bpt-lower-structure
// TILES-NOT: bpt.barrier' op

// BUFFERS: error: 'func.func' op expected no value of type tensor<4x8xf32> at stage 'buffers'
// BUFFERS: error: 'bpt.barrier' op {{.*}}; run one-shot-bufferize

// KERNELS: error: 'bpt.checkpoint' op

// LLVM: error: 'func.func' op expected to be seen only from stage 'graph' to 'kernels', but got it at stage 'llvm'; run convert-func-to-llvm

// UNKNOWN: error: expected stage graph, blocks, step, tiles, buffers, kernels or llvm, but got 'soon'
func.func @step(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %a = bpt.checkpoint keep(input) inputs(%x : tensor<4x8xf32>) {
  ^bb0(%b: tensor<4x8xf32>):
    bpt.yield %b : tensor<4x8xf32>
  } -> tensor<4x8xf32>
  %b = bpt.barrier %a : tensor<4x8xf32>
  return %b : tensor<4x8xf32>
}
