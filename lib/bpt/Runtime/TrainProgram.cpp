// Plans the entries of a training program into one arena, binds their arguments, and runs them.
#include "bpt/Runtime/TrainProgram.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Packer.h"
#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace bpt {

static const EntryInfo *findEntry(const Manifest &manifest, const std::string &name) {
  for (const EntryInfo &entry : manifest.entries)
    if (entry.name == name)
      return &entry;
  return nullptr;
}

Expected<TrainProgram> TrainProgram::plan(Program program, const TrainOptions &options, int threads) {
  TrainProgram result;
  result.program = std::move(program);
  result.threadCount = threads;
  if (Status status = result.planStep(options); !status)
    return status.takeError();
  result.work = result.trainPlan.arenaBytes;
  for (auto [name, place] : {std::pair<const char *, std::optional<Inference> *>{"loss", &result.validation},
                             {"next_logits", &result.sampling}}) {
    if (!findEntry(result.program.manifest(), name))
      continue;
    Expected<Inference> inference = result.planInference(name);
    if (!inference)
      return inference.error().in(fmt::format("entry {}", inQuotes(name)));
    result.work = std::max(result.work, inference->convertedBytes + inference->plan.arenaBytes);
    *place = inference.take();
  }
  return result;
}

Status TrainProgram::planStep(const TrainOptions &options) {
  Expected<StepPlan> planned = planTrainStep(program.manifest(), options, threadCount);
  if (!planned)
    return planned.takeError();
  Expected<Entry> entry = program.entry("train_step");
  if (!entry)
    return entry.takeError();
  train = entry.take();
  step = std::move(planned->signature);
  batch = planned->batch;
  trainShapes = std::move(planned->shapes);
  trainPlan = std::move(planned->plan);
  stateBytes = planned->stateBytes;
  head = planned->headBytes;
  flops = planned->flops;
  return {};
}

/// What argument `position` of an inference entry is, and its shape.
Status TrainProgram::addArgument(Inference &inference, const DataArguments &known, size_t position) {
  const EntryInfo &info = inference.entry.info();
  const ArgumentInfo &argument = info.arguments[position];
  bool isLoss = info.name == "loss";
  Shape shape = argument.shape;
  auto described = [&] { return describeType(argument.type, argument.shape); };
  auto master = std::find_if(step.parameters.begin(), step.parameters.end(),
                             [&](const TrainedParameter &p) { return p.name == argument.name; });
  inference.parameterOf.push_back(master == step.parameters.end() ? -1 : master - step.parameters.begin());
  if (master != step.parameters.end()) {
    if (argument.shape != master->shape || !isFloat(argument.type))
      return badInput(fmt::format("argument {}: expected the shape of the training step's {}, but got {}",
                                  inQuotes(argument.name), describeType(master->type, master->shape), described()));
    if (argument.type != master->type)
      inference.convertedBytes += alignedBytes(argument.type, argument.shape);
  } else if ((position == known.tokens || position == known.targets) && shape.size() == 2) {
    // Sampling follows one sequence; where a larger batch is compiled in, its other rows are zeros.
    shape[0] = shape[0] >= 0 ? shape[0] : isLoss ? batch.batch : 1;
    shape[1] = shape[1] >= 0 ? shape[1] : batch.context;
    if (isLoss && shape != Shape{batch.batch, batch.context})
      return badInput(fmt::format("argument {}: expected the batch of the training step, {}x{}, but got {}",
                                  inQuotes(argument.name), batch.batch, batch.context, described()));
    (position == known.tokens ? inference.tokens : inference.targets) = position;
  } else if (argument.name == "position" && argument.type == DataType::I64 && shape.empty()) {
    inference.position = position;
  } else if (position != known.seed) {
    return badInput(fmt::format("argument {} of {} has no meaning in training", inQuotes(argument.name), described()));
  }
  inference.shapes.push_back(shape);
  return {};
}

Expected<TrainProgram::Inference> TrainProgram::planInference(const std::string &name) {
  Expected<Entry> entry = program.entry(name);
  if (!entry)
    return entry.takeError();
  Inference inference;
  inference.entry = entry.take();
  const EntryInfo &info = inference.entry.info();
  DataArguments known = findDataArguments(info.arguments);
  for (size_t i = 0; i < info.arguments.size(); ++i)
    if (Status status = addArgument(inference, known, i); !status)
      return status.takeError();
  if (!inference.tokens || info.results.empty() || !isFloat(info.results[0].type))
    return badInput("expected an argument called tokens and a float result");
  Expected<Plan> plan = planEntry(program.manifest(), info, dynamicSizes(info, inference.shapes), threadCount);
  if (!plan)
    return plan.takeError();
  inference.plan = plan.take();
  return inference;
}

int64_t TrainProgram::parameterCount() const {
  int64_t total = 0;
  for (const TrainedParameter &parameter : step.parameters) {
    Expected<int64_t> count = countElements(parameter.shape, parameter.type);
    total += count ? *count : 0;
  }
  return total;
}

std::vector<PlannedSlot> TrainProgram::headSlots() const {
  int64_t values = 0, moments = 0;
  for (const TrainedParameter &parameter : step.parameters) {
    values += alignedBytes(parameter.type, parameter.shape);
    moments += 2 * alignedBytes(parameter.moments, parameter.shape);
  }
  PlannedSlot slots[] = {{"parameters", "parameter", values, 0, 0, 0},
                         {"moments of the optimizer", "optimizer", moments, 0, 0, 0},
                         {"tokens and targets", "batch", head - stateBytes, 0, 0, 0}};
  return {std::begin(slots), std::end(slots)};
}

Status TrainProgram::allocate() {
  Expected<Arena> memory = Arena::allocate(plannedBytes(), "the training run");
  if (!memory)
    return memory.takeError();
  arena = memory.take();
  workArena = std::make_shared<Arena>(Arena::borrow(arena.data() + head, work));
  views = TrainState::place(step.parameters, arena.data());
  const Shape &tokenShape = trainShapes[step.tokens];
  tokenView = Tensor::view(DataType::I32, tokenShape, arena.data() + stateBytes);
  targetView = Tensor::view(DataType::I32, tokenShape, arena.data() + stateBytes + (head - stateBytes) / 2);
  pool = std::make_unique<ThreadPool>(threadCount);
  if (Status status = bindStep(); !status)
    return status;
  for (std::optional<Inference> *inference : {&validation, &sampling})
    if (*inference)
      if (Status status = bindInference(**inference); !status)
        return status;
  return {};
}

Status TrainProgram::bindStep() {
  trainArguments.resize(trainShapes.size());
  for (size_t p = 0; p < step.parameters.size(); ++p) {
    trainArguments[step.values[p]] = views.model[p].tensor;
    trainArguments[step.firstMoments[p]] = views.optimizer[2 * p].tensor;
    trainArguments[step.secondMoments[p]] = views.optimizer[2 * p + 1].tensor;
  }
  for (size_t i : {step.step, step.lr, step.seed.value_or(step.step)}) {
    Expected<Tensor> scalar = Tensor::zeros(train->info().arguments[i].type, {});
    if (!scalar)
      return scalar.takeError();
    trainArguments[i] = *scalar;
  }
  trainArguments[step.tokens] = tokenView;
  trainArguments[step.targets] = targetView;
  PrepareOptions options;
  options.threads = threadCount;
  options.arena = workArena;
  return train->prepare(trainShapes, options);
}

Status TrainProgram::bindInference(Inference &inference) {
  const EntryInfo &info = inference.entry.info();
  uint8_t *converted = workArena->data();
  for (size_t i = 0; i < info.arguments.size(); ++i) {
    const ArgumentInfo &argument = info.arguments[i];
    const Shape &shape = inference.shapes[i];
    int64_t parameter = inference.parameterOf[i];
    if (parameter >= 0 && argument.type == step.parameters[static_cast<size_t>(parameter)].type) {
      inference.arguments.push_back(views.model[static_cast<size_t>(parameter)].tensor);
    } else if (parameter >= 0) {
      inference.arguments.push_back(Tensor::view(argument.type, shape, converted));
      converted += alignedBytes(argument.type, shape);
    } else if (inference.targets && (i == *inference.tokens || i == *inference.targets)) {
      inference.arguments.push_back(
          Tensor::view(argument.type, shape, (i == *inference.tokens ? tokenView : targetView).data()));
    } else {
      Expected<Tensor> own = Tensor::zeros(argument.type, shape); // scalars, and the one sequence of sampling
      if (!own)
        return own.takeError();
      inference.arguments.push_back(*own);
    }
  }
  PrepareOptions options;
  options.threads = threadCount;
  options.arena = std::make_shared<Arena>(
      Arena::borrow(workArena->data() + inference.convertedBytes, work - inference.convertedBytes));
  return inference.entry.prepare(inference.shapes, options);
}

void TrainProgram::convertParameters(const Inference &inference) {
  for (size_t i = 0; i < inference.arguments.size(); ++i)
    if (inference.parameterOf[i] >= 0) {
      const Tensor &master = views.model[static_cast<size_t>(inference.parameterOf[i])].tensor;
      if (master.data() != inference.arguments[i].data())
        convertElements(master, inference.arguments[i], pool.get());
    }
}

void TrainProgram::profileSteps() {
  if (program.manifest().regions.empty())
    return;
  profile = std::make_unique<Profile>(program.manifest().regions);
  train->profileInto(profile.get());
}

Expected<StepResult> TrainProgram::runStep(int64_t number, double lr, int64_t seed) {
  trainArguments[step.step].as<int64_t>()[0] = number;
  trainArguments[step.lr].set(0, lr);
  if (step.seed)
    trainArguments[*step.seed].as<int64_t>()[0] = seed;
  Expected<std::vector<Tensor>> results = train->run(trainArguments);
  if (!results)
    return results.takeError();
  return StepResult{(*results)[step.loss].get(0), (*results)[step.gradNorm].get(0)};
}

Expected<double> TrainProgram::validate() {
  convertParameters(*validation);
  Expected<std::vector<Tensor>> results = validation->entry.run(validation->arguments);
  if (!results)
    return results.takeError();
  return (*results)[0].get(0);
}

int64_t TrainProgram::sampleContext() const { return sampling->shapes[*sampling->tokens][1]; }

void TrainProgram::beginSampling() { convertParameters(*sampling); }

Expected<std::vector<float>> TrainProgram::nextLogits(const std::vector<int32_t> &ids, int64_t position) {
  const Tensor &window = sampling->arguments[*sampling->tokens];
  std::memset(window.data(), 0, static_cast<size_t>(window.bytes()));
  std::copy(ids.begin(), ids.end(), window.as<int32_t>());
  if (sampling->position)
    sampling->arguments[*sampling->position].as<int64_t>()[0] = position;
  Expected<std::vector<Tensor>> results = sampling->entry.run(sampling->arguments);
  if (!results)
    return results.takeError();
  std::vector<float> logits(static_cast<size_t>((*results)[0].elements()));
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>((*results)[0].get(static_cast<int64_t>(i)));
  return logits;
}

} // namespace bpt
