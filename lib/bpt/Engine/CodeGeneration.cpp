// Machine code from LLVM IR: optimisation and emission, of parts of a module side by side.
#include "CodeGeneration.h"
#include "bpt/Analysis/TargetInfo.h"
#include "bpt/Runtime/MatrixTiles.h"
#include "llvm/Analysis/TargetTransformInfo.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/Transforms/Utils/Cloning.h"

namespace bpt {

std::string getCpuName(const CompileOptions &options) {
  bool isOpen = options.target == Target::CPU && options.cpu == "native";
  return isOpen && areMatrixTilesFaster() ? "native+amx" : options.cpu;
}

Expected<TargetInfo> getTargetInfo(const CompileOptions &options) {
  if (std::optional<TargetInfo> info = TargetInfo::get(getCpuName(options)))
    return std::move(*info);
  return usageError("unknown cpu '" + options.cpu + "'; expected " + TargetInfo::getKnownNames().str());
}

/// Whether code is worth less than the time to make it.
static bool isMadeFast(const CompileOptions &options) {
  return options.optLevel < 2 || options.target == Target::Reference;
}

Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const CompileOptions &options) {
  static bool initialized = (llvm::InitializeNativeTarget(), llvm::InitializeNativeTargetAsmPrinter(), true);
  (void)initialized;
  Expected<TargetInfo> info = getTargetInfo(options);
  if (!info)
    return info.takeError();
  llvm::Triple triple(llvm::sys::getDefaultTargetTriple());
  std::string message;
  const llvm::Target *target = llvm::TargetRegistry::lookupTarget(triple, message);
  if (!target)
    return badInput(message);
  using Level = llvm::CodeGenOptLevel;
  // None does not know the tiles of AMX, which the reference does not use.
  Level least = options.target == Target::Reference ? Level::None : Level::Less;
  llvm::TargetOptions targetOptions;
  std::unique_ptr<llvm::TargetMachine> machine(
      target->createTargetMachine(triple, info->cpu, info->features, targetOptions, llvm::Reloc::PIC_, std::nullopt,
                                  isMadeFast(options) ? least : Level::Default));
  if (!machine)
    return badInput("LLVM has no code generator for " + triple.str());
  return machine;
}

void runLLVMPasses(llvm::Module &module, llvm::TargetMachine *machine,
                   llvm::function_ref<llvm::ModulePassManager(llvm::PassBuilder &)> build) {
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassInstrumentationCallbacks callbacks;
  // Finds out what indirect calls may call, of which there are none, in a tenth of the time of all passes.
  callbacks.registerShouldRunOptionalPassCallback(
      [](llvm::StringRef pass, llvm::Any) { return pass != "CalledValuePropagationPass"; });
  llvm::PassBuilder builder(machine, {}, {}, &callbacks);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  build(builder).run(module, modules);
}

/// O2, unless the code is to be made fast. The reference has one loop nest per step of each definition: O2 vectorises and
/// unrolls them all and takes ten times as long to compile as the little below.
static void optimize(llvm::Module &module, llvm::TargetMachine &machine, bool isMadeFast) {
  runLLVMPasses(module, &machine, [&](llvm::PassBuilder &builder) {
    if (!isMadeFast)
      return builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2);
    llvm::ModulePassManager passes;
    llvm::cantFail(builder.parsePassPipeline(
        passes, "always-inline,function(early-cse<memssa>,simplifycfg,loop-mssa(licm),early-cse<memssa>),globaldce"));
    return passes;
  });
}

void Compiler::optimize(llvm::Module &module, const CompileOptions &options) {
  if (auto machine = createTargetMachine(options))
    bpt::optimize(module, **machine, isMadeFast(options));
}

Expected<std::string> emitFile(llvm::Module &module, llvm::TargetMachine &machine, llvm::CodeGenFileType type) {
  machine.Options.MCOptions.AsmVerbose = true;
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine.addPassesToEmitFile(passes, stream, nullptr, type))
    return badInput("LLVM cannot emit a file for this target");
  passes.run(module);
  return std::string(bytes.begin(), bytes.end());
}

static Expected<std::string> emitFile(llvm::Module &module, const CompileOptions &options, llvm::CodeGenFileType type) {
  Expected<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(options);
  return machine ? emitFile(module, **machine, type) : machine.takeError();
}

Expected<std::string> Compiler::emitObject(llvm::Module &module, const CompileOptions &options) {
  return emitFile(module, options, llvm::CodeGenFileType::ObjectFile);
}

Expected<std::string> Compiler::emitAssembly(llvm::Module &module, const CompileOptions &options) {
  return emitFile(module, options, llvm::CodeGenFileType::AssemblyFile);
}

//===--- parts ----------------------------------------------------------------------------------------------------===//

/// Parts have about this many instructions at least; more parts than four would not be compiled faster by most
/// machines.
static constexpr int64_t partInstructions = 10000, mostParts = 4;

/// The part of each function: the largest first, each to the smallest part. A function of the module only, so that the
/// code is the same on every machine.
static llvm::DenseMap<const llvm::GlobalValue *, unsigned> assignParts(llvm::Module &module, unsigned parts) {
  std::vector<std::pair<int64_t, llvm::Function *>> functions;
  for (llvm::Function &function : module)
    if (!function.isDeclaration())
      functions.emplace_back(function.getInstructionCount(), &function);
  llvm::stable_sort(functions, [](auto &a, auto &b) { return a.first > b.first; });
  std::vector<int64_t> sizes(parts, 0);
  llvm::DenseMap<const llvm::GlobalValue *, unsigned> result;
  for (auto [size, function] : functions) {
    auto smallest = llvm::min_element(sizes);
    *smallest += size;
    result[function] = smallest - sizes.begin();
  }
  return result;
}

/// The module as bitcode of parts that call each other.
static std::vector<llvm::SmallVector<char, 0>> splitModule(llvm::Module &module) {
  int64_t parts = std::clamp<int64_t>(module.getInstructionCount() / partInstructions, 1, mostParts);
  llvm::DenseMap<const llvm::GlobalValue *, unsigned> owners = assignParts(module, parts);
  if (parts > 1)
    for (llvm::Function &function : module)
      if (function.hasLocalLinkage()) {
        function.setLinkage(llvm::GlobalValue::ExternalLinkage);
        function.setVisibility(llvm::GlobalValue::HiddenVisibility);
      }
  std::vector<llvm::SmallVector<char, 0>> result(parts);
  for (int64_t part = 0; part < parts; ++part) {
    llvm::ValueToValueMapTy map;
    // Constants go where they are used: each part has those that are internal, the first the others.
    std::unique_ptr<llvm::Module> clone = llvm::CloneModule(module, map, [&](const llvm::GlobalValue *value) {
      return llvm::isa<llvm::Function>(value) ? owners.lookup(value) == part : value->hasLocalLinkage() || part == 0;
    });
    llvm::raw_svector_ostream stream(result[part]);
    llvm::WriteBitcodeToFile(*clone, stream);
  }
  return result;
}

Expected<std::vector<std::string>> Compiler::emitObjects(llvm::Module &module, const CompileOptions &options) {
  std::vector<llvm::SmallVector<char, 0>> parts = splitModule(module);
  std::vector<std::optional<Expected<std::string>>> results(parts.size());
  auto compile = [&](size_t i) -> Expected<std::string> {
    llvm::LLVMContext context;
    auto part = llvm::parseBitcodeFile(llvm::MemoryBufferRef(llvm::StringRef(parts[i].data(), parts[i].size()), "part"),
                                       context);
    if (!part)
      return badInput("reading a part of the module: " + llvm::toString(part.takeError()));
    optimize(**part, options);
    return emitFile(**part, options, llvm::CodeGenFileType::ObjectFile);
  };
  if (Expected<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(options); !machine)
    return machine.takeError(); // and the targets are registered before there are threads
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(parts.size()));
  for (size_t i = 0; i < parts.size(); ++i)
    pool.async([&, i] { results[i].emplace(compile(i)); });
  pool.wait();
  std::vector<std::string> objects;
  for (auto &result : results) {
    if (!*result)
      return result->takeError();
    objects.push_back(result->take());
  }
  return objects;
}

} // namespace bpt
