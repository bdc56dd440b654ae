// bpt -> something else.
#ifndef BPT_CONVERSION_PASSES_TD
#define BPT_CONVERSION_PASSES_TD

include "mlir/Pass/PassBase.td"

def ConvertBPTToLinalgPass : Pass<"convert-bpt-to-linalg", "::mlir::ModuleOp"> {
  let summary = "the unblocked definition of every op: the oracle";
}
def ConvertBPTToVectorPass : Pass<"convert-bpt-to-vector", "::mlir::ModuleOp"> {
  let summary = "CPU kernels for bpt ops, contractions and elementwise linalg on memrefs";
  let options = [Option<"cpu", "cpu", "std::string", "\"native\"", "native | x86-64-v4 | x86-64-v3 | x86-64">];
}
def OutlineParallelPass : Pass<"bpt-outline-parallel", "::mlir::ModuleOp"> {
  let summary = "parallel loops become calls of bpt_parallel_for";
  let description = [{
    The body of each `scf.forall` becomes a private function `(closure, item, scratch)`; captured values go through a closure
    on the stack, constants are repeated in the body. `bpt.thread_scratch` becomes the scratch the runtime passes.
    Functions that run a parallel loop get the runtime's context as an argument (`bpt.context`).

    Preconditions:
    * loops have no results and are not nested;
    * captured values have an LLVM type.
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::func::FuncDialect", "::mlir::arith::ArithDialect"];
}
def CreateEntriesPass : Pass<"bpt-create-entries", "::mlir::ModuleOp"> {
  let summary = "one C function per entry";
  let description = [{
    Each function that bpt-plan-memory planned gets `int32_t bpt_entry_<name>(context, args, dims, arena, offsets)` around it:
    the one binary interface of compiled programs (Runtime/RuntimeABI.h).
  }];
  let dependentDialects = ["::mlir::LLVM::LLVMDialect", "::mlir::func::FuncDialect", "::mlir::arith::ArithDialect"];
}

#endif
