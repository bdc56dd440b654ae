// From MLIR text to the LLVM dialect, stage by stage.
#include "bpt/Engine/Compiler.h"
#include "CodeGeneration.h"
#include "bpt/Analysis/ModelFlops.h"
#include "bpt/Analysis/TargetInfo.h"
#include "bpt/Pipelines/Pipelines.h"
#include "bpt/Pipelines/Register.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Support/FileUtilities.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/ToolOutputFile.h"

using namespace mlir;

namespace bpt {

static constexpr std::pair<const char *, Target> targetNames[] = {
    {"cpu", Target::CPU}, {"reference", Target::Reference}, {"emulator", Target::Emulator}, {"cuda", Target::CUDA}};

Expected<Target> parseTarget(llvm::StringRef name) {
  for (auto [text, target] : targetNames)
    if (name == text)
      return target;
  return usageError("unknown target '" + name.str() + "'; expected cpu, reference, emulator or cuda");
}

llvm::StringRef getTargetName(Target target) {
  for (auto [text, named] : targetNames)
    if (named == target)
      return text;
  llvm_unreachable("every target has a name");
}

Expected<Offload> parseOffload(llvm::StringRef name, Target target) {
  if (name == "auto")
    return Offload::Auto;
  if (name != "true" && name != "false")
    return usageError("unknown --offload=" + name.str() + "; expected auto, true or false");
  if (name == "true" && !hasKernels(target))
    return usageError("--offload=true is for --target=cuda and emulator; " + getTargetName(target).str() +
                      " computes in host memory");
  return name == "true" ? Offload::Yes : Offload::No;
}

Status checkOptLevel(int64_t level, Target target) {
  if (level != 1 && level != 2)
    return usageError("expected --opt-level=1 or 2, but got " + std::to_string(level));
  if (level == 1 && target != Target::CPU)
    return usageError("--opt-level=1 is for --target=cpu; " + getTargetName(target).str() + " has one level");
  return {};
}

bool offloadsAnything(const Manifest &manifest) {
  return llvm::any_of(manifest.entries, [](const EntryInfo &entry) {
    return llvm::any_of(entry.slots, [](const SlotInfo &slot) { return slot.kind == "host"; });
  });
}

static constexpr std::pair<const char *, Stage> stageNames[] = {
    {"graph", Stage::Graph},     {"blocks", Stage::Blocks},   {"step", Stage::Step}, {"tiles", Stage::Tiles},
    {"buffers", Stage::Buffers}, {"kernels", Stage::Kernels}, {"llvm", Stage::LLVM}};

Expected<Stage> parseStage(llvm::StringRef name) {
  for (auto [text, stage] : stageNames)
    if (name == text)
      return stage;
  return usageError("unknown stage '" + name.str() +
                    "'; expected graph, blocks, step, tiles, buffers, kernels or llvm");
}

llvm::StringRef getStageName(Stage stage) { return stageNames[static_cast<int>(stage)].first; }

namespace {
/// Prints diagnostics and remembers the first error.
class DiagnosticScope {
public:
  explicit DiagnosticScope(MLIRContext &context)
      : handler(&context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Remark)
            return success();
          std::string text;
          llvm::raw_string_ostream stream(text);
          diagnostic.getLocation().print(stream);
          stream << ": "
                 << (diagnostic.getSeverity() == DiagnosticSeverity::Error     ? "error: "
                     : diagnostic.getSeverity() == DiagnosticSeverity::Warning ? "warning: "
                                                                               : "note: ")
                 << diagnostic;
          for (Diagnostic &note : diagnostic.getNotes())
            stream << "\n  note: " << note;
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error && first.empty())
            first = text;
          else
            llvm::errs() << text << "\n";
          return success();
        }) {}
  bpt::Error takeError(const std::string &fallback) {
    std::string message = first.empty() ? fallback : first;
    bool overBudget = llvm::StringRef(message).contains("expected an arena of at most");
    return {overBudget ? ExitCode::Memory : ExitCode::BadInput, message};
  }

private:
  std::string first;
  ScopedDiagnosticHandler handler;
};

/// While it exists passes that are nested run on several functions at once. The context's own pool would outlive them.
class PassThreads {
public:
  explicit PassThreads(MLIRContext &context) : context(context) { context.setThreadPool(pool); }
  ~PassThreads() { context.disableMultithreading(); }
  PassThreads(const PassThreads &) = delete;
  PassThreads &operator=(const PassThreads &) = delete;

private:
  MLIRContext &context;
  llvm::DefaultThreadPool pool{llvm::hardware_concurrency()};
};
} // namespace

Compiler::Compiler() {
  DialectRegistry registry;
  registerAllDialects(registry);
  registerAllExtensions(registry);
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  registerNVVMDialectTranslation(registry);
  registerGPUDialectTranslation(registry);
  registerDialect(registry);
  static bool once = (registerPasses(), mlir::registerTransformsPasses(), true);
  (void)once;
  // Threads are there only while PassThreads is: for passes that have many functions to run on.
  context = std::make_unique<MLIRContext>(registry, MLIRContext::Threading::DISABLED);
}

Compiler::~Compiler() = default;

Expected<OwningOpRef<ModuleOp>> Compiler::read(const std::string &path) {
  std::string message;
  std::unique_ptr<llvm::MemoryBuffer> buffer = openInputFile(path, &message);
  if (!buffer)
    return ioError(message);
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  DiagnosticScope diagnostics(*context);
  OwningOpRef<ModuleOp> module = parseSourceFile<ModuleOp>(sources, context.get());
  if (!module)
    return diagnostics.takeError(path + ": not a valid module");
  return module;
}

Status Compiler::runPasses(ModuleOp module, llvm::function_ref<void(OpPassManager &)> build) {
  PassManager manager(context.get(), ModuleOp::getOperationName());
  DiagnosticScope diagnostics(*context);
  build(manager);
  if (failed(manager.run(module)))
    return diagnostics.takeError("a pass failed without saying why");
  return {};
}

Status Compiler::runPipeline(ModuleOp module, llvm::StringRef pipeline) {
  PassManager manager(context.get(), ModuleOp::getOperationName());
  std::string message;
  llvm::raw_string_ostream stream(message);
  pipeline.consume_front("builtin.module(");
  pipeline.consume_back(")");
  if (failed(parsePassPipeline(pipeline, manager, stream)))
    return badInput("pass pipeline: " + message);
  DiagnosticScope diagnostics(*context);
  if (failed(manager.run(module)))
    return diagnostics.takeError("a pass failed without saying why");
  return {};
}

static std::string getNearest(llvm::StringRef name, llvm::ArrayRef<std::string> known) {
  unsigned best = std::max<size_t>(3, name.size() / 2);
  std::string nearest;
  for (const std::string &candidate : known)
    if (unsigned distance = name.edit_distance(candidate); distance < best)
      best = distance, nearest = candidate;
  return nearest;
}

Status Compiler::selectEntries(ModuleOp module, const CompileOptions &options) {
  std::vector<std::string> known;
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isPublic() && !function.isExternal())
      known.push_back(function.getName().str());
  if (known.empty())
    return badInput("expected a module with a public function, but got none");
  for (const std::string &name : options.entries)
    if (!llvm::is_contained(known, name)) {
      std::string nearest = getNearest(name, known);
      return badInput("no function '" + name + "'" + (nearest.empty() ? "" : "; did you mean '" + nearest + "'?") +
                      " functions: " + llvm::join(known, ", "));
    }
  if (options.entries.empty())
    return {};
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isPublic() && !llvm::is_contained(options.entries, function.getName().str()))
      function.setPrivate();
  return runPasses(module, [](OpPassManager &manager) { manager.addPass(createSymbolDCEPass()); });
}

static Status dumpStage(ModuleOp module, const CompileOptions &options, Stage stage) {
  if (options.dumpStagesTo.empty())
    return {};
  llvm::sys::fs::create_directories(options.dumpStagesTo);
  std::string path =
      options.dumpStagesTo + "/" + std::to_string(static_cast<int>(stage)) + "-" + getStageName(stage).str() + ".mlir";
  std::string message;
  std::unique_ptr<llvm::ToolOutputFile> file = openOutputFile(path, &message);
  if (!file)
    return ioError(message);
  OpPrintingFlags flags;
  flags.elideLargeElementsAttrs(64);
  module.print(file->os(), flags);
  file->os().flush();
  if (file->os().has_error()) {
    std::error_code error = file->os().error();
    file->os().clear_error();
    return ioError(path + ": " + error.message());
  }
  file->keep();
  return {};
}

/// The stage a module is at: *buffers* when it has a plan, *step* when it has a gradient, *blocks* when it has
/// structure, else *graph*.
static Stage getInputStage(ModuleOp module) {
  Stage stage = Stage::Graph;
  for (auto function : module.getOps<func::FuncOp>())
    if (function->hasAttr("bpt.plan"))
      return Stage::Buffers;
  module.walk([&](Operation *op) {
    llvm::StringRef name = op->getName().getStringRef();
    if (name.ends_with("_grad") || name == "bpt.adamw")
      stage = Stage::Step;
    else if (stage == Stage::Graph && (name == "bpt.checkpoint" || name == "bpt.blockwise"))
      stage = Stage::Blocks;
  });
  return stage;
}

Status Compiler::lower(ModuleOp module, const CompileOptions &options, Stage last) {
  if (options.profile && options.target != Target::CPU)
    return usageError("--profile and --trace are for --target=cpu");
  Stage first = getInputStage(module);
  if (Status status = dumpStage(module, options, first); !status)
    return status;
  if (last <= Stage::Step)
    return {};
  for (auto function : module.getOps<func::FuncOp>())
    if (function.isPublic() && !function.isExternal() && !function->hasAttr("bpt.flops"))
      if (std::optional<ModelFlops> flops = countModelFlops(function))
        setRunFlops(function, flops->forward);
  LowerOptions lowering;
  bool kernels = hasKernels(options.target);
  lowering.cpu = kernels ? "sm_90a" : getCpuName(options);
  lowering.budget = options.memory;
  lowering.threads = options.threads;
  lowering.profile = options.profile;
  lowering.offload = options.offload == Offload::Yes;
  bool reference = options.target == Target::Reference;
  using Builder = void (*)(OpPassManager &, const LowerOptions &);
  const std::pair<Stage, Builder> steps[] = {{Stage::Tiles, reference ? addReferenceTiles : addTiles},
                                             {Stage::Buffers, addBuffers},
                                             {Stage::Kernels, reference ? addReferenceKernels
                                                              : kernels ? addGPUKernels
                                                                        : addCPUKernels},
                                             {Stage::LLVM, addLLVM}};
  for (auto [stage, build] : steps) {
    if (stage > last)
      break;
    if (stage <= first)
      continue;
    std::optional<PassThreads> threads;
    if (stage == Stage::LLVM)
      threads.emplace(*context);
    if (Status status = runPasses(module, [&, build = build](OpPassManager &manager) { build(manager, lowering); });
        !status)
      return status;
    if (Status status = dumpStage(module, options, stage); !status)
      return status;
  }
  return {};
}

Expected<Manifest> Compiler::getManifest(ModuleOp module, const CompileOptions &options) {
  Manifest manifest;
  manifest.compiler = "0.1.0";
  manifest.target = getTargetName(options.target).str();
  Expected<TargetInfo> target = getTargetInfo(options);
  if (!target)
    return target.takeError();
  manifest.cpuName = target->cpu;
  manifest.keptActivations = options.keptActivations;
  llvm::SmallVector<llvm::StringRef> features;
  llvm::StringRef(target->features).split(features, ',', -1, false);
  for (llvm::StringRef feature : features)
    if (feature.starts_with("+"))
      manifest.cpuFeatures.push_back(feature.str());
  std::optional<bpt::Error> error;
  module.walk([&](Operation *op) {
    auto text = op->getAttrOfType<StringAttr>("bpt.plan");
    if (!text || error)
      return;
    Expected<Manifest> one = parseManifest(text.getValue().str());
    if (!one) {
      error = one.takeError();
      return;
    }
    manifest.threadScratch = std::max(manifest.threadScratch, one->threadScratch);
    manifest.sharedScratch = std::max(manifest.sharedScratch, one->sharedScratch);
    for (EntryInfo &entry : one->entries)
      manifest.entries.push_back(std::move(entry));
  });
  if (error)
    return *error;
  if (auto kernels = module->getAttrOfType<ArrayAttr>("bpt.kernels"))
    for (auto kernel : kernels.getAsRange<DictionaryAttr>())
      manifest.kernels.push_back({kernel.getAs<StringAttr>("name").str(), kernel.getAs<StringAttr>("place").str()});
  if (auto regions = module->getAttrOfType<ArrayAttr>("bpt.regions"))
    for (auto region : regions.getAsRange<DictionaryAttr>()) {
      auto text = [&](llvm::StringRef key) { return region.getAs<StringAttr>(key).str(); };
      auto number = [&](llvm::StringRef key) { return region.getAs<IntegerAttr>(key).getInt(); };
      manifest.regions.push_back({text("op"), text("function"), text("place"), number("flops"), number("bytes")});
    }
  return manifest;
}

} // namespace bpt
