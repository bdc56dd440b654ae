// bpt -> bpt passes, in the order of the pipeline.
#ifndef BPT_TRANSFORMS_PASSES_TD
#define BPT_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"

def FormBlocksPass : Pass<"bpt-form-blocks", "::mlir::ModuleOp"> {
  let summary = "forms checkpoints and blockwise maps from a loss graph";
  let options = [
    Option<"strategy", "strategy", "std::string", "\"blockwise\"", "vanilla | memory-efficient | blockwise">,
    Option<"block", "block", "int64_t", "512", "rows of a block">,
    Option<"keep", "keep", "std::string", "\"\"", "input | attention | qkv | all; default: input for blockwise, else all">,
    Option<"function", "function", "std::string", "\"loss\"", "the function to work on">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::tensor::TensorDialect"];
}
def OutlineLayersPass : Pass<"bpt-outline-layers", "::mlir::ModuleOp"> {
  let summary = "equal checkpoints become one private function";
  let description = [{
    Two or more `bpt.checkpoint` whose bodies are equal (ops, attributes, types, and which value each operand is; operands of the
    checkpoint itself are free) become `bpt.checkpoint @layer(..)` on one private function, so that its gradient, tiles, buffers
    and code are made once. Names are `layer`, `layer_1`, .. in order of first use; names that exist are skipped.

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
def DifferentiatePass : Pass<"bpt-differentiate", "::mlir::ModuleOp"> {
  let summary = "adds the gradient function @f.grad";
  let description = [{
    Adds `@f.grad` after `@f`, by reverse mode. Arguments: those of `@f`, then one cotangent, `<result>.cotangent`, per
    floating-point result; none when `@f` has one floating-point result and that is a scalar (its cotangent is 1). Results: those
    of `@f`, then `<argument>.grad` for each floating-point argument, or each of those named in `wrt`, in the order of the
    arguments. Names are `bpt.name`, else arg<i> and result<i>.

    * Every gradient op adds into its `outs`, so a value used several times, a tied weight say, has one gradient buffer; the
      gradient of a slice or reshape is that slice or reshape of its source's.
    * The backward of a `bpt.checkpoint` computes its body again, behind a `bpt.barrier` and right before the use, but for what
      `keep` names: the checkpoint then has further results. With a callee it calls `@callee.vjp`, made once per distinct
      callee, policy and set of gradients, accumulators in and out.
    * The backward of a `bpt.blockwise` is a `bpt.blockwise`: gradients of sliced operands are sliced, gradients of shared
      operands are accumulated in f32 (f64 for f64).

    Preconditions:
    * stage graph or blocks: one block of ops on tensors and scalars;
    * every op between what is differentiated and the results implements `DifferentiableOpInterface`. One that does not is an
      error that names it; a partial gradient is never made.

    ```mlir
    func.func @f(%x: tensor<4xf32> {bpt.name = "x"}) -> (tensor<4xf32> {bpt.name = "y"}) {
      %y = math.exp %x : tensor<4xf32>
      return %y : tensor<4xf32>
    }
    // adds
    func.func @f.grad(%x: tensor<4xf32> {bpt.name = "x"}, %dy: tensor<4xf32> {bpt.name = "y.cotangent"})
        -> (tensor<4xf32> {bpt.name = "y"}, tensor<4xf32> {bpt.name = "x.grad"}) {
      %y = math.exp %x : tensor<4xf32>
      %e = tensor.empty() : tensor<4xf32>
      %dx = linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
                            iterator_types = ["parallel"]} ins(%x, %dy : tensor<4xf32>, tensor<4xf32>)
                            outs(%e : tensor<4xf32>) {
      ^bb0(%xi: f32, %dyi: f32, %out: f32):
        %yi = math.exp %xi : f32
        %dxi = arith.mulf %dyi, %yi : f32
        linalg.yield %dxi : f32
      } -> tensor<4xf32>
      return %y, %dx : tensor<4xf32>, tensor<4xf32>
    }
    ```
  }];
  let options = [
    Option<"function", "function", "std::string", "\"loss\"", "the function to differentiate">,
    ListOption<"wrt", "wrt", "std::string", "names of the arguments to differentiate with respect to; default: every float argument">];
  let dependentDialects = ["::bpt::BPTDialect", "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
                           "::mlir::affine::AffineDialect"];
}
def BuildTrainStepPass : Pass<"bpt-build-train-step", "::mlir::ModuleOp"> {
  let summary = "adds @train_step: loss, gradients, clipping and AdamW in place";
  let description = [{
    Adds `@train_step` after the loss: forward, backward, the norm of all gradients and AdamW. Arguments: the parameters
    (arguments of the loss with `bpt.init`; bf16 and f16 ones are f32 here and rounded at the start), then `<p>.m` and `<p>.v` of
    each, `step: tensor<i64>` from 1, `lr: tensor<f32>`, and the other arguments of the loss, 0-d ones (the seed) first. Results:
    `loss`, `grad_norm` before clipping, then the parameters, `<p>.m` and `<p>.v`, updated in place: their `bpt.inplace` is the
    number of the argument they are. Parameters with `bpt.decay = true` decay by `weight-decay`.

    With `accumulate` = A > 1 the data arguments have a leading dim A. A loop over micro-steps sums the gradients in f32 (f64
    for f64); `bpt.linear_cross_entropy` divides by the valid targets of all micro-steps, counted before the first backward. A
    loss of another kind is averaged. Each micro-step has a seed of its own: the seed plus its number times 2^32.

    Preconditions: as of `bpt-differentiate`; the loss has one result, a 0-d floating-point tensor, and parameters.

    ```mlir
    func.func @loss(%w: tensor<4xf32> {bpt.name = "w", bpt.init = #bpt.zeros, bpt.decay = true},
                    %x: tensor<4xf32> {bpt.name = "x"}) -> (tensor<f32> {bpt.name = "loss"})
    // adds
    func.func @train_step(%w: tensor<4xf32> {bpt.name = "w", bpt.init = #bpt.zeros, bpt.decay = true},
                          %m: tensor<4xf32> {bpt.name = "w.m"}, %v: tensor<4xf32> {bpt.name = "w.v"},
                          %step: tensor<i64> {bpt.name = "step"}, %lr: tensor<f32> {bpt.name = "lr"},
                          %x: tensor<4xf32> {bpt.name = "x"})
        -> (tensor<f32> {bpt.name = "loss"}, tensor<f32> {bpt.name = "grad_norm"},
            tensor<4xf32> {bpt.inplace = 0 : i64, bpt.name = "w"}, tensor<4xf32> {bpt.inplace = 1 : i64, bpt.name = "w.m"},
            tensor<4xf32> {bpt.inplace = 2 : i64, bpt.name = "w.v"})
    ```
  }];
  let options = [
    Option<"optimizer", "optimizer", "std::string", "\"adamw\"", "adamw">,
    Option<"function", "function", "std::string", "\"loss\"", "the loss function">,
    Option<"beta1", "beta1", "double", "0.9", "decay of the first moment">,
    Option<"beta2", "beta2", "double", "0.95", "decay of the second moment">,
    Option<"eps", "eps", "double", "1e-8", "added to the root of the second moment">,
    Option<"weightDecay", "weight-decay", "double", "0.1", "decoupled decay of parameters with bpt.decay">,
    Option<"clip", "clip", "double", "1.0", "largest global norm of the gradients; 0 turns clipping off">,
    Option<"accumulate", "accumulate", "int64_t", "1", "micro-steps a step">];
  let dependentDialects = ["::bpt::BPTDialect", "::mlir::func::FuncDialect", "::mlir::math::MathDialect",
                           "::mlir::affine::AffineDialect", "::mlir::scf::SCFDialect"];
}
def BuildSamplerPass : Pass<"bpt-build-sampler", "::mlir::ModuleOp"> {
  let summary = "adds @next_logits: the logits of the next token";
  let description = [{
    Adds `@next_logits(parameters.., tokens, position: tensor<i64>) -> logits` from a loss function: the network up to its one
    `bpt.linear_cross_entropy`, then the logits of row `position` of sequence 0, `[V]` of f32 (f64 for f64). Dropout is
    removed; arguments only the loss needs are dropped.

    Preconditions:
    * the function has one `bpt.linear_cross_entropy`.
  }];
  let options = [Option<"function", "function", "std::string", "\"loss\"", "the loss function">];
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
def TileBlocksPass : Pass<"bpt-tile-blocks", "::mlir::ModuleOp"> {
  let summary = "chooses tile sizes and creates the workspaces of every op";
  let description = [{
    Writes the sizes the CPU kernel of each op will use into its `schedule` (one that is there stays: it overrides), and gives
    ops that need memory shared by all threads a `workspace`: a `tensor.empty` of bytes, its size computed from dims of the
    operands, so that the memory plan holds it. The module's attribute `bpt.thread_scratch` is the scratch of each thread.
    Sizes come from Analysis/TileSizes.h; a remark on each op says what was chosen, what it needs, and why.

    Preconditions:
    * ops are on tensors, and structure is lowered: bodies of loops get workspaces of their own.

    ```mlir
    %y = bpt.feed_forward ins(%x : tensor<?x64xf32>) up(%w1 : tensor<64x256xf32>) down(%w2 : tensor<256x64xf32>)
      outs(%o : tensor<?x64xf32>) -> tensor<?x64xf32>
    ```
    becomes, with %bytes from `tensor.dim %x`,
    ```mlir
    %w = tensor.empty(%bytes) : tensor<?xi8>
    %y = bpt.feed_forward {schedule = #bpt.schedule<{rows = 1536 : i64}>} ins(%x : tensor<?x64xf32>)
      up(%w1 : tensor<64x256xf32>) down(%w2 : tensor<256x64xf32>) outs(%o : tensor<?x64xf32>)
      workspace(%w : tensor<?xi8>) -> tensor<?x64xf32>
    ```
  }];
  let options = [Option<"cpu", "cpu", "std::string", "\"native\"", "native | x86-64-v4 | x86-64-v3 | x86-64">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
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
def MarkEntriesPass : Pass<"bpt-mark-entries", "::mlir::ModuleOp"> {
  let summary = "says which arguments an entry may write";
  let description = [{
    Public functions are entries. An argument that a result updates in place (`bpt.inplace = <argument>`) becomes writable
    for bufferization, every other one read-only: the caller's data never changes behind its back.
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect"];
}
def PlanMemoryPass : Pass<"bpt-plan-memory", "::mlir::ModuleOp"> {
  let summary = "gives every buffer a place in one arena";
  let description = [{
    Each public function is an entry. Calls are looked at as if inlined; each `memref.alloc` of each call is a slot with a
    first and a last moment and a size formula over the dynamic dims of the entry's arguments. Allocations become views of the
    arena at `offsets[base + slot]`, functions get (context, arena, offsets, base) in front of their arguments, results of the
    entry go (the plan says in which slot, or in which argument, each lies), and the plan becomes the attribute `bpt.plan`.
    The packer is the runtime's (Runtime/Packer.h), which packs again at start when sizes are dynamic.

    Preconditions:
    * bufferized, no recursion;
    * sizes of allocations follow from dims of the entry's arguments by integer arithmetic.

    A static entry whose arena is larger than `budget` is an error with the numbers.
  }];
  let options = [
    Option<"budget", "budget", "int64_t", "0", "bytes the arena may have; 0: any">,
    Option<"threads", "threads", "int64_t", "1", "threads the printed plan is evaluated for">,
    Option<"print", "print", "bool", "false", "print who is alive at the peak">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::memref::MemRefDialect", "::mlir::arith::ArithDialect"];
}
def LowerCopiesPass : Pass<"bpt-lower-copies", "::mlir::ModuleOp"> {
  let summary = "copies of buffers become linalg.copy";
  let description = [{
    `memref.copy` becomes `linalg.copy`, which the reference lowers to loops: upstream's lowering of a strided copy calls
    `memrefCopy` of mlir-runner's library, which compiled programs do not have.
  }];
  let dependentDialects = ["::mlir::linalg::LinalgDialect"];
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
    | kernels | func, scf, arith, math, memref, vector, llvm, `bpt.thread_scratch`; no other bpt op, no linalg |
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
