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
struct Compilation {
  std::function<Expected<Program>()> compile;
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<Expected<Program>> result;
};

void *runCompilation(void *argument) {
  std::unique_ptr<std::shared_ptr<Compilation>> shared(static_cast<std::shared_ptr<Compilation> *>(argument));
  Expected<Program> result = (*shared)->compile();
  std::lock_guard<std::mutex> lock((*shared)->mutex);
  (*shared)->result.emplace(std::move(result));
  (*shared)->changed.notify_all();
  return nullptr;
}

/// Compiles; none when a signal came first and `abandon` allows to leave the compiler behind.
std::optional<Expected<Program>> compile(const ProgramSource &source, bool abandon) {
  auto shared = std::make_shared<Compilation>();
  shared->compile = source.compile;
  // Compilers recurse deeply; where the stack limit is `unlimited`, glibc gives threads 2 MiB only.
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, size_t(64) << 20);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_t thread;
  auto *argument = new std::shared_ptr<Compilation>(shared);
  int failed = pthread_create(&thread, &attributes, runCompilation, argument);
  pthread_attr_destroy(&attributes);
  if (failed) {
    delete argument;
    return source.compile();
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
  std::optional<Expected<Program>> compiled;
  {
    TimedPart time(profile.compile);
    compiled = compile(source, !early.empty() || resumed);
  }
  if (!compiled)
    return saveBeforeCompiled();
  if (!*compiled)
    return compiled->takeError();
  Expected<TrainProgram> planned = TrainProgram::plan(compiled->take(), options, environment.threads);
  if (!planned)
    return planned.takeError();
  program.emplace(planned.take());
  return early.empty() ? resolve(program->tokensInfo()) : Status();
}

/// A signal came before the program was there: the state of step 0 needs no program.
Status TrainRun::saveBeforeCompiled() {
  if (!directory)
    return Error{ExitCode::Interrupted, fmt::format("interrupted by {}", interruptName())};
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

static ReportRow bytesRow(const std::string &key, const std::string &name, int64_t bytes,
                          const std::string &note = "") {
  return numberRow(key, name, formatBytes(bytes) + note, static_cast<double>(bytes));
}

void TrainRun::describe() {
  const TrainProgram &p = *program;
  std::vector<ReportRow> rows;
  rows.push_back(textRow("model", "model", title()));
  auto parameters = static_cast<double>(p.parameterCount());
  rows.push_back(numberRow("parameters", "parameters",
                           fmt::format("{} in {} tensors", formatCount(parameters), p.signature().parameters.size()),
                           parameters));
  if (p.signature().range)
    rows.push_back(numberRow("vocabulary", "vocabulary", fmt::format("{}", *p.signature().range),
                             static_cast<double>(*p.signature().range)));
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
  std::string kept = options.keepActivations;
  if (!p.keptActivations().empty() && p.keptActivations() != kept)
    kept = fmt::format("{} ({})", p.keptActivations(), kept);
  rows.push_back(textRow("strategy", "strategy", fmt::format("{}, blocks of {}, keep {}", options.strategy, options.block, kept)));
  rows.push_back(textRow("target", "target", options.target));
  rows.push_back(numberRow("threads", "threads", fmt::format("{}", environment.threads), environment.threads));
  if (p.stepFlops() > 0)
    rows.push_back(numberRow("step_flops", "work",
                             fmt::format("{}FLOP a step", formatCount(static_cast<double>(p.stepFlops()))),
                             static_cast<double>(p.stepFlops())));
  rows.push_back(bytesRow("state_bytes", "parameters and moments", p.headBytes()));
  rows.push_back(bytesRow("step_bytes", "buffers of a step", p.workBytes()));
  rows.push_back(bytesRow("planned_peak_bytes", "planned peak", p.plannedBytes(),
                          options.memory ? fmt::format(" of {}", formatBytes(options.memory)) : ""));
  rows.push_back(numberRow("compile_seconds", "compiled in", formatDuration(profile.compile), profile.compile));
  if (resumed)
    rows.push_back(
        numberRow("resumed_from", "resumed from", fmt::format("step {}", start), static_cast<double>(start)));
  if (directory)
    rows.push_back(textRow("out", "folder", options.out));
  report.table("start", "bpt-train", rows);
}

Status TrainRun::checkBudget() const {
  if (options.memory == 0 || program->plannedBytes() <= options.memory)
    return {};
  return outOfMemory(fmt::format(
      "expected the run to fit into --memory={} bytes ({}), but it needs {} ({}): {} of parameters and moments, {} of "
      "buffers; use a smaller --batch, --context or --block, fewer --threads, --keep-activations=input, or a "
      "larger --memory\n{}",
      options.memory, formatBytes(options.memory), program->plannedBytes(), formatBytes(program->plannedBytes()),
      formatBytes(program->headBytes()), formatBytes(program->workBytes()), formatPlan(program->stepPlan(), 10)));
}

/// Allocates, initialises or loads, and makes the folder ready for rows of steps after `start`.
Status TrainRun::startState() {
  TimedPart time(profile.start);
  if (Status status = program->allocate(); !status)
    return status;
  if (options.profile) {
    program->profileSteps();
    if (!program->stepProfile())
      report.note("the program was not compiled for a profile by op (that takes --target=cpu): only the parts of the run are timed");
  }
  Status loaded = resumed ? loadCheckpoint(*resumed, program->state().model, program->state().optimizer)
                          : initialize(program->state(), program->signature().parameters);
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
      fmt::format("memory of a training step: {}, planned peak {}", title(), formatBytes(program->plannedBytes()));
  return directory->replaceFile("memory.svg", memoryPlot(name, program->stepPlan(), program->headSlots()));
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
  if (Status status = checkBudget(); !status || options.dryRun)
    return status;
  if (Status status = startState(); !status)
    return status;
  return loop();
}

Status train(const TrainOptions &options, const ProgramSource &source, const TrainEnvironment &environment) {
  return TrainRun(options, source, environment).run();
}

} // namespace bpt
