// From the options of a training run to a compiled program that trains.
#include "bpt/Engine/Training.h"
#include "FitToBudget.h"
#include "bpt/IR/BPT.h"
#include "bpt/Models/Models.h"
#include "bpt/Runtime/MachineMemory.h"
#include "bpt/Transforms/EntryInfo.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace bpt {

template <typename T, typename U> static void assignIfSet(const std::optional<T> &from, U &to) {
  if (from)
    to = *from;
}

/// What the flags shared by all models say.
template <typename Options> static Status applyCommon(const TrainOptions &from, Options &to) {
  if (!from.preset.empty())
    if (std::optional<std::string> mistake = applyPreset(from.preset, to))
      return usageError(*mistake);
  assignIfSet(from.layers, to.layers);
  assignIfSet(from.heads, to.heads);
  assignIfSet(from.embed, to.embed);
  assignIfSet(from.hidden, to.hidden);
  assignIfSet(from.vocab, to.vocab);
  if (!from.dtype.empty())
    to.dtype = from.dtype;
  if (from.context)
    to.context = from.context;
  to.batch = from.batchOr(defaultBatch);
  return {};
}

static Expected<OwningOpRef<ModuleOp>> checked(OwningOpRef<ModuleOp> module) {
  if (!module)
    return badInput("the model could not be built");
  return module;
}

static Expected<OwningOpRef<ModuleOp>> buildModel(MLIRContext &context, const TrainOptions &options) {
  if (options.model == "gpt") {
    GPTOptions gpt;
    if (Status status = applyCommon(options, gpt); !status)
      return status.takeError();
    assignIfSet(options.dropout, gpt.dropout);
    assignIfSet(options.tied, gpt.tied);
    assignIfSet(options.bias, gpt.bias);
    if (!options.position.empty())
      gpt.position = options.position;
    if (std::optional<std::string> mistake = findMistake(gpt))
      return usageError(*mistake);
    return checked(buildGPT(&context, gpt));
  }
  LlamaOptions llama;
  if (Status status = applyCommon(options, llama); !status)
    return status.takeError();
  assignIfSet(options.kvHeads, llama.kvHeads);
  assignIfSet(options.ropeTheta, llama.ropeTheta);
  assignIfSet(options.normEps, llama.normEps);
  if (std::optional<std::string> mistake = findMistake(llama))
    return usageError(*mistake);
  return checked(buildLlama(&context, llama));
}

Expected<OwningOpRef<ModuleOp>> readTrainingGraph(Compiler &compiler, const TrainOptions &options) {
  if (!options.graph.empty())
    return compiler.read(options.graph);
  return buildModel(compiler.getContext(), options);
}

Expected<std::vector<ArgumentInfo>> readTrainingSignature(const TrainOptions &options) {
  Compiler compiler;
  Expected<OwningOpRef<ModuleOp>> module = readTrainingGraph(compiler, options);
  if (!module)
    return module.takeError();
  auto loss = (*module)->lookupSymbol<func::FuncOp>("loss");
  if (!loss)
    return badInput("expected a graph with a function called loss, but there is none");
  std::vector<ArgumentInfo> arguments;
  for (unsigned i = 0; i < loss.getNumArguments(); ++i) {
    FailureOr<ArgumentInfo> argument = describeArgument(loss, i);
    if (failed(argument))
      return badInput("function loss: argument " + getArgumentName(loss, i) + " is not a tensor that a file can hold");
    arguments.push_back(std::move(*argument));
  }
  return arguments;
}

/// The way from a loss graph to a training step, as a textual pipeline.
static std::string getPipeline(const TrainOptions &options, const LayerPolicy &policy, bool canSample,
                               bool hasDropout) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "builtin.module(" << (canSample ? "bpt-build-sampler," : "") << (hasDropout ? "bpt-build-evaluation," : "");
  for (llvm::StringRef function : {"loss", "loss.evaluation"}) {
    if (function != "loss" && !hasDropout)
      continue;
    stream << "bpt-form-blocks{function=" << function << " strategy=" << options.strategy << " block=" << options.block;
    stream << " " << policy.getFormOptions() << "},";
  }
  stream << "bpt-outline-layers,bpt-build-train-step{";
  auto real = [&](llvm::StringRef name, double value) { stream << name << "=" << llvm::format("%.17g", value) << " "; };
  real("beta1", options.beta1);
  real("beta2", options.beta2);
  real("eps", options.eps);
  real("weight-decay", options.weightDecay);
  real("clip", options.clip);
  stream << "accumulate=" << options.accumulate << "})";
  return text;
}

/// Turns the loss graph into the entries of a training program.
static Expected<CompileOptions> formTraining(Compiler &compiler, ModuleOp module, const TrainOptions &options,
                                             const LayerPolicy &policy, PackEffort effort) {
  unsigned heads = 0;
  bool hasDropout = false;
  module.walk([&](Operation *op) {
    heads += isa<LinearCrossEntropyOp>(op);
    auto attention = dyn_cast<AttentionOp>(op);
    hasDropout |= isa<DropoutOp>(op) || (attention && attention.getSeed());
  });
  // A question needs the step only, and so does a run that neither validates nor samples.
  bool isBound = effort == PackEffort::Bound, validates = !isBound && !options.validTokens.empty();
  bool samples = !isBound && heads == 1 && options.sampleEvery > 0;
  if (Status status = compiler.runPipeline(module, getPipeline(options, policy, samples, hasDropout && validates));
      !status)
    return status.takeError();
  // Validation is the entry `loss`, without dropout.
  if (auto evaluation = module.lookupSymbol<func::FuncOp>("loss.evaluation")) {
    module.lookupSymbol<func::FuncOp>("loss").erase();
    evaluation.setName("loss");
  }
  CompileOptions compile;
  Expected<Target> target = parseTarget(options.target);
  if (!target)
    return target.takeError();
  if (Status status = checkOptLevel(options.optLevel, *target); !status)
    return status.takeError();
  compile.target = *target;
  compile.optLevel = static_cast<int>(options.optLevel);
  compile.cpu = options.cpu;
  compile.profile = options.profile && *target == Target::CPU;
  compile.keptActivations = policy.getName();
  compile.offload = policy.offload ? Offload::Yes : Offload::No;
  compile.entries = {"train_step"};
  if (validates)
    compile.entries.push_back("loss");
  if (samples)
    compile.entries.push_back("next_logits");
  if (Status status = compiler.selectEntries(module, compile); !status)
    return status.takeError();
  return compile;
}

/// What `options` leave open of what is kept, from the fastest to the smallest.
static SmallVector<LayerPolicy> getKeptPolicies(const TrainOptions &options, ModuleOp module) {
  auto loss = module.lookupSymbol<func::FuncOp>("loss");
  bool keepIsOpen = options.keepActivations == "auto";
  int64_t segment = std::max<int64_t>(options.segment, 1), heads = options.headsAtOnce;
  if (keepIsOpen && options.strategy != "blockwise")
    return {{"all", segment, heads}};
  SmallVector<LayerPolicy> policies;
  for (const LayerPolicy &policy : heads > 0 ? getHeadPolicies(loss, heads) : getLayerPolicies(loss)) {
    bool isSegment = policy.segment > 1;
    if ((isSegment && options.segment > 0) || (!keepIsOpen && policy.keep != options.keepActivations))
      continue;
    policies.push_back({policy.keep, isSegment ? policy.segment : segment, heads});
  }
  if (policies.empty()) // what is kept is said, but would not be tried
    policies.push_back({options.keepActivations, segment, heads});
  return policies;
}

/// What may wait in host memory: nothing where that is all there is.
static Expected<Offload> getOffload(const TrainOptions &options) {
  Expected<Target> target = parseTarget(options.target);
  if (!target)
    return target.takeError();
  Expected<Offload> offload = parseOffload(options.offload, *target);
  return offload && !hasKernels(*target) ? Offload::No : offload;
}

/// What `options` leave open, from the fastest to the smallest; for a question what fits at all, the smallest of many.
static Expected<SmallVector<LayerPolicy>> getPolicies(const TrainOptions &options, ModuleOp module, PackEffort effort) {
  Expected<Offload> offload = getOffload(options);
  if (!offload)
    return offload.takeError();
  SmallVector<LayerPolicy> policies = getKeptPolicies(options, module);
  for (LayerPolicy &policy : policies) {
    policy.lastLayers = options.lastLayers;
    policy.lastKeep = options.lastKeep;
  }
  addOffload(policies, *offload);
  // Of a few layers none saves for certain.
  if (effort == PackEffort::Bound && policies.size() > 2)
    policies.erase(policies.begin(), policies.end() - 1);
  return policies;
}

namespace {
/// A training program lowered to *buffers*.
struct LoweredTraining {
  OwningOpRef<ModuleOp> module;
  CompileOptions compile;
  Manifest manifest;
  TrainPlan plan;
  int64_t bytes = 0; ///< planned peak of the run
};
} // namespace

/// With PackEffort::Bound: the training step alone, and what it takes at least.
static Expected<LoweredTraining> lowerTraining(Compiler &compiler, ModuleOp graph, const TrainOptions &options,
                                               const LayerPolicy &policy, int threads, PackEffort effort) {
  LoweredTraining result;
  result.module = graph.clone();
  Expected<CompileOptions> compile = formTraining(compiler, *result.module, options, policy, effort);
  if (!compile)
    return compile.takeError();
  result.compile = compile.take();
  if (Status status = compiler.lower(*result.module, result.compile, Stage::Buffers); !status)
    return status.takeError();
  Expected<Manifest> manifest = compiler.getManifest(*result.module, result.compile);
  if (!manifest)
    return manifest.takeError();
  result.manifest = manifest.take();
  Expected<TrainPlan> plan = planTraining(result.manifest, options, threads, effort);
  if (!plan)
    return plan.takeError();
  result.plan = plan.take();
  result.bytes = result.plan.plannedBytes();
  return result;
}

/// Of the gradients that are all alive at the end of a step: those that wait for their norm or for further micro-steps.
static int64_t countGradientBytes(func::FuncOp loss, const TrainOptions &options) {
  int64_t bytes = 0;
  if (options.clip == 0 && options.accumulate == 1)
    return bytes;
  for (Type type : loss.getArgumentTypes())
    if (auto tensor = dyn_cast<RankedTensorType>(type);
        tensor && tensor.hasStaticShape() && isa<FloatType>(tensor.getElementType()))
      bytes += tensor.getNumElements() * tensor.getElementTypeBitWidth() / 8;
  return bytes;
}

/// The training program that is fastest among those that fit into the memory, or the smallest where none does.
static Expected<LoweredTraining> fitTraining(Compiler &compiler, ModuleOp graph, const TrainOptions &options,
                                             int threads, PackEffort effort, std::vector<PolicyCost> &policies) {
  auto loss = graph.lookupSymbol<func::FuncOp>("loss");
  StepWork work = countStepWork(loss);
  int64_t gradients = countGradientBytes(loss, options);
  auto lower = [&](const LayerPolicy &policy, PackEffort effort) {
    return lowerTraining(compiler, graph, options, policy, threads, effort);
  };
  auto estimate = [&](const LayerPolicy &policy) -> Expected<MemoryEstimate> {
    Expected<LoweredTraining> lowered = lower(policy, PackEffort::Bound);
    if (!lowered)
      return lowered.takeError();
    return MemoryEstimate{lowered->bytes, lowered->plan.headBytes + gradients};
  };
  Expected<SmallVector<LayerPolicy>> open = getPolicies(options, graph, effort);
  if (!open)
    return open.takeError();
  return fitToBudget<LoweredTraining>(
      *open, work, memoryBudget(options.memory, options.target), /*split=*/effort == PackEffort::Full, estimate,
      [&](const LayerPolicy &policy) { return lower(policy, effort); }, policies);
}

/// The graph to train, with a function `loss`.
static Expected<OwningOpRef<ModuleOp>> readLoss(Compiler &compiler, const TrainOptions &options) {
  Expected<OwningOpRef<ModuleOp>> graph = readTrainingGraph(compiler, options);
  if (graph && !(**graph).lookupSymbol<func::FuncOp>("loss"))
    return badInput("expected a graph with a function called loss, but there is none");
  return graph;
}

/// `policies` with what was not considered: the other policies, and groups of heads.
static Expected<std::vector<PolicyCost>> findFrontier(Compiler &compiler, ModuleOp graph, const TrainOptions &options,
                                                      int threads, std::vector<PolicyCost> policies) {
  auto loss = graph.lookupSymbol<func::FuncOp>("loss");
  StepWork work = countStepWork(loss);
  Expected<SmallVector<LayerPolicy>> all = getPolicies(options, graph, PackEffort::Full);
  if (!all)
    return all.takeError();
  if (options.strategy == "blockwise" && options.headsAtOnce == 0)
    llvm::append_range(*all, getHeadPolicies(loss));
  for (const LayerPolicy &policy : *all) {
    if (llvm::any_of(policies, [&](const PolicyCost &known) { return known.name == policy.getName(); }))
      continue;
    Expected<LoweredTraining> lowered = lowerTraining(compiler, graph, options, policy, threads, PackEffort::Bound);
    if (!lowered)
      return lowered.takeError();
    policies.push_back({policy.getName(), lowered->bytes, work.with(policy)});
  }
  keepFrontier(policies);
  return policies;
}

Expected<PlannedTraining> planTraining(const TrainOptions &options, int threads, PackEffort effort) {
  Compiler compiler;
  PlannedTraining result;
  Expected<OwningOpRef<ModuleOp>> graph = readLoss(compiler, options);
  if (!graph)
    return graph.takeError();
  Expected<LoweredTraining> lowered = fitTraining(compiler, **graph, options, threads, effort, result.policies);
  if (!lowered)
    return lowered.takeError();
  if (options.frontier && effort == PackEffort::Full) {
    Expected<std::vector<PolicyCost>> frontier = findFrontier(compiler, **graph, options, threads, result.policies);
    if (!frontier)
      return frontier.takeError();
    result.frontier = frontier.take();
  }
  result.manifest = std::move(lowered->manifest);
  result.plan = std::move(lowered->plan);
  return result;
}

Expected<CompiledTraining> compileTraining(const TrainOptions &options, int threads) {
  Compiler compiler;
  std::vector<PolicyCost> policies;
  Expected<OwningOpRef<ModuleOp>> graph = readLoss(compiler, options);
  if (!graph)
    return graph.takeError();
  Expected<LoweredTraining> lowered = fitTraining(compiler, **graph, options, threads, PackEffort::Full, policies);
  if (!lowered)
    return lowered.takeError();
  if (lowered->bytes > memoryBudget(options.memory, options.target)) // said at once, not after code is generated
    return CompiledTraining{
        std::nullopt, std::move(policies), {std::move(lowered->manifest), std::move(lowered->plan), {}, {}}};
  Expected<Program> program = compiler.load(*lowered->module, lowered->compile);
  if (!program)
    return program.takeError();
  return CompiledTraining{program.take(), std::move(policies)};
}

} // namespace bpt
