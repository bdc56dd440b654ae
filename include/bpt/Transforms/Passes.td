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
}
def OutlineLayersPass : Pass<"bpt-outline-layers", "::mlir::ModuleOp"> {
  let summary = "equal checkpoints become one private function";
}
def DifferentiatePass : Pass<"bpt-differentiate", "::mlir::ModuleOp"> {
  let summary = "adds the gradient function @f.grad";
  let options = [
    Option<"function", "function", "std::string", "\"loss\"", "the function to differentiate">,
    ListOption<"wrt", "wrt", "std::string", "names of the arguments to differentiate with respect to; default: every float argument">];
}
def BuildTrainStepPass : Pass<"bpt-build-train-step", "::mlir::ModuleOp"> {
  let summary = "adds @train_step: loss, gradients, clipping and AdamW in place";
  let options = [
    Option<"optimizer", "optimizer", "std::string", "\"adamw\"", "adamw">,
    Option<"function", "function", "std::string", "\"loss\"", "the loss function">,
    Option<"beta1", "beta1", "double", "0.9", "decay of the first moment">,
    Option<"beta2", "beta2", "double", "0.95", "decay of the second moment">,
    Option<"eps", "eps", "double", "1e-8", "added to the root of the second moment">,
    Option<"weightDecay", "weight-decay", "double", "0.1", "decoupled decay of parameters with bpt.decay">,
    Option<"clip", "clip", "double", "1.0", "largest global norm of the gradients; 0 turns clipping off">,
    Option<"accumulate", "accumulate", "int64_t", "1", "micro-steps a step">];
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
}
def TileBlocksPass : Pass<"bpt-tile-blocks", "::mlir::ModuleOp"> {
  let summary = "chooses tile sizes and creates the workspaces of every op";
  let options = [Option<"cpu", "cpu", "std::string", "\"native\"", "native | x86-64-v4 | x86-64-v3 | x86-64">];
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
  let options = [
    Option<"budget", "budget", "int64_t", "0", "bytes the arena may have; 0: any">,
    Option<"threads", "threads", "int64_t", "1", "threads the printed plan is evaluated for">,
    Option<"print", "print", "bool", "false", "print who is alive at the peak">];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::memref::MemRefDialect", "::mlir::arith::ArithDialect"];
}
def VerifyStagePass : Pass<"bpt-verify-stage", "::mlir::ModuleOp"> {
  let summary = "names every op that may not be there any more at a stage";
  let options = [Option<"stage", "stage", "std::string", "\"\"", "graph | blocks | step | tiles | buffers | kernels | llvm">];
}

#endif
