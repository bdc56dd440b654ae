// Registration of the dialect, external models, passes and pipelines.
#include "bpt/Pipelines/Register.h"
#include "bpt/Conversion/Passes.h"
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/Register.h"
#include "bpt/Pipelines/Pipelines.h"
#include "bpt/Transforms/Passes.h"

namespace bpt {
namespace {
#define GEN_PASS_REGISTRATION
#include "bpt/Transforms/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "bpt/Conversion/Passes.h.inc"
} // namespace

void registerDialect(mlir::DialectRegistry &registry) {
  registry.insert<BPTDialect>();
  registerBufferizationModels(registry);
  registerCostModels(registry);
  registerDifferentiableModels(registry);
  registerSequenceModels(registry);
}

void registerPasses() {
  registerBuildEvaluationPass();
  registerBuildSamplerPass();
  registerBuildTrainStepPass();
  registerDifferentiatePass();
  registerFormBlocksPass();
  registerFuseLossPass();
  registerLowerCopiesPass();
  registerLowerStructurePass();
  registerOffloadActivationsPass();
  registerOutlineLayersPass();
  registerTileBlocksPass();
  registerVerifyStagePass();
  registerMarkEntriesPass();
  registerOwnDestinationsPass();
  registerPlanMemoryPass();
  registerConvertBPTToLinalgPass();
  registerConvertBPTToVectorPass();
  registerConvertBPTToNVVMPass();
  registerOutlineParallelPass();
  registerOutlineKernelsPass();
  registerDistributeLanesPass();
  registerLowerLaunchesPass();
  registerLowerMatrixTilesPass();
  registerCreateEntriesPass();
  mlir::PassPipelineRegistration<LowerOptions>(
      "bpt-lower-to-reference", "graph .. step to LLVM by the unblocked definitions", buildReferencePipeline);
  mlir::PassPipelineRegistration<LowerOptions>("bpt-lower-to-cpu", "graph .. step to LLVM by CPU kernels",
                                               buildCPUPipeline);
  mlir::PassPipelineRegistration<LowerOptions>(
      "bpt-lower-to-nvvm", "graph .. step to LLVM by GPU kernels; needs cpu=sm_90a", buildNVVMPipeline);
}

} // namespace bpt
