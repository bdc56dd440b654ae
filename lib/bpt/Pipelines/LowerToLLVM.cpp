// buffers -> kernels -> llvm, and the whole pipelines.
#include "bpt/Conversion/Passes.h"
#include "bpt/Pipelines/Pipelines.h"
#include "bpt/Transforms/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace bpt {

void addReferenceKernels(OpPassManager &manager, const LowerOptions &options) {
  manager.addPass(createLowerCopiesPass());
  manager.addNestedPass<func::FuncOp>(createConvertLinalgToLoopsPass());
  manager.addPass(createCanonicalizerPass());
}

void addCPUKernels(OpPassManager &manager, const LowerOptions &options) {
  ConvertBPTToVectorPassOptions kernels;
  kernels.cpu = options.cpu;
  kernels.profile = options.profile;
  manager.addPass(createConvertBPTToVectorPass(kernels));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void addGPUKernels(OpPassManager &manager, const LowerOptions &options) {
  manager.addPass(createConvertBPTToNVVMPass());
  // What has no kernel of its own runs as vector code whose vectors are warps.
  ConvertBPTToVectorPassOptions kernels;
  kernels.cpu = options.cpu;
  manager.addPass(createConvertBPTToVectorPass(kernels));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createSymbolDCEPass()); // helpers of branches that folded away are nobody's
  manager.addPass(createOutlineKernelsPass());
  // gpu.module: func, scf, memref, vector, arith, math, llvm, nvvm
  manager.addNestedPass<gpu::GPUModuleOp>(createDistributeLanesPass());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createSymbolDCEPass());
}

/// What each function, or the module of a GPU's kernels, can do by itself: it runs on several of them at once.
static void addFunctionsToLLVM(OpPassManager &manager) {
  OpPassManager &loops = manager.nestAny();
  loops.addPass(memref::createExpandStridedMetadataPass());
  loops.addPass(createLowerAffinePass());
  loops.addPass(createConvertVectorToSCFPass());
  loops.addPass(createLowerMatrixTilesPass());
  loops.addPass(createSCFToControlFlowPass());
  // Narrow floats are widened and rounded by integer arithmetic on the host: the packaged LLVM would call __truncsfbf2 of a newer
  // libgcc. A GPU has instructions, for these and for maxima.
  arith::ArithExpandOpsPassOptions expand;
  expand.includeBf16 = true;
  manager.addNestedPass<func::FuncOp>(arith::createArithExpandOpsPass(expand));
  OpPassManager &rest = manager.nestAny();
  rest.addPass(createCanonicalizerPass());
  rest.addPass(createCSEPass());
  rest.addPass(createConvertVectorToLLVMPass());
  rest.addPass(createConvertMathToLLVMPass());
  rest.addPass(createArithToLLVMConversionPass());
  rest.addPass(createConvertIndexToLLVMPass());
}

void addLLVM(OpPassManager &manager, const LowerOptions &options) {
  // kernels: func, scf, memref, vector, arith, math, affine
  manager.addPass(createOutlineParallelPass());
  manager.addPass(createLowerLaunchesPass());
  manager.addPass(createCreateEntriesPass());
  addFunctionsToLLVM(manager);
  manager.addPass(createConvertMathToLibmPass());
  manager.addPass(createFinalizeMemRefToLLVMConversionPass());
  manager.addPass(createConvertFuncToLLVMPass());
  manager.addPass(createConvertControlFlowToLLVMPass());
  OpPassManager &each = manager.nestAny();
  each.addPass(createConvertNVVMToLLVMPass());
  each.addPass(createReconcileUnrealizedCastsPass());
  // llvm
}

void buildReferencePipeline(OpPassManager &manager, const LowerOptions &options) {
  addReferenceTiles(manager, options);
  addBuffers(manager, options);
  addReferenceKernels(manager, options);
  addLLVM(manager, options);
}

void buildCPUPipeline(OpPassManager &manager, const LowerOptions &options) {
  addTiles(manager, options);
  addBuffers(manager, options);
  addCPUKernels(manager, options);
  addLLVM(manager, options);
}

void buildNVVMPipeline(OpPassManager &manager, const LowerOptions &options) {
  addTiles(manager, options);
  addBuffers(manager, options);
  addGPUKernels(manager, options);
  addLLVM(manager, options);
}

} // namespace bpt
