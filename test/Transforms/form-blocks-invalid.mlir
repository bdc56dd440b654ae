// RUN: not bpt-opt %s --bpt-form-blocks=strategy=flash 2>&1 | FileCheck %s --check-prefix=STRATEGY
// RUN: not bpt-opt %s --bpt-form-blocks=keep=scores 2>&1 | FileCheck %s --check-prefix=KEEP
// RUN: not bpt-opt %s --bpt-form-blocks=block=0 2>&1 | FileCheck %s --check-prefix=BLOCK
// RUN: not bpt-opt %s --bpt-form-blocks="strategy=vanilla block=-1" 2>&1 | FileCheck %s --check-prefix=NEGATIVE
// RUN: not bpt-opt %s --bpt-form-blocks=function=other 2>&1 | FileCheck %s --check-prefix=FUNCTION
// RUN: bpt-opt %s --bpt-form-blocks --remark-format=emitRemark --remarks-filter=bpt.* 2>%t | FileCheck %s
// RUN: FileCheck %s --check-prefix=REMARK < %t

// STRATEGY: error: expected strategy vanilla, memory-efficient or blockwise, but got 'flash'
// KEEP: error: expected keep input, attention, qkv or all, but got 'scores'
// BLOCK: error: expected block > 0, but got 0
// NEGATIVE: error: expected block > 0, but got -1
// FUNCTION: error: expected a function 'other' with a body, but got none; name it with function=

// A function without a layer stays as it is, and a remark says why.
// REMARK: remark: [Missed] layer {{.*}} Remark="no bpt.attention on the way from the data to a result"
// CHECK: func.func @loss
// CHECK-NEXT: return
func.func @loss(%x: tensor<2x32x8xf32>) -> tensor<2x32x8xf32> {
  return %x : tensor<2x32x8xf32>
}
