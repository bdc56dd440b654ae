// Structure of a training step: checkpoints, blockwise maps, barriers; and the per-thread scratch of kernels.
#ifndef BPT_IR_STRUCTUREOPS_TD
#define BPT_IR_STRUCTUREOPS_TD

include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/ControlFlowInterfaces.td"
include "bpt/IR/BPTAttrs.td"
include "bpt/IR/BPTEnums.td"

def BPT_YieldOp : BPT_Op<"yield", [Pure, ReturnLike, Terminator, ParentOneOf<["BlockwiseOp", "CheckpointOp"]>]> {
  let summary = "ends the body of bpt.checkpoint and bpt.blockwise";
  let description = [{
    Constraints:
    * C1: the operands' types are those the parent asks for.

    ```mlir
    bpt.yield %y : tensor<2x128x64xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$values);
  let builders = [OpBuilder<(ins), [{ build($_builder, $_state, ::mlir::ValueRange{}); }]>];
  let assemblyFormat = "attr-dict ($values^ `:` type($values))?";
}

def BPT_CheckpointOp : BPT_Op<"checkpoint", [IsolatedFromAbove, RecursiveMemoryEffects,
    DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "keeps its inputs and named values for the backward and recomputes the rest";
  let description = [{
    Runs its body, or the private function `@callee`, on `inputs`. `keep` says what the backward finds again: `input` nothing but
    the operands; `attention` also out and lse of each attention; `qkv` also its query, key and value; `all` everything, i.e.
    nothing is recomputed. All values are passed explicitly (the op is isolated from above), so the operands are exactly what is
    kept.

    Constraints:
    * C1: either a body or a callee.
    * C2: the body's arguments have the operands' types and its yield the results'.
    * C3: a callee exists, and its type is that of operands and results.
    * C4: a callee does not lead back to the function the checkpoint is in.

    Made by `bpt-form-blocks`; `bpt-outline-layers` turns equal bodies into one callee; removed by `bpt-lower-structure`.

    ```mlir
    %y = bpt.checkpoint keep(input) inputs(%x : tensor<2x128x64xf32>) {
    ^bb0(%xb: tensor<2x128x64xf32>):
      bpt.yield %xb : tensor<2x128x64xf32>
    } -> tensor<2x128x64xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$inputs, OptionalAttr<FlatSymbolRefAttr>:$callee, BPT_KeepAttr:$keep);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region MaxSizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
}

def BPT_BlockwiseOp : BPT_Op<"blockwise", [IsolatedFromAbove, RecursiveMemoryEffects, AttrSizedOperandSegments,
    SingleBlock]> {
  let summary = "a map over blocks of the sequence";
  let description = [{
    Cuts each *sliced* operand along its sequence dim into blocks of `block` rows, and runs the body once per block, in order:
    body(offset, blocks of the sliced operands, shared operands, accumulated values). *shared* operands are seen whole;
    *accumulated* values are carried through the blocks. Results: the sliced ones (blocks put together), then the accumulated
    ones. The sequence dim of every sliced operand and result is `dims` (one integer each, operands first).

    Its derivative is again blockwise: gradients of sliced operands are sliced, gradients of shared operands are accumulated, and
    the body is recomputed block by block; values kept for the backward are extra sliced results.

    Body types carry `?` along the sequence unless the block divides it.

    Constraints:
    * C1: block > 0, and at least one sliced operand or result.
    * C2: all sliced operands and results agree on the length of the sequence.
    * C3: body arguments: index, blocks of the sliced operands, shared operands, accumulated values.
    * C4: the yield has the blocks of the sliced results, then the accumulated values.
    * C5: one entry of `dims` per sliced operand and sliced result, each within its rank.

    Made by `bpt-form-blocks` and `bpt-differentiate`; becomes an `scf.for` with a peeled tail in `bpt-lower-structure`.

    ```mlir
    %y = bpt.blockwise sliced(%x : tensor<2x128x64xf32>) dims = [1, 1] block = 64 {
    ^bb0(%offset: index, %xb: tensor<2x64x64xf32>):
      bpt.yield %xb : tensor<2x64x64xf32>
    } -> tensor<2x128x64xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyRankedTensor>:$sliced, Variadic<AnyType>:$shared, Variadic<AnyType>:$accumulated,
      I64Attr:$block, DenseI64ArrayAttr:$dims);
  let results = (outs Variadic<AnyType>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    (`sliced` `(` $sliced^ `:` type($sliced) `)`)? (`shared` `(` $shared^ `:` type($shared) `)`)?
    (`accumulated` `(` $accumulated^ `:` type($accumulated) `)`)? `dims` `=` $dims `block` `=` $block attr-dict-with-keyword
    $body (`->` type($results)^)?
  }];
  let hasVerifier = 1;
  let hasCanonicalizeMethod = 1;
  let extraClassDeclaration = [{
    unsigned getNumSlicedResults() { return getNumResults() - getAccumulated().size(); }
    ::mlir::ResultRange getSlicedResults() { return getResults().take_front(getNumSlicedResults()); }
    ::mlir::ResultRange getAccumulatedResults() { return getResults().drop_front(getNumSlicedResults()); }
    ::mlir::Block *getBodyBlock() { return &getBody().front(); }
    ::mlir::BlockArgument getOffset() { return getBodyBlock()->getArgument(0); }
    ::mlir::Block::BlockArgListType getSlicedArgs() {
      return getBodyBlock()->getArguments().slice(1, getSliced().size()); }
    ::mlir::Block::BlockArgListType getSharedArgs() {
      return getBodyBlock()->getArguments().slice(1 + getSliced().size(), getShared().size()); }
    ::mlir::Block::BlockArgListType getAccumulatedArgs() {
      return getBodyBlock()->getArguments().drop_front(1 + getSliced().size() + getShared().size()); }
    /// The sequence dim of sliced operand `i`.
    int64_t getOperandDim(unsigned i) { return getDims()[i]; }
    /// The sequence dim of sliced result `i`.
    int64_t getResultDim(unsigned i) { return getDims()[getSliced().size() + i]; }
    /// The type of a block of a value of type `whole` cut along `dim`: static when `block` divides the length.
    static ::mlir::RankedTensorType getBlockType(::mlir::RankedTensorType whole, int64_t dim, int64_t block);
  }];
}

def BPT_BarrierOp : BPT_Op<"barrier", [DeclareOpInterfaceMethods<MemoryEffectsOpInterface>,
    RangedTypesMatchWith<"results have the operands' types", "inputs", "results", "$_self">]> {
  let summary = "identity that common subexpression elimination does not see through";
  let description = [{
    Returns its operands. What is computed from the results is never merged with what is computed from the operands, so
    recomputation behind a barrier survives canonicalisation and CSE.

    Constraints:
    * C1: results have the operands' types.

    Made by `bpt-differentiate`; removed in *buffers*.

    ```mlir
    %xb = bpt.barrier %x : tensor<2x128x64xf32>
    ```
  }];
  let arguments = (ins Variadic<AnyType>:$inputs);
  let results = (outs Variadic<AnyType>:$results);
  let assemblyFormat = "attr-dict $inputs `:` type($inputs)";
}

def BPT_ThreadScratchOp : BPT_Op<"thread_scratch", [Pure]> {
  let summary = "scratch bytes of the thread that runs this iteration of a parallel loop";
  let description = [{
    Only inside `scf.forall` of a kernel; its contents do not survive the iteration. The plan holds `threads` times the largest
    scratch any kernel asks for.

    Made by `convert-bpt-to-vector`; removed by `bpt-outline-parallel`.

    ```mlir
    %scratch = bpt.thread_scratch : memref<?xi8>
    ```
  }];
  let results = (outs MemRefRankOf<[I8], [1]>:$bytes);
  let assemblyFormat = "attr-dict `:` type($bytes)";
}

def BPT_SharedScratchOp : BPT_Op<"shared_scratch", [Pure]> {
  let summary = "scratch bytes that all threads of a kernel share";
  let description = [{
    Only in a kernel, outside of its parallel loops; its contents survive from one loop to the next, not the kernel. `available` is
    false where the kernel runs inside a parallel loop itself, since other kernels then run at the same time: there are no bytes
    then. The plan holds the largest shared scratch any kernel asks for.

    Made by `convert-bpt-to-vector`; removed by `bpt-outline-parallel`.

    ```mlir
    %scratch, %available = bpt.shared_scratch : memref<?xi8>, i1
    ```
  }];
  let results = (outs MemRefRankOf<[I8], [1]>:$bytes, I1:$available);
  let assemblyFormat = "attr-dict `:` type($bytes) `,` type($available)";
}

#endif
