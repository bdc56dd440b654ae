// Kernels as PTX, or as host code for the emulator.
#include "DeviceCode.h"
#include "CodeGeneration.h"
#include "bpt/Conversion/KernelModule.h"
#include "bpt/Emulator/LowerToEmulator.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Transforms/IPO/AlwaysInliner.h"

using namespace mlir;

namespace bpt {

static Expected<std::unique_ptr<llvm::TargetMachine>> createNVPTXMachine() {
  static bool initialized = (LLVMInitializeNVPTXTargetInfo(), LLVMInitializeNVPTXTarget(),
                             LLVMInitializeNVPTXTargetMC(), LLVMInitializeNVPTXAsmPrinter(), true);
  (void)initialized;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string message;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return badInput("this LLVM has no code generator for NVIDIA GPUs: " + message);
  return std::unique_ptr<llvm::TargetMachine>(
      target->createTargetMachine(triple, "sm_90a", "+ptx84", llvm::TargetOptions(), std::nullopt, std::nullopt,
                                  llvm::CodeGenOptLevel::Aggressive));
}

/// Bodies of parallel loops go into their kernels: what they captured is then read from the kernel's parameters.
static void inlineBodies(llvm::Module &kernels) {
  for (llvm::Function &function : kernels) {
    if (function.isDeclaration())
      continue;
    if (function.getCallingConv() != llvm::CallingConv::PTX_Kernel) {
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
      continue;
    }
    for (llvm::Instruction &instruction : llvm::instructions(function))
      if (auto *call = llvm::dyn_cast<llvm::CallInst>(&instruction))
        if (llvm::Function *callee = call->getCalledFunction(); callee && !callee->isDeclaration())
          callee->addFnAttr(llvm::Attribute::AlwaysInline);
  }
  runLLVMPasses(kernels, nullptr, [](llvm::PassBuilder &) {
    llvm::ModulePassManager passes;
    passes.addPass(llvm::AlwaysInlinerPass());
    return passes;
  });
}

Expected<std::unique_ptr<llvm::Module>> takeKernels(ModuleOp module, llvm::LLVMContext &context) {
  auto device = module.lookupSymbol<gpu::GPUModuleOp>(kernelModuleName);
  if (!device)
    return std::unique_ptr<llvm::Module>();
  Expected<std::unique_ptr<llvm::TargetMachine>> machine = createNVPTXMachine();
  if (!machine)
    return machine.takeError();
  OwningOpRef<ModuleOp> alone = ModuleOp::create(device.getLoc());
  alone->getBodyRegion().takeBody(device.getBodyRegion());
  device.erase();
  std::unique_ptr<llvm::Module> result = translateModuleToLLVMIR(*alone, context, kernelModuleName);
  if (!result)
    return badInput("the kernels could not be translated to LLVM IR; compile with --stop-after=llvm to look at them");
  result->setDataLayout((*machine)->createDataLayout());
  result->setTargetTriple((*machine)->getTargetTriple());
  inlineBodies(*result);
  return result;
}

static void optimizeForGPU(llvm::Module &kernels, llvm::TargetMachine &machine) {
  runLLVMPasses(kernels, &machine, [](llvm::PassBuilder &builder) {
    return builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3);
  });
}

Expected<std::string> emitEmulatedObject(llvm::Module &kernels, const CompileOptions &options) {
  if (options.emulator && options.emulator->optimized) {
    Expected<std::unique_ptr<llvm::TargetMachine>> machine = createNVPTXMachine();
    if (!machine)
      return machine.takeError();
    optimizeForGPU(kernels, **machine);
  }
  Expected<std::unique_ptr<llvm::TargetMachine>> host = createTargetMachine(options);
  if (!host)
    return host.takeError();
  if (llvm::Error error = lowerToEmulator(kernels, **host))
    return badInput("the emulator cannot run the kernels: " + llvm::toString(std::move(error)));
  optimizeEmulated(kernels, **host);
  return emitFile(kernels, **host, llvm::CodeGenFileType::ObjectFile);
}

Expected<std::string> emitPTX(llvm::Module &kernels) {
  Expected<std::unique_ptr<llvm::TargetMachine>> machine = createNVPTXMachine();
  if (!machine)
    return machine.takeError();
  optimizeForGPU(kernels, **machine);
  return emitFile(kernels, **machine, llvm::CodeGenFileType::AssemblyFile);
}

Expected<std::string> emitCudaImage(llvm::Module &kernels) {
  Expected<std::string> ptx = emitPTX(kernels);
  if (!ptx)
    return ptx.takeError();
  if (findPtxas())
    return assembleKernels(*ptx);
  static bool once =
      (llvm::errs() << "note: no ptxas on the path or in /usr/local/cuda/bin: the driver will compile the kernels "
                       "when they are loaded\n",
       true);
  (void)once;
  return *ptx + '\0';
}

void embedDeviceCode(llvm::Module &module, llvm::StringRef image) {
  llvm::LLVMContext &context = module.getContext();
  llvm::Constant *bytes = llvm::ConstantDataArray::getString(context, image, /*AddNull=*/false);
  new llvm::GlobalVariable(module, bytes->getType(), true, llvm::GlobalValue::ExternalLinkage, bytes,
                           "bpt_device_code");
  llvm::Constant *size = llvm::ConstantInt::get(llvm::Type::getInt64Ty(context), image.size());
  new llvm::GlobalVariable(module, size->getType(), true, llvm::GlobalValue::ExternalLinkage, size,
                           "bpt_device_code_size");
}

} // namespace bpt
