// One case for each constraint of the structure ops.
// RUN: bpt-opt %s --verify-diagnostics --split-input-file

func.func @checkpoint_c1_neither(%x: tensor<8xf32>) {
  // expected-error@+1 {{expected either a body or a callee, but got neither}}
  %y = bpt.checkpoint keep(input) inputs(%x : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func private @layer(tensor<8xf32>) -> tensor<8xf32>
func.func @checkpoint_c1_both(%x: tensor<8xf32>) {
  // expected-error@+1 {{expected either a body or a callee, but got both}}
  %y = bpt.checkpoint @layer keep(input) inputs(%x : tensor<8xf32>) {
  ^bb0(%xb: tensor<8xf32>):
    bpt.yield %xb : tensor<8xf32>
  } -> tensor<8xf32>
  return
}

// -----

func.func @checkpoint_c2_arguments(%x: tensor<8xf32>) {
  // expected-error@+1 {{expected arguments ('tensor<8xf32>') of the body, but got ('tensor<9xf32>')}}
  bpt.checkpoint keep(input) inputs(%x : tensor<8xf32>) {
  ^bb0(%xb: tensor<9xf32>):
    bpt.yield
  }
  return
}

// -----

func.func @checkpoint_c2_yield(%x: tensor<8xf32>) {
  // expected-error@+1 {{expected the body to yield ('tensor<9xf32>'), but got ('tensor<8xf32>')}}
  %y = bpt.checkpoint keep(input) inputs(%x : tensor<8xf32>) {
  ^bb0(%xb: tensor<8xf32>):
    bpt.yield %xb : tensor<8xf32>
  } -> tensor<9xf32>
  return
}

// -----

func.func @checkpoint_c2_terminator() {
  // expected-error@+1 {{expected a body that ends with bpt.yield}}
  bpt.checkpoint keep(input) {
  ^bb0:
    llvm.unreachable
  }
  return
}

// -----

func.func @checkpoint_c2_empty_block() {
  // expected-error@+1 {{expected a body that ends with bpt.yield}}
  bpt.checkpoint keep(input) {
  ^bb0:
  }
  return
}

// -----

func.func @checkpoint_c3_missing(%x: tensor<8xf32>) {
  // expected-error@+1 {{expected a function @layer, but got no such symbol}}
  %y = bpt.checkpoint @layer keep(input) inputs(%x : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

memref.global @layer : memref<8xf32>
func.func @checkpoint_c3_kind(%x: tensor<8xf32>) {
  // expected-error@+1 {{expected a function @layer, but got a memref.global}}
  %y = bpt.checkpoint @layer keep(input) inputs(%x : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

// expected-note@+1 {{see the callee}}
func.func private @layer(tensor<8xf32>) -> tensor<9xf32>
func.func @checkpoint_c3_type(%x: tensor<8xf32>) {
  // expected-error@+1 {{expected @layer of type '(tensor<8xf32>) -> tensor<8xf32>', but got '(tensor<8xf32>) -> tensor<9xf32>'}}
  %y = bpt.checkpoint @layer keep(input) inputs(%x : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func private @layer(%x: tensor<8xf32>) -> tensor<8xf32> {
  %y = func.call @checkpoint_c4(%x) : (tensor<8xf32>) -> tensor<8xf32>
  return %y : tensor<8xf32>
}
func.func @checkpoint_c4(%x: tensor<8xf32>) -> tensor<8xf32> {
  // expected-error@+1 {{expected a callee that does not lead back to the checkpoint's function, but got @layer}}
  %y = bpt.checkpoint @layer keep(input) inputs(%x : tensor<8xf32>) -> tensor<8xf32>
  return %y : tensor<8xf32>
}

// -----

func.func @checkpoint_keep(%x: tensor<8xf32>) {
  // expected-error@+1 {{expected input, attention, qkv or all, but got 'nothing'}}
  %y = bpt.checkpoint keep(nothing) inputs(%x : tensor<8xf32>) -> tensor<8xf32>
  return
}

// -----

func.func @yield_c1(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected the body to yield ('tensor<2x4xf32>'), but got ('tensor<2x4xf32>', 'tensor<2x4xf32>')}}
  %y = bpt.blockwise sliced(%x : tensor<2x8xf32>) dims = [1, 1] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x4xf32>):
    bpt.yield %xb, %xb : tensor<2x4xf32>, tensor<2x4xf32>
  } -> tensor<2x8xf32>
  return
}

// -----

func.func @yield_parent(%x: tensor<8xf32>) {
  // expected-error@+1 {{'bpt.yield' op expects parent op to be one of 'bpt.blockwise, bpt.checkpoint'}}
  bpt.yield %x : tensor<8xf32>
}

// -----

func.func @blockwise_c1_block(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected block > 0, but got 0}}
  %y = bpt.blockwise sliced(%x : tensor<2x8xf32>) dims = [1, 1] block = 0 {
  ^bb0(%offset: index, %xb: tensor<2x?xf32>):
    bpt.yield %xb : tensor<2x?xf32>
  } -> tensor<2x8xf32>
  return
}

// -----

func.func @blockwise_c1_nothing_sliced(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected a sliced operand or result, but got none}}
  %y = bpt.blockwise accumulated(%x : tensor<2x8xf32>) dims = [] block = 4 {
  ^bb0(%offset: index, %sum: tensor<2x8xf32>):
    bpt.yield %sum : tensor<2x8xf32>
  } -> tensor<2x8xf32>
  return
}

// -----

func.func @blockwise_c2(%x: tensor<2x8xf32>, %z: tensor<2x9xf32>) {
  // expected-error@+1 {{expected a sequence of length 8, but got 9 in dim 1 of 'tensor<2x9xf32>'}}
  %y = bpt.blockwise sliced(%x, %z : tensor<2x8xf32>, tensor<2x9xf32>) dims = [1, 1, 1] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x4xf32>, %zb: tensor<2x?xf32>):
    bpt.yield %xb : tensor<2x4xf32>
  } -> tensor<2x8xf32>
  return
}

// -----

func.func @blockwise_c2_result(%x: tensor<2x?xf32>, %z: tensor<2x8xf32>) {
  // expected-error@+1 {{expected a sequence of length 8, but got 12 in dim 1 of 'tensor<2x12xf32>'}}
  %y = bpt.blockwise sliced(%x, %z : tensor<2x?xf32>, tensor<2x8xf32>) dims = [1, 1, 1] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x?xf32>, %zb: tensor<2x4xf32>):
    bpt.yield %zb : tensor<2x4xf32>
  } -> tensor<2x12xf32>
  return
}

// -----

func.func @blockwise_c3_offset(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected arguments ('index', 'tensor<2x4xf32>') of the body, but got ('tensor<2x4xf32>')}}
  %y = bpt.blockwise sliced(%x : tensor<2x8xf32>) dims = [1, 1] block = 4 {
  ^bb0(%xb: tensor<2x4xf32>):
    bpt.yield %xb : tensor<2x4xf32>
  } -> tensor<2x8xf32>
  return
}

// -----

func.func @blockwise_c3_divides(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected arguments ('index', 'tensor<2x4xf32>') of the body, but got ('index', 'tensor<2x?xf32>')}}
  %y = bpt.blockwise sliced(%x : tensor<2x8xf32>) dims = [1, 1] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x?xf32>):
    bpt.yield %xb : tensor<2x?xf32>
  } -> tensor<2x8xf32>
  return
}

// -----

func.func @blockwise_c3_shared(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expected arguments ('index', 'tensor<2x4xf32>', 'tensor<8xf32>') of the body, but got ('index', 'tensor<2x4xf32>')}}
  %y = bpt.blockwise sliced(%x : tensor<2x8xf32>) shared(%w : tensor<8xf32>) dims = [1, 1] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x4xf32>):
    bpt.yield %xb : tensor<2x4xf32>
  } -> tensor<2x8xf32>
  return
}

// -----

func.func @blockwise_c4(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expected the body to yield ('tensor<2x4xf32>', 'tensor<8xf32>'), but got ('tensor<8xf32>', 'tensor<2x4xf32>')}}
  %y:2 = bpt.blockwise sliced(%x : tensor<2x8xf32>) accumulated(%w : tensor<8xf32>) dims = [1, 1] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x4xf32>, %sum: tensor<8xf32>):
    bpt.yield %sum, %xb : tensor<8xf32>, tensor<2x4xf32>
  } -> tensor<2x8xf32>, tensor<8xf32>
  return
}

// -----

func.func @blockwise_c4_results(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expected a result for each of the 1 accumulated values, but got 0 results}}
  bpt.blockwise sliced(%x : tensor<2x8xf32>) accumulated(%w : tensor<8xf32>) dims = [1] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x4xf32>, %sum: tensor<8xf32>):
    bpt.yield %sum : tensor<8xf32>
  }
  return
}

// -----

func.func @blockwise_c4_accumulated(%x: tensor<2x8xf32>, %w: tensor<8xf32>) {
  // expected-error@+1 {{expected the last results to have the types of the accumulated values}}
  %y:2 = bpt.blockwise sliced(%x : tensor<2x8xf32>) accumulated(%w : tensor<8xf32>) dims = [1, 1] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x4xf32>, %sum: tensor<8xf32>):
    bpt.yield %xb, %sum : tensor<2x4xf32>, tensor<8xf32>
  } -> tensor<2x8xf32>, tensor<9xf32>
  return
}

// -----

func.func @blockwise_c4_scalar(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected ranked tensors as sliced results, but got 'index'}}
  %y = bpt.blockwise sliced(%x : tensor<2x8xf32>) dims = [1, 0] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x4xf32>):
    bpt.yield %offset : index
  } -> index
  return
}

// -----

func.func @blockwise_c5_count(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected 2 dims, one per sliced operand and result, but got 1}}
  %y = bpt.blockwise sliced(%x : tensor<2x8xf32>) dims = [1] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x4xf32>):
    bpt.yield %xb : tensor<2x4xf32>
  } -> tensor<2x8xf32>
  return
}

// -----

func.func @blockwise_c5_rank(%x: tensor<2x8xf32>) {
  // expected-error@+1 {{expected dims within the rank of the sliced value, but got 2 for 'tensor<2x8xf32>'}}
  %y = bpt.blockwise sliced(%x : tensor<2x8xf32>) dims = [1, 2] block = 4 {
  ^bb0(%offset: index, %xb: tensor<2x4xf32>):
    bpt.yield %xb : tensor<2x4xf32>
  } -> tensor<2x8xf32>
  return
}

// -----

func.func @blockwise_overflow(%x: tensor<4611686018427387904x8xf32>) {
  // expected-error@+1 {{expected fewer than 2^63 bytes, but got 'tensor<4611686018427387904x8xf32>'}}
  %y = bpt.blockwise sliced(%x : tensor<4611686018427387904x8xf32>) dims = [1, 1] block = 8 {
  ^bb0(%offset: index, %xb: tensor<4611686018427387904x8xf32>):
    bpt.yield %xb : tensor<4611686018427387904x8xf32>
  } -> tensor<4611686018427387904x8xf32>
  return
}

// -----

func.func @barrier_c1(%x: tensor<8xf32>) {
  // expected-error@+1 {{results have the operands' types}}
  %y = "bpt.barrier"(%x) : (tensor<8xf32>) -> tensor<9xf32>
  return
}
