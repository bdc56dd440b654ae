// Kernels as PTX, or as host code for the emulator.
#include "DeviceCode.h"
#include "CodeGeneration.h"
#include "bpt/Conversion/KernelModule.h"
#include "bpt/Emulator/LowerToEmulator.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"

using namespace mlir;

namespace bpt {

static Expected<std::unique_ptr<llvm::TargetMachine>> createNVPTXMachine() {
  static bool initialized = (LLVMInitializeNVPTXTargetInfo(), LLVMInitializeNVPTXTarget(), LLVMInitializeNVPTXTargetMC(),
                             LLVMInitializeNVPTXAsmPrinter(), true);
  (void)initialized;
  llvm::Triple triple("nvptx64-nvidia-cuda");
  std::string message;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return badInput("this LLVM has no code generator for NVIDIA GPUs: " + message);
  return std::unique_ptr<llvm::TargetMachine>(target->createTargetMachine(
      triple, "sm_90a", "+ptx84", llvm::TargetOptions(), std::nullopt, std::nullopt, llvm::CodeGenOptLevel::Aggressive));
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
  for (llvm::Function &function : *result)
    if (!function.isDeclaration() && function.getCallingConv() != llvm::CallingConv::PTX_Kernel)
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  return result;
}

Expected<std::string> emitEmulatedObject(llvm::Module &kernels, const CompileOptions &options) {
  Expected<std::unique_ptr<llvm::TargetMachine>> host = createTargetMachine(options);
  if (!host)
    return host.takeError();
  if (llvm::Error error = lowerToEmulator(kernels, **host))
    return badInput("the emulator cannot run the kernels: " + llvm::toString(std::move(error)));
  optimizeEmulated(kernels, **host);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if ((*host)->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return badInput("LLVM cannot emit an object file for this machine");
  passes.run(kernels);
  return std::string(bytes.begin(), bytes.end());
}

Expected<std::string> emitPTX(llvm::Module &kernels) {
  Expected<std::unique_ptr<llvm::TargetMachine>> machine = createNVPTXMachine();
  if (!machine)
    return machine.takeError();
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(machine->get());
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O3).run(kernels, modules);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return badInput("LLVM cannot emit PTX");
  passes.run(kernels);
  return std::string(bytes.begin(), bytes.end());
}

} // namespace bpt
