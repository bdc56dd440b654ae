// RUN: bpt-opt %s --bpt-tile-blocks=cpu=x86-64-v4 --canonicalize --split-input-file | FileCheck %s
// RUN: bpt-opt %s --bpt-tile-blocks=cpu=x86-64-v4 --split-input-file --remark-format=emitRemark --remarks-filter-passed=bpt-tile-blocks 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: not bpt-opt %s --bpt-tile-blocks=cpu=z80 2>&1 | FileCheck %s --check-prefix=UNKNOWN
// UNKNOWN: expected cpu to be one of native, native+amx, native-amx, x86-64-v4, x86-64-v4+amx, x86-64-v3, x86-64, sm_90a, but got 'z80'

// The workspace holds the hidden of a chunk: min(rows, 832) * 256 elements of four bytes.
// CHECK: module attributes {bpt.shared_scratch = 0 : i64, bpt.thread_scratch = 356672 : i64}
// CHECK-LABEL: func.func @dynamic_rows(
// CHECK: %[[ROWS:.*]] = tensor.dim
// CHECK: %[[CHUNK:.*]] = arith.minsi %{{.*}}, %c832
// CHECK: %[[W:.*]] = tensor.empty(%{{.*}}) : tensor<?xi8>
// CHECK: bpt.feed_forward {schedule = #bpt.schedule<{rows = 832 : i64}>}
// CHECK-SAME: workspace(%[[W]] : tensor<?xi8>)
// REMARK: rows = 832, workspace {{.*}} bytes, scratch of each thread 356672 bytes (rows of the hidden
func.func @dynamic_rows(%x: tensor<2x?x64xf32>, %w1: tensor<64x256xf32>, %w2: tensor<256x64xf32>, %o: tensor<2x?x64xf32>)
    -> tensor<2x?x64xf32> {
  %y = bpt.feed_forward ins(%x : tensor<2x?x64xf32>) up(%w1 : tensor<64x256xf32>) down(%w2 : tensor<256x64xf32>)
    outs(%o : tensor<2x?x64xf32>) -> tensor<2x?x64xf32>
  return %y : tensor<2x?x64xf32>
}

// -----

// A schedule that is there is obeyed; static shapes give static workspaces.
// CHECK-LABEL: func.func @given_schedule(
// CHECK: tensor.empty() : tensor<65536xi8>
// CHECK: bpt.feed_forward {schedule = #bpt.schedule<{rows = 64 : i64}>}
// REMARK: rows = 64, workspace 65536 bytes, {{.*}} (as its schedule says)
func.func @given_schedule(%x: tensor<128x64xf32>, %w1: tensor<64x256xf32>, %w2: tensor<256x64xf32>, %o: tensor<128x64xf32>)
    -> tensor<128x64xf32> {
  %y = bpt.feed_forward {schedule = #bpt.schedule<{rows = 64 : i64}>} ins(%x : tensor<128x64xf32>)
    up(%w1 : tensor<64x256xf32>) down(%w2 : tensor<256x64xf32>) outs(%o : tensor<128x64xf32>) -> tensor<128x64xf32>
  return %y : tensor<128x64xf32>
}

// -----

// Statistics of 2048 rows and 256 columns at a time, and one logit a row.
// CHECK-LABEL: func.func @cross_entropy(
// CHECK: tensor.empty() : tensor<9216xi8>
// CHECK: bpt.linear_cross_entropy {schedule = #bpt.schedule<{columns = 256 : i64, rows = 2048 : i64}>, weights_transposed}
func.func @cross_entropy(%x: tensor<256x64xf32>, %w: tensor<1000x64xf32>, %t: tensor<256xi32>, %o: tensor<f32>,
                         %l: tensor<256xf32>) -> (tensor<f32>, tensor<256xf32>) {
  %loss, %lse = bpt.linear_cross_entropy {weights_transposed}
    ins(%x, %w, %t : tensor<256x64xf32>, tensor<1000x64xf32>, tensor<256xi32>) outs(%o, %l : tensor<f32>, tensor<256xf32>)
    -> tensor<f32>, tensor<256xf32>
  return %loss, %lse : tensor<f32>, tensor<256xf32>
}

// -----

// Many blocks of rows use a right operand of 2 MiB, with whole panels: packed once for all.
// CHECK: module attributes {bpt.shared_scratch = 2228224 : i64
// CHECK-LABEL: func.func @shared_panels(
func.func @shared_panels(%a: tensor<4096x512xf32>, %b: tensor<512x1050xf32>, %c: tensor<4096x1050xf32>) -> tensor<4096x1050xf32> {
  %y = linalg.matmul ins(%a, %b : tensor<4096x512xf32>, tensor<512x1050xf32>) outs(%c : tensor<4096x1050xf32>) -> tensor<4096x1050xf32>
  return %y : tensor<4096x1050xf32>
}
