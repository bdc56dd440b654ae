// From options to the first step: the folder and its checkpoints, the data, the program and its memory, the table.
#include "TrainRun.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/MemoryPlot.h"
#include "bpt/Runtime/Signals.h"
#include "bpt/Runtime/Sizes.h"
#include "bpt/Runtime/TextSampler.h"
#include <algorithm>
#include <condition_variable>
#include <filesystem>
#include <fmt/format.h>
#include <mutex>
#include <nlohmann/json.hpp>
#include <pthread.h>

namespace bpt {

std::string TrainRun::title() const {
  std::string model = !options.graph.empty()   ? options.graph
                      : options.preset.empty() ? options.model
                                               : options.model + " " + options.preset;
  std::string tokens = std::filesystem::path(options.tokens).filename().string();
  return tokens.empty() ? model : model + " on " + tokens;
}

Error TrainRun::interrupted(int64_t step) const {
  return {ExitCode::Interrupted, fmt::format("interrupted by {}; {}/step-{} is complete, --resume goes on from it",
                                             interruptName(), directory->checkpoints(), step)};
}

Status TrainRun::openFolder() {
  Expected<RunDirectory> opened = RunDirectory::open(options.out);
  if (!opened)
    return opened.takeError();
  directory = opened.take();
  Expected<NewestCheckpoint> newest = findNewestCheckpoint(directory->checkpoints(), options.resume);
  if (!newest)
    return newest.takeError();
  for (const std::string &why : newest->skipped)
    report.note(why + "; it is skipped");
  if (newest->checkpoint && !options.resume)
    return badInput(
        fmt::format("{}: there is a checkpoint of step {} already; --resume goes on from it, another --out starts anew",
                    options.out, newest->checkpoint->state.step));
  if (!newest->checkpoint)
    return {};
  resumed = newest->checkpoint;
  start = resumed->state.step;
  saved = start;
  finished = start >= options.lastStep();
  if (finished)
    report.note(fmt::format("{}: step {} of {} is done already, nothing is left to do", options.out, start,
                            options.lastStep()));
  return {};
}

void TrainRun::noteChanges(const std::string &earlier) {
  nlohmann::json before = nlohmann::json::parse(earlier, nullptr, false);
  nlohmann::json now = nlohmann::json::parse(numericalConfiguration(options));
  auto text = [](const nlohmann::json &object, const std::string &key) {
    return object.contains(key) ? object[key].dump() : std::string("not set");
  };
  if (!before.is_object())
    return;
  nlohmann::json keys = before;
  keys.update(now);
  for (const auto &[key, value] : keys.items())
    if (text(before, key) != text(now, key))
      report.note(
          fmt::format("{} is {} from here on; up to step {} it was {}", key, text(now, key), start, text(before, key)));
}

Status TrainRun::openData(std::optional<int64_t> range) {
  if (options.tokens.empty())
    return {}; // a dry run
  auto seed = static_cast<uint64_t>(options.seed);
  Expected<TrainData> opened = TrainData::open(options.tokens, options.tokenType, range, batch, seed);
  if (!opened)
    return opened.takeError();
  data.emplace(opened.take());
  if (options.validTokens.empty())
    return {};
  Expected<TrainData> valid = TrainData::open(options.validTokens, options.tokenType, range, batch, seed);
  if (!valid)
    return valid.takeError();
  validData.emplace(valid.take());
  return {};
}

/// Settles what the graph decides, opens the data, and records the configuration.
Status TrainRun::resolve(const ArgumentInfo &tokens) {
  Expected<BatchShape> shape = resolveBatch(tokens, options);
  if (!shape)
    return shape.takeError();
  batch = *shape;
  options.batch = batch.batch;
  options.context = batch.context;
  options.accumulate = batch.accumulate;
  options.minLr = options.minimumRate();
  if (options.validEvery == 0)
    options.validEvery = options.checkpointEvery;
  rate = {options.lr, *options.minLr, options.warmup, options.steps};
  if (options.sampleEvery > 0) {
    Expected<std::vector<int32_t>> ids = parsePrompt(options.samplePrompt, tokens.range);
    if (!ids)
      return ids.takeError();
    prompt = ids.take();
  }
  if (Status status = openData(tokens.range); !status)
    return status;
  if (resumed)
    noteChanges(resumed->state.configuration);
  if (directory)
    return directory->replaceFile("config.toml", writeConfiguration(options));
  return {};
}

Status TrainRun::readSignature() {
  if (!source.signature)
    return {};
  Expected<std::vector<ArgumentInfo>> arguments = source.signature();
  if (!arguments)
    return arguments.takeError();
  Expected<std::vector<TrainedParameter>> parameters = trainedParameters(*arguments);
  if (!parameters)
    return parameters.takeError();
  early = parameters.take();
  if (!options.init.empty() && !resumed) {
    std::vector<NamedTensor> model; // without data: only names, types and shapes are compared
    for (const TrainedParameter &parameter : early)
      model.push_back({parameter.name, Tensor::view(parameter.type, parameter.shape, nullptr)});
    if (Expected<ExtraTensors> file = loadParameters(options.init, model, true); !file)
      return file.takeError();
  }
  DataArguments known = findDataArguments(*arguments);
  if (!known.tokens || !known.targets)
    return badInput("expected a loss graph with two i32 arguments BxT, tokens and targets, but there are none");
  return resolve((*arguments)[*known.tokens]);
}

namespace {

/// The compiler in a thread of its own. Shared, because the run may stop waiting for it.
template <typename T> struct Compilation {
  std::function<Expected<T>()> compile;
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Expected<T>> result;
};

template <typename T> void *runCompilation(void *argument) {
  std::unique_ptr<std::shared_ptr<Compilation<T>>> shared(static_cast<std::shared_ptr<Compilation<T>> *>(argument));
  Expected<T> result = (*shared)->compile();
  std::lock_guard<std::mutex> lock((*shared)->mutex);
  (*shared)->result.emplace(std::move(result));
  (*shared)->changed.notify_all();
  return nullptr;
}

/// Compiles or plans; none when a signal came first and `abandon` allows to leave the compiler behind.
template <typename T> std::optional<Expected<T>> compile(std::function<Expected<T>()> function, bool abandon) {
  auto shared = std::make_shared<Compilation<T>>();
  shared->compile = std::move(function);
  // Compilers recurse deeply; where the stack limit is `unlimited`, glibc gives threads 2 MiB only.
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, size_t(64) << 20);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  auto *argument = new std::shared_ptr<Compilation<T>>(shared);
  int failed = pthread_create(&thread, &attributes, runCompilation<T>, argument);
  pthread_attr_destroy(&attributes);
  if (failed) {
    delete argument;
    return shared->compile();
  }
  std::unique_lock<std::mutex> lock(shared->mutex);
  while (!shared->result) {
    if (abandon && interruptSignal())
      return std::nullopt;
    shared->changed.wait_for(lock, std::chrono::milliseconds(20));
  }
  return std::move(shared->result);
}

} // namespace

Status TrainRun::compileAndPlan() {
  TimedPart time(profile.compile);
  if (options.dryRun && source.plan)
    return planOnly();
  auto compiled = compile<CompiledTraining>(source.compile, !early.empty() || resumed);
  if (!compiled)
    return saveBeforeCompiled();
  if (!*compiled)
    return compiled->takeError();
  CompiledTraining result = compiled->take();
  if (!result.program)
    return takePlan(result.tooLarge.manifest, std::move(result.tooLarge.plan), std::move(result.policies));
  Expected<TrainProgram> created = TrainProgram::create(std::move(*result.program), options, environment.threads);
  if (!created)
    return created.takeError();
  program.emplace(created.take());
  return takePlan(program->manifest(), program->getPlan(), std::move(result.policies));
}

/// A dry run needs no code.
Status TrainRun::planOnly() {
  auto planned =
      compile<PlannedTraining>([this, given = options] { return source.plan(given, PackEffort::Full); }, true);
  if (!planned)
    return interruptedWithoutState();
  if (!*planned)
    return planned->takeError();
  PlannedTraining result = planned->take();
  frontier = std::move(result.frontier);
  return takePlan(result.manifest, std::move(result.plan), std::move(result.policies));
}

Status TrainRun::takePlan(const Manifest &manifest, TrainPlan planned, std::vector<PolicyCost> considered) {
  Expected<const EntryInfo *> entry = manifest.find("train_step");
  if (!entry)
    return entry.takeError();
  kept = manifest.keptActivations;
  policies = std::move(considered);
  const ArgumentInfo &tokens = (*entry)->arguments[planned.signature.tokens];
  plan.emplace(std::move(planned));
  return early.empty() ? resolve(tokens) : Status();
}

Error TrainRun::interruptedWithoutState() const {
  return {ExitCode::Interrupted, fmt::format("interrupted by {}", interruptName())};
}

/// A signal came before the program was there: the state of step 0 needs no program.
Status TrainRun::saveBeforeCompiled() {
  if (!directory)
    return interruptedWithoutState();
  if (saved)
    return interrupted(*saved);
  Expected<int64_t> bytes = TrainState::bytes(early);
  if (!bytes)
    return bytes.takeError();
  Expected<Arena> memory = Arena::allocate(*bytes, "the parameters");
  if (!memory)
    return memory.takeError();
  TrainState state = TrainState::place(early, memory->data());
  if (Status status = initialize(state, early); !status)
    return status;
  if (Status status = writeCheckpoint(directory->checkpoints(), checkpointState(0), state.model, state.optimizer);
      !status)
    return status;
  return interrupted(0);
}

Status TrainRun::initialize(const TrainState &state, const std::vector<TrainedParameter> &parameters) {
  initializeState(state, parameters, static_cast<uint64_t>(options.seed));
  if (options.init.empty())
    return {};
  Expected<ExtraTensors> extra = loadParameters(options.init, state.model);
  if (!extra)
    return extra.takeError();
  if (!extra->names.empty()) {
    size_t shown = std::min<size_t>(4, extra->names.size());
    std::string names = fmt::format(
        "{}", fmt::join(extra->names.begin(), extra->names.begin() + static_cast<std::ptrdiff_t>(shown), ", "));
    if (shown < extra->names.size())
      names += fmt::format(" and {} more", extra->names.size() - shown);
    report.note(fmt::format("{}: left out what is no parameter of this model: {}", options.init, names));
  }
  return {};
}

void TrainRun::describe() {
  const TrainPlan &p = *plan;
  std::vector<ReportRow> rows;
  rows.push_back(textRow("model", "model", title()));
  auto parameters = static_cast<double>(p.parameterCount());
  rows.push_back(numberRow("parameters", "parameters",
                           fmt::format("{} in {} tensors", formatCount(parameters), p.signature.parameters.size()),
                           parameters));
  if (p.signature.range)
    rows.push_back(numberRow("vocabulary", "vocabulary", fmt::format("{}", *p.signature.range),
                             static_cast<double>(*p.signature.range)));
  std::string sizes = fmt::format("{} x {} tokens", batch.batch, batch.context);
  if (batch.accumulate > 1)
    sizes = fmt::format("{} x {}", batch.accumulate, sizes);
  rows.push_back(numberRow("tokens_per_step", "batch", fmt::format("{} = {} tokens a step", sizes, batch.tokens()),
                           static_cast<double>(batch.tokens())));
  if (data) {
    auto count = static_cast<double>(data->file().count());
    rows.push_back(numberRow(
        "tokens", "tokens",
        fmt::format("{} (u{}), seen {:.3g} times in {} steps", formatCount(count), 8 * data->file().width(),
                    static_cast<double>(batch.tokens()) * static_cast<double>(options.steps) / count, options.steps),
        count));
  }
  if (validData)
    rows.push_back(
        numberRow("valid_tokens", "validation",
                  fmt::format("{} tokens, every {} steps", formatCount(static_cast<double>(validData->file().count())),
                              options.validEvery),
                  static_cast<double>(validData->file().count())));
  std::string keep = options.keepActivations;
  if (!kept.empty() && kept != keep)
    keep = fmt::format("{} ({})", kept, keep);
  rows.push_back(
      textRow("strategy", "strategy", fmt::format("{}, blocks of {}, keep {}", options.strategy, options.block, keep)));
  rows.push_back(textRow("target", "target", options.target));
  rows.push_back(numberRow("threads", "threads", fmt::format("{}", environment.threads), environment.threads));
  if (p.flops > 0)
    rows.push_back(numberRow("step_flops", "work",
                             fmt::format("{}FLOP a step", formatCount(static_cast<double>(p.flops))),
                             static_cast<double>(p.flops)));
  describeMemory(rows);
  rows.push_back(numberRow("compile_seconds", program ? "compiled in" : "planned in", formatDuration(profile.compile),
                           profile.compile));
  if (resumed)
    rows.push_back(
        numberRow("resumed_from", "resumed from", fmt::format("step {}", start), static_cast<double>(start)));
  if (directory)
    rows.push_back(textRow("out", "folder", options.out));
  report.table("start", "bpt-train", rows);
}

/// Allocates, initialises or loads, and makes the folder ready for rows of steps after `start`.
Status TrainRun::startState() {
  TimedPart time(profile.start);
  if (Status status = program->allocate(); !status)
    return status;
  if (options.profile) {
    program->profileSteps();
    if (!program->stepProfile())
      report.note("the program was not compiled for a profile by op (that takes --target=cpu): only the parts of the "
                  "run are timed");
  }
  Status loaded = resumed ? loadCheckpoint(*resumed, program->state().model, program->state().optimizer)
                          : initialize(program->state(), plan->signature.parameters);
  if (!loaded)
    return loaded;
  // Damaged checkpoints beyond the start would be in the way of those to come.
  if (Status status = pruneCheckpoints(directory->checkpoints(), 0, resumed ? start : -1); !status)
    return status;
  Expected<MetricsLog> log = MetricsLog::open(directory->file("metrics.jsonl"), start);
  if (!log)
    return log.takeError();
  metrics.emplace(log.take());
  std::string name =
      fmt::format("memory of a training step: {}, planned peak {}", title(), formatBytes(plan->plannedBytes()));
  return directory->replaceFile("memory.svg", memoryPlot(name, plan->step, plan->headSlots()));
}

Status TrainRun::run() {
  if (!options.dryRun)
    if (Status status = openFolder(); !status || finished)
      return status;
  if (directory) {
    directory->announce();
    if (Status status = removeLeftovers(directory->checkpoints()); !status)
      return status;
  }
  if (Status status = readSignature(); !status)
    return status;
  if (Status status = compileAndPlan(); !status)
    return status;
  describe();
  if (!frontier.empty())
    describeFrontier();
  if (Status status = checkBudget(); !status)
    return status;
  if (options.dryRun)
    return searchLargest();
  if (Status status = startState(); !status)
    return status;
  return loop();
}

Status train(const TrainOptions &options, const ProgramSource &source, const TrainEnvironment &environment) {
  return TrainRun(options, source, environment).run();
}

} // namespace bpt
