// An entry `f.grad` of a module that has only the graph of `f`: blocks and gradient are formed here, as memory allows.
#include "FitToBudget.h"
#include "bpt/Engine/Compiler.h"
#include "bpt/IR/BPT.h"
#include "bpt/Runtime/MachineMemory.h"
#include "bpt/Runtime/Plan.h"

using namespace mlir;

namespace bpt {

namespace {
struct FormedGradient {
  OwningOpRef<ModuleOp> module; ///< stage *step*
  Offload offload = Offload::No;
  int64_t bytes = 0; ///< of the arena
};
} // namespace

static Expected<FormedGradient> formGradient(Compiler &compiler, ModuleOp graph, const std::string &function,
                                             const LayerPolicy &policy, const CompileOptions &options) {
  FormedGradient result;
  result.module = graph.clone();
  std::string pipeline = "builtin.module(bpt-form-blocks{function=" + function + " " + policy.getFormOptions() +
                         "},bpt-outline-layers,bpt-differentiate{function=" + function + "})";
  if (Status status = compiler.runPipeline(*result.module, pipeline); !status)
    return status.takeError();
  CompileOptions plan = options;
  plan.memory = 0;
  plan.offload = result.offload = policy.offload ? Offload::Yes : Offload::No;
  plan.dumpStagesTo.clear();
  OwningOpRef<ModuleOp> lowered = result.module->clone();
  if (Status status = compiler.selectEntries(*lowered, plan); !status)
    return status.takeError();
  if (Status status = compiler.lower(*lowered, plan, Stage::Buffers); !status)
    return status.takeError();
  Expected<Manifest> manifest = compiler.getManifest(*lowered, plan);
  if (!manifest)
    return manifest.takeError();
  const EntryInfo &entry = manifest->entries.front();
  if (entry.dynamicDims() > 0)
    return result; // a plan in formulas: nothing to hold against a budget
  Expected<Plan> planned = planEntry(*manifest, entry, {}, static_cast<int>(options.threads));
  if (!planned)
    return planned.takeError();
  result.bytes = planned->arenaBytes;
  return result;
}

/// The function `f` when the one entry asked for is `f.grad`, and `f` is there without it.
static func::FuncOp findGraph(ModuleOp module, const CompileOptions &options) {
  llvm::StringRef name = options.entries.size() == 1 ? llvm::StringRef(options.entries.front()) : llvm::StringRef();
  if (!name.consume_back(".grad") || module.lookupSymbol(options.entries.front()))
    return {};
  auto function = module.lookupSymbol<func::FuncOp>(name);
  return function && !function.isExternal() ? function : func::FuncOp();
}

Status Compiler::formGradientEntry(OwningOpRef<ModuleOp> &module, CompileOptions &options,
                                   std::vector<PolicyCost> *considered) {
  func::FuncOp function = findGraph(*module, options);
  if (!function)
    return {};
  bool isFormed = false;
  function.walk([&](Operation *op) { isFormed |= isa<CheckpointOp, BlockwiseOp>(op); });
  if (isFormed)
    return runPipeline(*module, "builtin.module(bpt-differentiate{function=" + function.getName().str() + "})");
  std::string name = function.getName().str();
  std::vector<PolicyCost> tried;
  auto build = [&](const LayerPolicy &policy) { return formGradient(*this, *module, name, policy, options); };
  auto estimate = [&](const LayerPolicy &policy) -> Expected<MemoryEstimate> {
    Expected<FormedGradient> formed = build(policy);
    if (!formed)
      return formed.takeError();
    return MemoryEstimate{formed->bytes};
  };
  SmallVector<LayerPolicy> policies = getLayerPolicies(function);
  llvm::append_range(policies, getHeadPolicies(function));
  addOffload(policies, hasKernels(options.target) ? options.offload : Offload::No);
  Expected<FormedGradient> formed = fitToBudget<FormedGradient>(
      policies, countStepWork(function), memoryBudget(options.memory, getTargetName(options.target)), /*split=*/true,
      estimate, build, tried);
  if (!formed)
    return formed.takeError();
  module = std::move(formed->module);
  options.offload = formed->offload;
  if (considered)
    *considered = std::move(tried);
  return {};
}

} // namespace bpt
