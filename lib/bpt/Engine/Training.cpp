// From the options of a training run to a compiled program that trains.
#include "bpt/Engine/Training.h"
#include "bpt/IR/BPT.h"
#include "bpt/Models/Models.h"
#include "bpt/Runtime/MachineMemory.h"
#include "bpt/Runtime/StepPlan.h"
#include "bpt/Transforms/EntryInfo.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace bpt {

template <typename T, typename U>
static void assignIfSet(const std::optional<T> &from, U &to) {
  if (from)
    to = *from;
}

/// What the flags shared by all models say.
template <typename Options>
static Status applyCommon(const TrainOptions &from, Options &to) {
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
static std::string getPipeline(const TrainOptions &options, llvm::StringRef keep, bool canSample, bool hasDropout) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << "builtin.module(" << (canSample ? "bpt-build-sampler," : "") << (hasDropout ? "bpt-build-evaluation," : "");
  for (llvm::StringRef function : {"loss", "loss.evaluation"}) {
    if (function != "loss" && !hasDropout)
      continue;
    stream << "bpt-form-blocks{function=" << function << " strategy=" << options.strategy << " block=" << options.block;
    if (!keep.empty())
      stream << " keep=" << keep;
    stream << "},";
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

/// Turns the loss graph into the entries of a training program; layers keep what `keep` says (empty: what their strategy does).
static Expected<CompileOptions> formTraining(Compiler &compiler, ModuleOp module, const TrainOptions &options, llvm::StringRef keep) {
  unsigned heads = 0;
  bool hasDropout = false;
  module.walk([&](Operation *op) {
    heads += isa<LinearCrossEntropyOp>(op);
    auto attention = dyn_cast<AttentionOp>(op);
    hasDropout |= isa<DropoutOp>(op) || (attention && attention.getSeed());
  });
  if (Status status = compiler.runPipeline(module, getPipeline(options, keep, heads == 1, hasDropout)); !status)
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
  compile.target = *target;
  compile.profile = options.profile && *target == Target::CPU;
  compile.keptActivations = !keep.empty() ? keep.str() : options.strategy == "blockwise" ? "input" : "all";
  compile.entries = {"train_step", "loss"};
  if (heads == 1)
    compile.entries.push_back("next_logits");
  if (Status status = compiler.selectEntries(module, compile); !status)
    return status.takeError();
  return compile;
}

/// What is kept is rounded to its type, what is computed again is not: only where these are the same may the memory that happens to
/// be there decide.
static bool keepingIsExact(ModuleOp module) {
  auto loss = module.lookupSymbol<func::FuncOp>("loss");
  return loss && llvm::all_of(loss.getArgumentTypes(), [](Type type) {
           Type element = getElementTypeOrSelf(type);
           return !isa<FloatType>(element) || getAccumulatorType(element) == element;
         });
}

Expected<Program> compileTraining(const TrainOptions &options, int threads) {
  Compiler compiler;
  Expected<OwningOpRef<ModuleOp>> module = readTrainingGraph(compiler, options);
  if (!module)
    return module.takeError();
  bool given = options.keepActivations != "auto";
  if (!given && options.strategy == "blockwise" && keepingIsExact(**module)) {
    // With memory to spare nothing is computed twice: from what keeps most to what keeps least, the first that fits.
    int64_t memory = options.memory ? options.memory : availableMemory() / 10 * 9;
    for (llvm::StringRef keep : {"all", "qkv", "attention"}) {
      OwningOpRef<ModuleOp> candidate = (*module)->clone();
      Expected<CompileOptions> compile = formTraining(compiler, *candidate, options, keep);
      if (!compile)
        return compile.takeError();
      if (Status status = compiler.lower(*candidate, *compile, Stage::Buffers); !status)
        return status.takeError();
      Expected<Manifest> manifest = compiler.getManifest(*candidate, *compile);
      if (!manifest)
        return manifest.takeError();
      Expected<StepPlan> plan = planTrainStep(*manifest, options, threads);
      if (!plan)
        return plan.takeError();
      if (plan->headBytes + plan->plan.arenaBytes <= memory)
        return compiler.load(*candidate, *compile);
    }
  }
  Expected<CompileOptions> compile = formTraining(compiler, **module, options, given ? options.keepActivations : "");
  if (!compile)
    return compile.takeError();
  return compiler.load(**module, *compile);
}

} // namespace bpt
