// graph .. step -> tiles -> buffers, for the reference and for the CPU.
#include "bpt/Conversion/Passes.h"
#include "bpt/Pipelines/Pipelines.h"
#include "bpt/Transforms/Passes.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Dialect/Bufferization/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace bpt {

/// Tensors become memrefs, in place wherever the analysis allows. Live afterwards: memref, func, scf, arith, math,
/// linalg on buffers, and bpt on buffers.
static void addBufferization(OpPassManager &manager) {
  manager.addPass(createMarkEntriesPass());
  // CSE shared destinations; after this pass nothing may again before buffers.
  manager.addPass(createOwnDestinationsPass());
  manager.addPass(bufferization::createEmptyTensorEliminationPass());
  bufferization::OneShotBufferizePassOptions options;
  options.bufferizeFunctionBoundaries = true;
  options.functionBoundaryTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  options.unknownTypeConversion = bufferization::LayoutMapOption::IdentityLayoutMap;
  manager.addPass(bufferization::createOneShotBufferizePass(options));
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

static void addPlan(OpPassManager &manager, const LowerOptions &options) {
  PlanMemoryPassOptions plan;
  plan.budget = options.budget;
  plan.threads = options.threads;
  plan.print = options.printPlan;
  manager.addPass(createPlanMemoryPass(plan));
  // Folds the views of the arena; live: the same dialects, no allocation.
  manager.addPass(createCanonicalizerPass());
}

void addReferenceTiles(OpPassManager &manager, const LowerOptions &options) {
  // graph, blocks, step: bpt, linalg, arith, math, tensor, func
  manager.addPass(createLowerStructurePass());
  manager.addPass(createConvertBPTToLinalgPass());
  // tiles: linalg, arith, math, tensor, scf, func
  manager.addNestedPass<func::FuncOp>(createConvertElementwiseToLinalgPass());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
}

void addTiles(OpPassManager &manager, const LowerOptions &options) {
  // graph, blocks, step: bpt, linalg, arith, math, tensor, func
  manager.addPass(createLowerStructurePass());
  manager.addNestedPass<func::FuncOp>(createConvertElementwiseToLinalgPass());
  manager.addPass(createCanonicalizerPass());
  manager.addPass(createCSEPass());
  manager.addPass(createFuseLossPass());
  TileBlocksPassOptions tiles;
  tiles.cpu = options.cpu;
  manager.addPass(createTileBlocksPass(tiles));
  // tiles: the same with scf, schedules and workspaces
}

void addBuffers(OpPassManager &manager, const LowerOptions &options) {
  addBufferization(manager);
  if (options.offload)
    manager.addPass(createOffloadActivationsPass());
  addPlan(manager, options);
}

} // namespace bpt
