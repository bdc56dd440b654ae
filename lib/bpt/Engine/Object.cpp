// From the LLVM dialect to machine code: translation, optimisation, object, shared library, program in memory.
#include "bpt/Analysis/TargetInfo.h"
#include "bpt/Engine/Compiler.h"
#include "bpt/Runtime/RuntimeABI.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Verifier.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/TargetParser/Host.h"

using namespace mlir;

namespace bpt {

static Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const CompileOptions &options) {
  static bool initialized = (llvm::InitializeNativeTarget(), llvm::InitializeNativeTargetAsmPrinter(), true);
  (void)initialized;
  std::optional<TargetInfo> info = TargetInfo::get(options.cpu);
  if (!info)
    return usageError("unknown cpu '" + options.cpu + "'; expected " + TargetInfo::getKnownNames().str());
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  std::string message;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return badInput(message);
  llvm::TargetOptions targetOptions;
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(triple, info->cpu, info->features, targetOptions, llvm::Reloc::PIC_, std::nullopt,
                                  llvm::CodeGenOptLevel::Default));
  if (!machine)
    return badInput("LLVM has no code generator for " + triple.str());
  return machine;
}

/// O2 for kernels. The reference has one loop nest per step of each definition: O2 vectorises and unrolls them all and takes
/// ten times as long to compile as the little below, and then runs once.
static void optimize(llvm::Module &module, llvm::TargetMachine &machine, Target target) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  if (target != Target::Reference) {
    builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
    return;
  }
  llvm::ModulePassManager passes;
  llvm::cantFail(builder.parsePassPipeline(
      passes, "always-inline,function(early-cse<memssa>,simplifycfg,loop-mssa(licm),early-cse<memssa>),globaldce"));
  passes.run(module, modules);
}

Expected<std::unique_ptr<llvm::Module>> Compiler::translate(ModuleOp module, llvm::LLVMContext &llvmContext,
                                                            const CompileOptions &options) {
  std::unique_ptr<llvm::Module> result = translateModuleToLLVMIR(module, llvmContext);
  if (!result)
    return badInput("the module could not be translated to LLVM IR; compile with --stop-after=llvm to look at it");
  Expected<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(options);
  if (!machine)
    return machine.takeError();
  result->setDataLayout((*machine)->createDataLayout());
  result->setTargetTriple((*machine)->getTargetTriple());
  for (llvm::Function &function : *result) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", (*machine)->getTargetCPU());
    function.addFnAttr("target-features", (*machine)->getTargetFeatureString());
    // Loops stay loops: compiled programs have no C library to call memset or memcpy of.
    function.addFnAttr("no-builtins");
    // 512-bit vectors are what the kernels are written for.
    function.addFnAttr("prefer-vector-width", "512");
    if (!function.getName().starts_with("bpt_entry_"))
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  }
  optimize(*result, **machine, options.target);
  return result;
}

static Expected<std::string> emitFile(llvm::Module &module, const CompileOptions &options, llvm::CodeGenFileType type) {
  Expected<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(options);
  if (!machine)
    return machine.takeError();
  (*machine)->Options.MCOptions.AsmVerbose = true;
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if ((*machine)->addPassesToEmitFile(passes, stream, nullptr, type))
    return badInput("LLVM cannot emit a file for this target");
  passes.run(module);
  return std::string(bytes.begin(), bytes.end());
}

Expected<std::string> Compiler::emitObject(llvm::Module &module, const CompileOptions &options) {
  return emitFile(module, options, llvm::CodeGenFileType::ObjectFile);
}

Expected<std::string> Compiler::emitAssembly(llvm::Module &module, const CompileOptions &options) {
  return emitFile(module, options, llvm::CodeGenFileType::AssemblyFile);
}

void embedManifest(llvm::Module &module, const Manifest &manifest) {
  llvm::LLVMContext &context = module.getContext();
  std::string json = writeManifest(manifest);
  llvm::Constant *text = llvm::ConstantDataArray::getString(context, json, true);
  new llvm::GlobalVariable(module, text->getType(), true, llvm::GlobalValue::ExternalLinkage, text, "bpt_manifest");
  llvm::Constant *size = llvm::ConstantInt::get(llvm::Type::getInt64Ty(context), json.size());
  new llvm::GlobalVariable(module, size->getType(), true, llvm::GlobalValue::ExternalLinkage, size, "bpt_manifest_size");
}

Status linkSharedObject(const std::string &object, const std::string &path) {
  for (const char *name : {"ld.lld-22", "ld.lld", "ld", "cc"}) {
    llvm::ErrorOr<std::string> program = llvm::sys::findProgramByName(name);
    if (!program)
      continue;
    std::string message;
    int code = llvm::sys::ExecuteAndWait(*program, {*program, "-shared", "-o", path, object}, std::nullopt, {}, 0, 0, &message);
    if (code == 0)
      return {};
    return ioError(std::string(name) + " could not write " + path + (message.empty() ? "" : ": " + message));
  }
  return badInput("expected a linker for --emit=so, but found none of ld.lld, ld, cc; install lld-22 or binutils, or use --emit=obj");
}

namespace {
/// Keeps the code of a program in memory.
struct LoadedCode {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};
} // namespace

static bpt::Error toError(llvm::Error error) { return badInput("loading the compiled code: " + llvm::toString(std::move(error))); }

/// The JIT resolves the runtime's functions by name to those of this process, and the rest (libm for the reference) there too.
static Status addSymbols(llvm::orc::LLJIT &jit) {
  llvm::orc::SymbolMap symbols;
  for (const RuntimeSymbol *symbol = runtimeSymbols(); symbol->name; ++symbol)
    symbols[jit.mangleAndIntern(symbol->name)] = {llvm::orc::ExecutorAddr::fromPtr(symbol->address),
                                                  llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  if (llvm::Error error = jit.getMainJITDylib().define(llvm::orc::absoluteSymbols(symbols)))
    return toError(std::move(error));
  auto process = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(jit.getDataLayout().getGlobalPrefix());
  if (!process)
    return toError(process.takeError());
  jit.getMainJITDylib().addGenerator(std::move(*process));
  return {};
}

Expected<Program> Compiler::load(ModuleOp module, const CompileOptions &options) {
  if (Status status = lower(module, options); !status)
    return status.takeError();
  Expected<Manifest> manifest = getManifest(module, options);
  if (!manifest)
    return manifest.takeError();
  llvm::LLVMContext llvmContext;
  Expected<std::unique_ptr<llvm::Module>> code = translate(module, llvmContext, options);
  if (!code)
    return code.takeError();
  Expected<std::string> object = emitObject(**code, options);
  if (!object)
    return object.takeError();
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return toError(jit.takeError());
  auto loaded = std::make_shared<LoadedCode>(LoadedCode{std::move(*jit)});
  if (Status status = addSymbols(*loaded->jit); !status)
    return status.takeError();
  if (llvm::Error error = loaded->jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(*object, "bpt")))
    return toError(std::move(error));
  auto resolve = [&](const std::string &symbol) -> void * {
    auto address = loaded->jit->lookup(symbol);
    if (!address) {
      llvm::consumeError(address.takeError());
      return nullptr;
    }
    return address->toPtr<void *>();
  };
  return Program::create(manifest.take(), resolve, loaded);
}

} // namespace bpt
