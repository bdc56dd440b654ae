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
}

#endif
