// Passes about the structure of a step: layers, blocks, loops, destinations, stage contracts.
#ifndef BPT_TRANSFORMS_STRUCTUREPASSES_TD
#define BPT_TRANSFORMS_STRUCTUREPASSES_TD

include "mlir/Pass/PassBase.td"

def FormBlocksPass : Pass<"bpt-form-blocks", "::mlir::ModuleOp"> {
  let summary = "forms checkpoints and blockwise maps from a loss graph";
  let description = [{
    Every transformer layer of `function` becomes a `bpt.checkpoint` on the layer's input and parameters. Layers are recognised by
    data flow: neither names nor the order of the text matter, nor whether q, k and v are projected by one product or by three,
    or the feed-forward layer is `bpt.feed_forward` or products and elementwise ops. An *activation* depends on the data: on
    arguments without `bpt.init` if any argument has it, else on integer tensors and on floats of rank 3 and more. A *cut* is an
    activation at whose definition nothing else of the residual stream is alive. A layer is what lies between two cuts around a
    `bpt.attention`, with the row-wise ops up to the next attention; behind the last layer it ends with its last weights, so
    that the final norm and the loss stay outside, as does the embedding.

    `strategy` is one of the three systems the paper compares; `keep` says what the backward finds again:

    | strategy | the body of the checkpoint | keep |
    |---|---|---|
    | `vanilla` | the layer's ops; attention gets its third result: scores are materialised | all |
    | `memory-efficient` | the layer's ops; attention is blocked by its kernel | all |
    | `blockwise` | two `bpt.blockwise` of `block` rows: keys and values from the layer's input, then all the rest from it | input |

    With keep `all` a feed-forward layer of static width has its second result, `hidden`: the backward reads it instead of computing it again.

    `segment` = N puts a checkpoint that keeps its input around every N layers that follow on each other: the backward of a segment
    computes its layers again, and then each layer as `keep` says. About the square root of the number of layers keeps least.

    `last-layers` = N makes the last N layers keep `last-keep` instead, each by itself. What they keep is needed for the shortest time: when
    the backward of the other layers computes again what it did not keep, it is gone.

    `heads` = N (blockwise, keep input) makes attention a sum over groups of N key heads with their queries: {projections, attention,
    its share of the output projection, added to the groups before}, each in a checkpoint inside the layer's that is cut into blocks
    by itself. Keys and values, and their gradients, then exist for N heads at a time instead of all, for the price of projections
    and attention once more in the backward. The output projection sums in another order, so results differ in their last bits.

    `block` may be larger than the sequence (one block) and need not divide it. A fused q-k-v projection is split by slices of its
    weight and bias, so that the queries never exist whole. Norms that keys and queries share are computed in both maps.

    What an op does along the sequence, it says itself (`SequenceOpInterface`). A layer with an op that sums over the sequence, or
    without that interface, stays whole in its checkpoint. Remarks of category `bpt-form-blocks` say which layers were formed, and
    where and why one was not (`--remark-format=emitRemark --remarks-filter=bpt.*`).

    Preconditions:
    * stage graph; the function has one block.

    ```mlir
    #row = affine_map<(b, s, n, k) -> (b, s, k)>
    #weight = affine_map<(b, s, n, k) -> (k, n)>
    #out = affine_map<(b, s, n, k) -> (b, s, n)>
    func.func @loss(%x: tensor<2x32x8xf32>, %w: tensor<8x24xf32>, %up: tensor<8x16xf32>, %down: tensor<16x8xf32>)
        -> tensor<2x32x8xf32> {
      %zero = arith.constant 0.0 : f32
      %e0 = tensor.empty() : tensor<2x32x24xf32>
      %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<2x32x24xf32>) -> tensor<2x32x24xf32>
      %qkv = linalg.contract indexing_maps = [#row, #weight, #out] ins(%x, %w : tensor<2x32x8xf32>, tensor<8x24xf32>)
        outs(%f0 : tensor<2x32x24xf32>) -> tensor<2x32x24xf32>
      %heads = tensor.expand_shape %qkv [[0], [1], [2, 3, 4]] output_shape [2, 32, 3, 2, 4]
        : tensor<2x32x24xf32> into tensor<2x32x3x2x4xf32>
      %q = tensor.extract_slice %heads[0, 0, 0, 0, 0] [2, 32, 1, 2, 4] [1, 1, 1, 1, 1]
        : tensor<2x32x3x2x4xf32> to tensor<2x32x2x4xf32>
      %k = tensor.extract_slice %heads[0, 0, 1, 0, 0] [2, 32, 1, 2, 4] [1, 1, 1, 1, 1]
        : tensor<2x32x3x2x4xf32> to tensor<2x32x2x4xf32>
      %v = tensor.extract_slice %heads[0, 0, 2, 0, 0] [2, 32, 1, 2, 4] [1, 1, 1, 1, 1]
        : tensor<2x32x3x2x4xf32> to tensor<2x32x2x4xf32>
      %e1 = tensor.empty() : tensor<2x32x2x4xf32>
      %e2 = tensor.empty() : tensor<2x2x32xf32>
      %a, %lse = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64}
        ins(%q, %k, %v : tensor<2x32x2x4xf32>, tensor<2x32x2x4xf32>, tensor<2x32x2x4xf32>)
        outs(%e1, %e2 : tensor<2x32x2x4xf32>, tensor<2x2x32xf32>) -> tensor<2x32x2x4xf32>, tensor<2x2x32xf32>
      %merged = tensor.collapse_shape %a [[0], [1], [2, 3]] : tensor<2x32x2x4xf32> into tensor<2x32x8xf32>
      %e3 = tensor.empty() : tensor<2x32x8xf32>
      %h = linalg.add ins(%x, %merged : tensor<2x32x8xf32>, tensor<2x32x8xf32>) outs(%e3 : tensor<2x32x8xf32>)
        -> tensor<2x32x8xf32>
      %e4 = tensor.empty() : tensor<2x32x8xf32>
      %f = bpt.feed_forward ins(%h : tensor<2x32x8xf32>) up(%up : tensor<8x16xf32>) down(%down : tensor<16x8xf32>)
        outs(%e4 : tensor<2x32x8xf32>) -> tensor<2x32x8xf32>
      %y = linalg.add ins(%h, %f : tensor<2x32x8xf32>, tensor<2x32x8xf32>) outs(%e3 : tensor<2x32x8xf32>)
        -> tensor<2x32x8xf32>
      return %y : tensor<2x32x8xf32>
    }
    ```
    becomes with `block=16`
    ```mlir
    #row = affine_map<(b, s, n, k) -> (b, s, k)>
    #weight = affine_map<(b, s, n, k) -> (k, n)>
    #out = affine_map<(b, s, n, k) -> (b, s, n)>
    func.func @after(%x: tensor<2x32x8xf32>, %w: tensor<8x24xf32>, %up: tensor<8x16xf32>, %down: tensor<16x8xf32>)
        -> tensor<2x32x8xf32> {
      %y = bpt.checkpoint keep(input)
        inputs(%x, %w, %up, %down : tensor<2x32x8xf32>, tensor<8x24xf32>, tensor<8x16xf32>, tensor<16x8xf32>) {
      ^bb0(%x1: tensor<2x32x8xf32>, %w1: tensor<8x24xf32>, %up1: tensor<8x16xf32>, %down1: tensor<16x8xf32>):
        %wq = tensor.extract_slice %w1[0, 0] [8, 8] [1, 1] : tensor<8x24xf32> to tensor<8x8xf32>
        %wk = tensor.extract_slice %w1[0, 8] [8, 8] [1, 1] : tensor<8x24xf32> to tensor<8x8xf32>
        %wv = tensor.extract_slice %w1[0, 16] [8, 8] [1, 1] : tensor<8x24xf32> to tensor<8x8xf32>
        %k, %v = bpt.blockwise sliced(%x1 : tensor<2x32x8xf32>) shared(%wk, %wv : tensor<8x8xf32>, tensor<8x8xf32>)
            dims = [1, 1, 1] block = 16 {
        ^bb0(%offset: index, %xb: tensor<2x16x8xf32>, %wkb: tensor<8x8xf32>, %wvb: tensor<8x8xf32>):
          %zero = arith.constant 0.0 : f32
          %e0 = tensor.empty() : tensor<2x16x8xf32>
          %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
          %kb = linalg.contract indexing_maps = [#row, #weight, #out] ins(%xb, %wkb : tensor<2x16x8xf32>, tensor<8x8xf32>)
            outs(%f0 : tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
          %vb = linalg.contract indexing_maps = [#row, #weight, #out] ins(%xb, %wvb : tensor<2x16x8xf32>, tensor<8x8xf32>)
            outs(%f0 : tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
          bpt.yield %kb, %vb : tensor<2x16x8xf32>, tensor<2x16x8xf32>
        } -> tensor<2x32x8xf32>, tensor<2x32x8xf32>
        %kh = tensor.expand_shape %k [[0], [1], [2, 3]] output_shape [2, 32, 2, 4] : tensor<2x32x8xf32> into tensor<2x32x2x4xf32>
        %vh = tensor.expand_shape %v [[0], [1], [2, 3]] output_shape [2, 32, 2, 4] : tensor<2x32x8xf32> into tensor<2x32x2x4xf32>
        %y1 = bpt.blockwise sliced(%x1 : tensor<2x32x8xf32>)
            shared(%wq, %kh, %vh, %up1, %down1 : tensor<8x8xf32>, tensor<2x32x2x4xf32>, tensor<2x32x2x4xf32>, tensor<8x16xf32>,
                   tensor<16x8xf32>) dims = [1, 1] block = 16 {
        ^bb0(%offset: index, %xb: tensor<2x16x8xf32>, %wqb: tensor<8x8xf32>, %kb: tensor<2x32x2x4xf32>,
             %vb: tensor<2x32x2x4xf32>, %upb: tensor<8x16xf32>, %downb: tensor<16x8xf32>):
          %zero = arith.constant 0.0 : f32
          %e0 = tensor.empty() : tensor<2x16x8xf32>
          %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
          %q = linalg.contract indexing_maps = [#row, #weight, #out] ins(%xb, %wqb : tensor<2x16x8xf32>, tensor<8x8xf32>)
            outs(%f0 : tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
          %qh = tensor.expand_shape %q [[0], [1], [2, 3]] output_shape [2, 16, 2, 4] : tensor<2x16x8xf32> into tensor<2x16x2x4xf32>
          %e1 = tensor.empty() : tensor<2x16x2x4xf32>
          %e2 = tensor.empty() : tensor<2x2x16xf32>
          %a, %lse = bpt.attention {mask = #bpt.causal, scale = 0.5 : f64}
            ins(%qh, %kb, %vb : tensor<2x16x2x4xf32>, tensor<2x32x2x4xf32>, tensor<2x32x2x4xf32>) offset(%offset)
            outs(%e1, %e2 : tensor<2x16x2x4xf32>, tensor<2x2x16xf32>) -> tensor<2x16x2x4xf32>, tensor<2x2x16xf32>
          %merged = tensor.collapse_shape %a [[0], [1], [2, 3]] : tensor<2x16x2x4xf32> into tensor<2x16x8xf32>
          %h = linalg.add ins(%xb, %merged : tensor<2x16x8xf32>, tensor<2x16x8xf32>) outs(%e0 : tensor<2x16x8xf32>)
            -> tensor<2x16x8xf32>
          %f = bpt.feed_forward ins(%h : tensor<2x16x8xf32>) up(%upb : tensor<8x16xf32>) down(%downb : tensor<16x8xf32>)
            outs(%e0 : tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
          %yb = linalg.add ins(%h, %f : tensor<2x16x8xf32>, tensor<2x16x8xf32>) outs(%e0 : tensor<2x16x8xf32>)
            -> tensor<2x16x8xf32>
          bpt.yield %yb : tensor<2x16x8xf32>
        } -> tensor<2x32x8xf32>
        bpt.yield %y1 : tensor<2x32x8xf32>
      } -> tensor<2x32x8xf32>
      return %y : tensor<2x32x8xf32>
    }
    ```
  }];
  let options = [
    Option<"strategy", "strategy", "std::string", "\"blockwise\"", "vanilla | memory-efficient | blockwise">,
    Option<"block", "block", "int64_t", "512", "rows of a block">,
    Option<"keep", "keep", "std::string", "\"\"", "input | attention | qkv | all; default: input for blockwise, else all">,
    Option<"segment", "segment", "int64_t", "1", "layers of a segment: only its input is kept; 1: every layer's">,
    Option<"lastLayers", "last-layers", "int64_t", "0", "layers at the end that keep last-keep instead">,
    Option<"lastKeep", "last-keep", "std::string", "\"all\"", "input | attention | qkv | all">,
    Option<"heads", "heads", "int64_t", "0", "key heads whose attention exists at a time; 0: all">,
    Option<"function", "function", "std::string", "\"loss\"", "the function to work on">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}
def OutlineLayersPass : Pass<"bpt-outline-layers", "::mlir::ModuleOp"> {
  let summary = "equal checkpoints become one private function";
  let description = [{
    Two or more `bpt.checkpoint` whose bodies are equal (ops, attributes, types, and which value each operand is; operands of the
    checkpoint itself are free) become `bpt.checkpoint @layer(..)` on one private function, so that its gradient, tiles, buffers
    and code are made once. Names are `layer`, `layer_1`, .. in order of first use (`segment` of segments of layers, `heads` of groups
    of heads); names that exist are skipped.

    Layers with dropout differ in the `stream` of their ops. When all streams of one layer are ahead of another's by one number n,
    the layers count as equal, and the later one passes the seed `seed + n * 0x9E3779B97F4A7C15` (wrapping) instead of `seed`:
    masks stay independent of each other and the same in forward and backward, but are other ones than without this pass.
    A comparison of two programs with dropout has to outline both or none.

    Preconditions:
    * stage blocks, before `bpt-differentiate`.

    ```mlir
    func.func @before(%x: tensor<2x8x4xf32>, %w0: tensor<4xf32>, %w1: tensor<4xf32>) -> tensor<2x8x4xf32> {
      %a = bpt.checkpoint keep(input) inputs(%x, %w0 : tensor<2x8x4xf32>, tensor<4xf32>) {
      ^bb0(%xb: tensor<2x8x4xf32>, %w: tensor<4xf32>):
        %o = tensor.empty() : tensor<2x8x4xf32>
        %r = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xb : tensor<2x8x4xf32>) weight(%w : tensor<4xf32>)
          outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
        bpt.yield %r : tensor<2x8x4xf32>
      } -> tensor<2x8x4xf32>
      %b = bpt.checkpoint keep(input) inputs(%a, %w1 : tensor<2x8x4xf32>, tensor<4xf32>) {
      ^bb0(%xb: tensor<2x8x4xf32>, %w: tensor<4xf32>):
        %o = tensor.empty() : tensor<2x8x4xf32>
        %r = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xb : tensor<2x8x4xf32>) weight(%w : tensor<4xf32>)
          outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
        bpt.yield %r : tensor<2x8x4xf32>
      } -> tensor<2x8x4xf32>
      return %b : tensor<2x8x4xf32>
    }
    ```
    becomes
    ```mlir
    func.func @after(%x: tensor<2x8x4xf32>, %w0: tensor<4xf32>, %w1: tensor<4xf32>) -> tensor<2x8x4xf32> {
      %a = bpt.checkpoint @layer keep(input) inputs(%x, %w0 : tensor<2x8x4xf32>, tensor<4xf32>) -> tensor<2x8x4xf32>
      %b = bpt.checkpoint @layer keep(input) inputs(%a, %w1 : tensor<2x8x4xf32>, tensor<4xf32>) -> tensor<2x8x4xf32>
      return %b : tensor<2x8x4xf32>
    }
    func.func private @layer(%xb: tensor<2x8x4xf32>, %w: tensor<4xf32>) -> tensor<2x8x4xf32> {
      %o = tensor.empty() : tensor<2x8x4xf32>
      %r = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xb : tensor<2x8x4xf32>) weight(%w : tensor<4xf32>)
        outs(%o : tensor<2x8x4xf32>) -> tensor<2x8x4xf32>
      return %r : tensor<2x8x4xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::linalg::LinalgDialect",
                           "::mlir::tensor::TensorDialect"];
}
def LowerStructurePass : Pass<"bpt-lower-structure", "::mlir::ModuleOp"> {
  let summary = "inlines checkpoints, turns blockwise maps into loops with a peeled tail";
  let description = [{
    A `bpt.checkpoint` with a body is inlined, one with a callee becomes a `func.call`. A `bpt.blockwise` becomes an `scf.for` over
    its whole blocks, followed by the body once more for the rows that are left (nothing where the block divides the length; no
    loop where one block is all there is). With a static length both have static shapes, whatever `?` the body had. With a
    dynamic one the main loop's blocks are static and the tail is a loop of none or one iteration.

    A sliced result is put together in place: in the buffer of a sliced operand of its type that nothing reads afterwards (an
    argument of a private function counts when it is dead at every call), else in a fresh `tensor.empty`. Accumulated values are
    carried by the loop. `bpt.barrier` stays until *buffers*.

    Preconditions:
    * stage graph, blocks or step;
    * sizes of sliced results other than the sequence are static, or those of an operand.

    Why a tail and not a minimum in the loop: kernels get constant sizes, and the plan gets sizes that are formulas of the
    arguments' dims.

    ```mlir
    func.func @before(%x: tensor<2x40x8xf32>, %w: tensor<8xf32>) -> tensor<2x40x8xf32> {
      %y = bpt.blockwise sliced(%x : tensor<2x40x8xf32>) shared(%w : tensor<8xf32>) dims = [1, 1] block = 16 {
      ^bb0(%offset: index, %xb: tensor<2x?x8xf32>, %wb: tensor<8xf32>):
        %c1 = arith.constant 1 : index
        %n = tensor.dim %xb, %c1 : tensor<2x?x8xf32>
        %o = tensor.empty(%n) : tensor<2x?x8xf32>
        %r = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xb : tensor<2x?x8xf32>) weight(%wb : tensor<8xf32>)
          outs(%o : tensor<2x?x8xf32>) -> tensor<2x?x8xf32>
        bpt.yield %r : tensor<2x?x8xf32>
      } -> tensor<2x40x8xf32>
      return %y : tensor<2x40x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @after(%x: tensor<2x40x8xf32>, %w: tensor<8xf32>) -> tensor<2x40x8xf32> {
      %c0 = arith.constant 0 : index
      %c16 = arith.constant 16 : index
      %c32 = arith.constant 32 : index
      %d = tensor.empty() : tensor<2x40x8xf32>
      %whole = scf.for %i = %c0 to %c32 step %c16 iter_args(%a = %d) -> (tensor<2x40x8xf32>) {
        %xb = tensor.extract_slice %x[0, %i, 0] [2, 16, 8] [1, 1, 1] : tensor<2x40x8xf32> to tensor<2x16x8xf32>
        %o = tensor.empty() : tensor<2x16x8xf32>
        %r = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xb : tensor<2x16x8xf32>) weight(%w : tensor<8xf32>)
          outs(%o : tensor<2x16x8xf32>) -> tensor<2x16x8xf32>
        %b = tensor.insert_slice %r into %a[0, %i, 0] [2, 16, 8] [1, 1, 1] : tensor<2x16x8xf32> into tensor<2x40x8xf32>
        scf.yield %b : tensor<2x40x8xf32>
      }
      %xt = tensor.extract_slice %x[0, 32, 0] [2, 8, 8] [1, 1, 1] : tensor<2x40x8xf32> to tensor<2x8x8xf32>
      %ot = tensor.empty() : tensor<2x8x8xf32>
      %rt = bpt.rms_norm {eps = 1.0e-6 : f64} ins(%xt : tensor<2x8x8xf32>) weight(%w : tensor<8xf32>)
        outs(%ot : tensor<2x8x8xf32>) -> tensor<2x8x8xf32>
      %y = tensor.insert_slice %rt into %whole[0, 32, 0] [2, 8, 8] [1, 1, 1] : tensor<2x8x8xf32> into tensor<2x40x8xf32>
      return %y : tensor<2x40x8xf32>
    }
    ```
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::func::FuncDialect", "::mlir::scf::SCFDialect",
                           "::mlir::tensor::TensorDialect"];
}
def OwnDestinationsPass : Pass<"bpt-own-destinations", "::mlir::ModuleOp"> {
  let summary = "gives every op that writes an empty or filled tensor of its own";
  let description = [{
    Common subexpression elimination makes one `tensor.empty`, or one zero-filled tensor, the destination of many ops. Bufferization
    then has to copy it for all but the last, and cannot write the last op of a block into the place the block is for. This pass
    puts a copy of the empty or filled tensor right before each op that writes it; ops that only read one go on sharing it. It
    runs right before bufferization; no elimination may run in between.

    ```mlir
    func.func @before(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %u: tensor<8x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
      %zero = arith.constant 0.0 : f32
      %empty = tensor.empty() : tensor<4x8xf32>
      %fill = linalg.fill ins(%zero : f32) outs(%empty : tensor<4x8xf32>) -> tensor<4x8xf32>
      %a = linalg.matmul ins(%x, %w : tensor<4x8xf32>, tensor<8x8xf32>) outs(%fill : tensor<4x8xf32>) -> tensor<4x8xf32>
      %b = linalg.matmul ins(%x, %u : tensor<4x8xf32>, tensor<8x8xf32>) outs(%fill : tensor<4x8xf32>) -> tensor<4x8xf32>
      return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
    }
    ```
    becomes
    ```mlir
    func.func @after(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %u: tensor<8x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
      %zero = arith.constant 0.0 : f32
      %e0 = tensor.empty() : tensor<4x8xf32>
      %f0 = linalg.fill ins(%zero : f32) outs(%e0 : tensor<4x8xf32>) -> tensor<4x8xf32>
      %a = linalg.matmul ins(%x, %w : tensor<4x8xf32>, tensor<8x8xf32>) outs(%f0 : tensor<4x8xf32>) -> tensor<4x8xf32>
      %e1 = tensor.empty() : tensor<4x8xf32>
      %f1 = linalg.fill ins(%zero : f32) outs(%e1 : tensor<4x8xf32>) -> tensor<4x8xf32>
      %b = linalg.matmul ins(%x, %u : tensor<4x8xf32>, tensor<8x8xf32>) outs(%f1 : tensor<4x8xf32>) -> tensor<4x8xf32>
      return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
    }
    ```
  }];
}
def VerifyStagePass : Pass<"bpt-verify-stage", "::mlir::ModuleOp"> {
  let summary = "names every op that may not be there any more at a stage";
  let description = [{
    The contract of each stage, executable: an error at every op that does not belong to `stage`, with the stages it belongs to
    and the pass that removes it. Changes nothing.

    | stage | may be there |
    |---|---|
    | graph | bpt compute ops, linalg, tensor, arith, math, func; no memrefs |
    | blocks | the same and `bpt.checkpoint`, `bpt.blockwise` |
    | step | the same and `bpt.barrier`, scf (micro-steps) |
    | tiles | no checkpoint or blockwise any more; affine |
    | buffers | no tensors, no `bpt.barrier`, no `memref.alloc`, no large `memref.alloca`, no copy of a whole buffer |
    | kernels | func, scf, arith, math, memref, vector, llvm, `bpt.thread_scratch`, `bpt.shared_scratch`; no other bpt op, no linalg |
    | llvm | llvm (gpu and nvvm for a GPU) |

    Dialects of others may stay until *tiles*.

    ```mlir
    // bpt-verify-stage{stage=tiles}: 'bpt.barrier' may be there, a 'bpt.checkpoint' would be an error.
    func.func @good(%x: tensor<2x8x4xf32>) -> tensor<2x8x4xf32> {
      %y = bpt.barrier %x : tensor<2x8x4xf32>
      return %y : tensor<2x8x4xf32>
    }
    ```
  }];
  let options = [Option<"stage", "stage", "std::string", "\"\"", "graph | blocks | step | tiles | buffers | kernels | llvm">];
}


#endif
