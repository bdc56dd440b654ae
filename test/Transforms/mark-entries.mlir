// RUN: bpt-opt %s --bpt-mark-entries | FileCheck %s

// Only what a result updates in place may be written; private functions are left alone.
// CHECK-LABEL: func.func @entry(
// CHECK-SAME: %{{.*}}: tensor<4xf32> {bufferization.writable = false}, %{{.*}}: tensor<4xf32> {bufferization.writable = true})
func.func @entry(%x: tensor<4xf32>, %p: tensor<4xf32>) -> (tensor<4xf32> {bpt.inplace = 1 : i64}) {
  return %p : tensor<4xf32>
}
// CHECK-LABEL: func.func private @helper(
// CHECK-NOT: bufferization.writable
func.func private @helper(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
