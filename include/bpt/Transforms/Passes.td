// bpt -> bpt passes, in the order of the pipeline.
#ifndef BPT_TRANSFORMS_PASSES_TD
#define BPT_TRANSFORMS_PASSES_TD

include "mlir/Pass/PassBase.td"
include "bpt/Transforms/StructurePasses.td"

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
def BuildEvaluationPass : Pass<"bpt-build-evaluation", "::mlir::ModuleOp"> {
  let summary = "adds @<function>.evaluation: the loss without dropout";
  let description = [{
    A copy of the function in which dropout is the identity, without the arguments only dropout needed. What validation
    measures: the whole network.

    Preconditions:
    * the stage is *graph*.
  }];
  let options = [Option<"function", "function", "std::string", "\"loss\"", "the loss function">];
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
def FuseLossPass : Pass<"bpt-fuse-loss", "::mlir::ModuleOp"> {
  let summary = "linear + cross-entropy computes its gradients in the loss pass";
  let description = [{
    A `bpt.linear_cross_entropy` whose lse only its `bpt.linear_cross_entropy_grad` reads becomes part of it: logits are computed
    once, three products where there were four. That takes logits of a block of rows over the whole vocabulary, so it is done
    where these are within 2 Mi elements or half of the weight's (Analysis/TileSizes.h), and for f32 and f64, where no second
    gradient of the weight is needed for sums between the blocks. A remark says what was done, or why not.

    Preconditions:
    * the stage is *step*.

    ```mlir
    %loss, %lse = bpt.linear_cross_entropy ins(%x, %w, %t : tensor<8x4xf32>, tensor<4x7xf32>, tensor<8xi32>)
      outs(%o, %l : tensor<f32>, tensor<8xf32>) -> tensor<f32>, tensor<8xf32>
    %dx, %dw = bpt.linear_cross_entropy_grad cotangent(%d : tensor<f32>)
      ins(%x, %w, %t, %lse : tensor<8x4xf32>, tensor<4x7xf32>, tensor<8xi32>, tensor<8xf32>)
      outs(%z0, %z1 : tensor<8x4xf32>, tensor<4x7xf32>) -> tensor<8x4xf32>, tensor<4x7xf32>
    ```
    becomes
    ```mlir
    %dx, %dw, %loss = bpt.linear_cross_entropy_grad cotangent(%d : tensor<f32>)
      ins(%x, %w, %t : tensor<8x4xf32>, tensor<4x7xf32>, tensor<8xi32>)
      outs(%z0, %z1, %o : tensor<8x4xf32>, tensor<4x7xf32>, tensor<f32>) -> tensor<8x4xf32>, tensor<4x7xf32>, tensor<f32>
    ```
  }];
}
def TileBlocksPass : Pass<"bpt-tile-blocks", "::mlir::ModuleOp"> {
  let summary = "chooses tile sizes and creates the workspaces of every op";
  let description = [{
    Writes the sizes the CPU kernel of each op will use into its `schedule` (one that is there stays: it overrides), and gives
    ops that need memory shared by all threads a `workspace`: a `tensor.empty` of bytes, its size computed from dims of the
    operands, so that the memory plan holds it. The module's attribute `bpt.thread_scratch` is the scratch of each thread,
    `bpt.shared_scratch` that of all together.
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
  let options = [Option<"cpu", "cpu", "std::string", "\"native\"", "native[+amx] | x86-64-v4[+amx] | x86-64-v3 | x86-64">];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
}
def MarkEntriesPass : Pass<"bpt-mark-entries", "::mlir::ModuleOp"> {
  let summary = "says which arguments an entry may write";
  let description = [{
    Public functions are entries. An argument that a result updates in place (`bpt.inplace = <argument>`) becomes writable
    for bufferization, every other one read-only: the caller's data never changes behind its back.
  }];
  let dependentDialects = ["::mlir::bufferization::BufferizationDialect"];
}
def OffloadActivationsPass : Pass<"bpt-offload-activations", "::mlir::ModuleOp"> {
  let summary = "what the backward needs much later waits in host memory";
  let description = [{
    A buffer of an entry that is used, then not while at least three layers (functions that bpt-outline-layers made) run, then used again,
    is copied to a buffer in host memory (`memref.alloc` with `bpt.host`) and back into another one. The copies are `gpu.memcpy async`: the one out
    begins after the last use and is waited for after the next layer, the one in begins before the layer in front of the next use. The
    plan keeps what is copied from and to as long as that takes, and has the host's buffers in an arena of their own.

    Preconditions:
    * bufferized, before bpt-plan-memory;
    * layers are private functions.

    ```mlir
    %x = call @layer(%w) : (memref<512x512xf32>) -> memref<512x512xf32>
    %y = call @layer(%x) : (memref<512x512xf32>) -> memref<512x512xf32>
    ..
    %d = call @layer.vjp(%x, %e) : (memref<512x512xf32>, memref<512x512xf32>) -> memref<512x512xf32>
    ```
    becomes
    ```mlir
    %x = call @layer(%w) : (memref<512x512xf32>) -> memref<512x512xf32>
    %y = call @layer(%x) : (memref<512x512xf32>) -> memref<512x512xf32>
    %h = memref.alloc() {alignment = 64 : i64, bpt.host} : memref<512x512xf32>
    %out = gpu.memcpy async %h, %x : memref<512x512xf32>, memref<512x512xf32>
    .. // the next layer
    gpu.wait [%out]
    ..
    %again = memref.alloc() {alignment = 64 : i64} : memref<512x512xf32>
    %in = gpu.memcpy async %again, %h : memref<512x512xf32>, memref<512x512xf32>
    .. // a layer
    gpu.wait [%in]
    %d = call @layer.vjp(%again, %e) : (memref<512x512xf32>, memref<512x512xf32>) -> memref<512x512xf32>
    ```
  }];
  let options = [Option<"leastBytes", "least-bytes", "int64_t", "262144", "smaller buffers stay: their copies take longer to start than to run">];
  let dependentDialects = ["::mlir::gpu::GPUDialect", "::mlir::memref::MemRefDialect"];
}
def PlanMemoryPass : Pass<"bpt-plan-memory", "::mlir::ModuleOp"> {
  let summary = "gives every buffer a place in one arena";
  let description = [{
    Each public function is an entry. Calls are looked at as if inlined; each `memref.alloc` of each call is a slot with a
    first and a last moment and a size formula over the dynamic dims of the entry's arguments. Allocations become views of the
    arena at `offsets[base + slot]`, functions get (context, arena, offsets, base) in front of their arguments, results of the
    entry go (the plan says in which slot, or in which argument, each lies), and the plan becomes the attribute `bpt.plan`.
    The packer is the runtime's (Runtime/Packer.h), which packs again at start when sizes are dynamic. What has `bpt.host` is placed in a second
    arena, in host memory. A buffer of an asynchronous copy is alive until a `gpu.wait` of its token.

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
#endif
