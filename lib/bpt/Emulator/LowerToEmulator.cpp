// The rewrite of a module of kernels for the CPU.
#include "bpt/Emulator/LowerToEmulator.h"
#include "Accumulators.h"
#include "BFloat.h"
#include "InlinePTX.h"
#include "Intrinsics.h"
#include "MemoryChecks.h"
#include "RuntimeCalls.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/ReplaceConstant.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetMachine.h"

using namespace llvm;

namespace bpt {

static bool isKernel(const Function &function) {
  return !function.isDeclaration() &&
         (function.getCallingConv() == CallingConv::PTX_Kernel || function.hasFnAttribute("nvvm.kernel"));
}

/// Uses of the dynamic shared memory become the block's window.
static Error lowerSharedMemory(RuntimeCalls &calls) {
  SmallVector<GlobalVariable *> arrays;
  for (GlobalVariable &global : calls.module.globals()) {
    if (global.getAddressSpace() != 3)
      continue;
    auto *type = dyn_cast<ArrayType>(global.getValueType());
    if (!global.isDeclaration() || !type || type->getNumElements() != 0)
      return createStringError("shared variable '" + global.getName() +
                               "' is not emulated: expected an external array of no elements");
    arrays.push_back(&global);
  }
  for (GlobalVariable *array : arrays) {
    convertUsersOfConstantsToInstructions({array});
    DenseMap<Function *, Value *> bases;
    for (Use &use : make_early_inc_range(array->uses())) {
      auto *user = dyn_cast<Instruction>(use.getUser());
      if (!user)
        return createStringError("shared variable '" + array->getName() + "' is used by a global initialiser");
      Value *&base = bases[user->getFunction()];
      if (!base) {
        BasicBlock &entry = user->getFunction()->getEntryBlock();
        IRBuilder<> builder(&entry, entry.begin());
        base = builder.CreateAddrSpaceCast(calls.call(builder, "bpt_emulated_shared", {}), array->getType(), "shared");
      }
      use.set(base);
    }
    array->eraseFromParent();
  }
  return Error::success();
}

/// `void bpt_emulated_<name>(void **arguments)`: one GPU thread. A by-value argument is handed over where it lies.
static void addEntry(Function &kernel) {
  Module &module = *kernel.getParent();
  IRBuilder<> builder(module.getContext());
  auto *type = FunctionType::get(builder.getVoidTy(), {builder.getPtrTy()}, false);
  Function *entry = Function::Create(type, GlobalValue::ExternalLinkage, "bpt_emulated_" + kernel.getName(), module);
  builder.SetInsertPoint(BasicBlock::Create(module.getContext(), "entry", entry));
  SmallVector<Value *> arguments;
  for (Argument &argument : kernel.args()) {
    Value *slot = builder.CreateConstInBoundsGEP1_64(builder.getPtrTy(), entry->getArg(0), argument.getArgNo());
    Value *place = builder.CreateLoad(builder.getPtrTy(), slot);
    arguments.push_back(argument.hasByValAttr() ? RuntimeCalls::convert(builder, place, argument.getType())
                                                : builder.CreateLoad(argument.getType(), place));
  }
  builder.CreateCall(&kernel, arguments);
  builder.CreateRetVoid();
  kernel.setCallingConv(CallingConv::C);
  for (Argument &argument : kernel.args())
    kernel.removeParamAttr(argument.getArgNo(), Attribute::ByVal);
  kernel.setLinkage(GlobalValue::InternalLinkage);
}

/// The target and its CPU; what only NVPTX understands goes.
static void retarget(Module &module, const TargetMachine &host) {
  module.setTargetTriple(host.getTargetTriple());
  module.setDataLayout(host.createDataLayout());
  for (StringRef name : {"nvvm.annotations", "nvvmir.version", "nvvm-reflect-ftz"})
    if (NamedMDNode *metadata = module.getNamedMetadata(name))
      module.eraseNamedMetadata(metadata);
  for (Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.removeFnAttr("target-cpu");
    function.removeFnAttr("target-features");
    function.removeFnAttr(Attribute::Convergent);
    function.addFnAttr("target-cpu", host.getTargetCPU());
    if (!host.getTargetFeatureString().empty())
      function.addFnAttr("target-features", host.getTargetFeatureString());
    // Accesses happen in functions of the runtime that the kernel calls, and threads wait for each other.
    function.removeFnAttr(Attribute::Memory);
    function.removeFnAttr(Attribute::WillReturn);
    function.removeFnAttr(Attribute::NoSync);
    function.removeFnAttr(Attribute::NoFree);
    function.addFnAttr(Attribute::NoUnwind);
  }
}

Error lowerToEmulator(Module &module, const TargetMachine &host, const EmulationOptions &options) {
  RuntimeCalls calls(module);
  if (options.checkMemory)
    checkMemoryAccesses(calls);
  checkFences(calls);
  auto usedRegisters = checkAccumulatorUses(calls);
  if (Error error = lowerInlinePTX(calls, usedRegisters))
    return error;
  if (Error error = lowerIntrinsics(calls))
    return error;
  if (Error error = expandBFloat(module))
    return error;
  if (Error error = lowerSharedMemory(calls))
    return error;
  SmallVector<Function *> kernels;
  for (Function &function : module)
    if (isKernel(function)) {
      if (function.hasFnAttribute("nvvm.cluster_dim"))
        return createStringError("kernel '" + function.getName() +
                                 "' asks for a cluster of blocks, which is not emulated");
      kernels.push_back(&function);
    }
  for (Function *kernel : kernels)
    addEntry(*kernel);
  retarget(module, host);
  // Declarations of replaced intrinsics are left without uses; LLVM would not know their names on the host.
  for (Function &function : make_early_inc_range(module))
    if (function.isDeclaration() && function.use_empty())
      function.eraseFromParent();
  std::string problems;
  raw_string_ostream stream(problems);
  if (verifyModule(module, &stream))
    return createStringError("the rewritten module is not valid: " + problems);
  return Error::success();
}

void optimizeEmulated(Module &module, TargetMachine &host) {
  LoopAnalysisManager loops;
  FunctionAnalysisManager functions;
  CGSCCAnalysisManager components;
  ModuleAnalysisManager modules;
  PassBuilder builder(&host);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(components);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, components, modules);
  builder.buildPerModuleDefaultPipeline(OptimizationLevel::O2).run(module, modules);
}

} // namespace bpt
