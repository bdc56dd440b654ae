// What bpt-run does: compile, run, compare.
#include "bpt/Engine/Session.h"
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/Sizes.h"
#include "bpt/Runtime/Threads.h"
#include "bpt/Runtime/TrainPlan.h"
#include <utility>

using namespace mlir;

namespace bpt {

namespace {

/// A compiled program, what it is held against, and how.
struct Checker {
  std::string tool;
  const Program &program, &reference;
  const Program *naive;              ///< null: its error is not asked for
  std::vector<emulator::Mode> modes; ///< one where the target has none
  EmulatorOptions &options;
  bool warned = false;

  Expected<std::vector<Comparison>> check(const RunRequest &request);
};

} // namespace

/// Runs the entry and the reference in f64 on the same arguments: how far apart they are, in the worst mode.
Expected<std::vector<Comparison>> Checker::check(const RunRequest &request) {
  std::vector<Comparison> worst;
  std::vector<NamedTensor> exact;
  std::vector<Comparison> naiveErrors;
  for (emulator::Mode mode : modes) {
    options.mode = mode;
    std::string warnings;
    Expected<EntryRun> run = EntryRun::start(program, request, warnings);
    if (!warnings.empty() && !std::exchange(warned, true))
      llvm::errs() << tool << ": " << warnings;
    if (!run)
      return run.takeError();
    // The reference first: the run may update its arguments in place.
    if (exact.empty()) {
      Expected<std::vector<NamedTensor>> results =
          runReference(reference, run->entry().info().name, run->arguments(), run->report().threads);
      if (!results)
        return results.takeError();
      exact = results.take();
      if (naive) {
        Expected<std::vector<NamedTensor>> rounded =
            runReference(*naive, run->entry().info().name, run->arguments(), run->report().threads);
        if (!rounded)
          return rounded.takeError();
        Expected<std::vector<Comparison>> errors = compareResults(*rounded, exact);
        if (!errors)
          return errors.takeError();
        naiveErrors = errors.take();
      }
    }
    if (Status status = run->execute(); !status)
      return status.error();
    Expected<std::vector<Comparison>> comparison = compareResults(run->results(), exact);
    if (!comparison)
      return comparison.takeError();
    if (worst.empty())
      worst = *comparison;
    for (auto [all, here] : llvm::zip_equal(worst, *comparison))
      if (!(here.maxAbs <= all.maxAbs)) // or it is no number
        all = here;
    if (mode == modes.back() && !request.outputs.empty())
      if (Status status = writeSafeTensors(request.outputs, run->results()); !status)
        return status.error();
  }
  for (size_t i = 0; i < naiveErrors.size(); ++i)
    worst[i].naiveMaxRel = naiveErrors[i].maxRel;
  return worst;
}

/// --check: of one run, or of each of --runs.
static Status check(Checker checker, const SessionRequest &session) {
  if (session.runs.empty()) {
    Expected<std::vector<Comparison>> worst = checker.check(session.run);
    if (!worst)
      return worst.takeError();
    llvm::outs() << (session.run.json ? comparisonJson(*worst) + "\n" : formatComparison(*worst));
    return {};
  }
  Expected<std::vector<RunRequest>> runs = readRuns(session.runs, session.run);
  if (!runs)
    return runs.takeError();
  for (auto [index, run] : llvm::enumerate(*runs)) {
    std::string place = session.runs + ": run " + std::to_string(index + 1);
    Expected<std::vector<Comparison>> worst = checker.check(run);
    if (!worst)
      return worst.error().in(place);
    llvm::outs() << (run.json ? comparisonJson(*worst) + "\n" : place + "\n" + formatComparison(*worst));
    llvm::outs().flush();
  }
  return {};
}

/// What does not go together.
static Status checkFlags(const SessionRequest &request) {
  if (request.check && !request.run.expected.empty())
    return usageError("expected --check or --expected, but got both");
  if (request.check && request.run.profiles())
    return usageError("expected --profile or --check, but got both");
  if (request.check && request.run.bench > 0)
    return usageError("expected --bench or --check, but got both");
  if (request.run.plan && (request.check || !request.run.expected.empty()))
    return usageError("expected --plan without --check and --expected: a plan runs nothing");
  if (request.naive && !request.check)
    return usageError("expected --check with --naive");
  if (!request.runs.empty() && !request.check)
    return usageError("expected --check with --runs");
  if (!request.runs.empty() && !request.run.outputs.empty())
    return usageError("expected --runs or --outputs, but got both: the runs would write over each other's results");
  return {};
}

/// "policy: input 79.77 MiB; faster are: all 359.02 MiB, qkv ..", empty where there was no choice.
static std::string describeChoice(llvm::ArrayRef<PolicyCost> considered) {
  std::string chosen, faster;
  for (const PolicyCost &policy : considered) {
    std::string text = policy.name + " " + formatBytes(policy.bytes);
    if (policy.chosen) {
      chosen = text;
      break;
    }
    faster += (faster.empty() ? "; faster are: " : ", ") + text;
  }
  return chosen.empty() ? "" : "policy: " + chosen + faster + "\n";
}

/// --plan: lowers to where the plan is, and no further.
static Status printPlan(const std::string &tool, Compiler &compiler, ModuleOp module, const CompileOptions &options,
                        const RunRequest &request, llvm::ArrayRef<PolicyCost> considered) {
  if (request.profiles())
    return usageError("expected --plan or --profile, but got both: a plan runs nothing");
  if (Status status = compiler.lower(module, options, Stage::Buffers); !status)
    return status;
  Expected<Manifest> manifest = compiler.getManifest(module, options);
  if (!manifest)
    return manifest.takeError();
  if (options.offload == Offload::Yes && !offloadsAnything(*manifest))
    llvm::errs() << tool << ": " << idleOffloadWarning << "\n";
  std::string warnings;
  Expected<std::string> text = planText(*manifest, request, warnings);
  if (!warnings.empty())
    llvm::errs() << tool << ": " << warnings;
  if (!text)
    return text.takeError();
  llvm::outs() << (request.json ? "" : describeChoice(considered)) << *text;
  return {};
}

static Status run(const std::string &tool, const SessionRequest &request, int &code) {
  if (Status status = checkFlags(request); !status)
    return status;
  Compiler compiler;
  Expected<OwningOpRef<ModuleOp>> module = compiler.read(request.input);
  if (!module)
    return module.takeError();
  CompileOptions options = request.options;
  if (!request.run.entry.empty())
    options.entries = {request.run.entry};
  options.memory = request.run.memoryLimit;
  options.profile = request.run.profiles();
  Expected<std::vector<emulator::Mode>> modes = parseEmulatorModes(request.emulatorMode);
  if (!modes)
    return modes.takeError();
  if (modes->size() > 1 && !request.check)
    return usageError("expected --check with --emulator-mode=all");
  options.emulator = std::make_shared<EmulatorOptions>();
  options.emulator->mode = modes->front();
  options.emulator->seed = static_cast<uint64_t>(request.emulatorSeed);
  Expected<bool> optimized = parseEmulatorCode(request.emulatorCode);
  if (!optimized)
    return optimized.takeError();
  options.emulator->optimized = *optimized;
  std::string ignored; // the run warns
  options.threads = chooseThreads(request.run.threads, request.run.ompNumThreads, ignored);
  options.emulator->hostThreads = static_cast<int>(options.threads);
  std::vector<PolicyCost> considered;
  if (Status status = compiler.formGradientEntry(*module, options, &considered); !status)
    return status;
  if (Status status = compiler.selectEntries(**module, options); !status)
    return status;
  if (request.run.plan)
    return printPlan(tool, compiler, **module, options, request.run, considered);
  OwningOpRef<ModuleOp> twin, naiveTwin;
  if (request.check) {
    twin = (*module)->clone();
    promoteToF64(*twin);
    if (request.naive)
      naiveTwin = (*module)->clone();
  }
  Expected<Program> program = compiler.load(**module, options);
  if (!program)
    return program.takeError();
  if (options.offload == Offload::Yes && !offloadsAnything(program->manifest()))
    llvm::errs() << tool << ": " << idleOffloadWarning << "\n";
  if (!request.check) {
    code = runCommand(tool, *program, request.run);
    return {};
  }
  CompileOptions exact = options;
  exact.target = Target::Reference;
  exact.memory = 0;
  exact.dumpStagesTo.clear();
  Expected<Program> reference = compiler.load(*twin, exact);
  if (!reference)
    return reference.takeError();
  std::optional<Program> naive;
  if (request.naive) {
    Expected<Program> loaded = compiler.load(*naiveTwin, exact);
    if (!loaded)
      return loaded.takeError();
    naive = loaded.take();
  }
  if (options.target != Target::Emulator)
    modes->resize(1);
  return check({tool, *program, *reference, naive ? &*naive : nullptr, std::move(*modes), *options.emulator}, request);
}

int runSession(const std::string &tool, const SessionRequest &request) {
  int code = 0;
  if (Status status = run(tool, request, code); !status)
    return reportError(tool, status.error());
  return code;
}

} // namespace bpt
