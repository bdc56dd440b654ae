// Binds the entries of a training program to one arena, and runs them.
#include "bpt/Runtime/TrainProgram.h"
#include "bpt/Runtime/Arguments.h"
#include <algorithm>
#include <cstring>

namespace bpt {

Expected<TrainProgram> TrainProgram::create(Program program, const TrainOptions &options, int threads) {
  TrainProgram result;
  result.program = std::move(program);
  result.threadCount = threads;
  Expected<TrainPlan> planned = planTraining(result.program.manifest(), options, threads);
  if (!planned)
    return planned.takeError();
  result.plan = planned.take();
  Expected<Entry> train = result.program.entry("train_step");
  if (!train)
    return train.takeError();
  result.train = train.take();
  auto find = [&](const char *name, const std::optional<InferencePlan> &plan,
                  std::optional<Inference> &place) -> Status {
    if (!plan)
      return {};
    Expected<Entry> entry = result.program.entry(name);
    if (!entry)
      return entry.takeError();
    place = Inference{entry.take(), {}};
    return {};
  };
  if (Status status = find("loss", result.plan.validation, result.validation); !status)
    return status.takeError();
  if (Status status = find("next_logits", result.plan.sampling, result.sampling); !status)
    return status.takeError();
  return result;
}

Status TrainProgram::allocate() {
  Expected<Arena> memory = Arena::allocate(plan.plannedBytes(), "the training run");
  if (!memory)
    return memory.takeError();
  arena = memory.take();
  workArena = std::make_shared<Arena>(Arena::borrow(arena.data() + plan.headBytes, plan.workBytes));
  views = TrainState::place(plan.signature.parameters, arena.data());
  const Shape &tokenShape = plan.shapes[plan.signature.tokens];
  tokenView = Tensor::view(DataType::I32, tokenShape, arena.data() + plan.stateBytes);
  targetView =
      Tensor::view(DataType::I32, tokenShape, arena.data() + plan.stateBytes + (plan.headBytes - plan.stateBytes) / 2);
  pool = std::make_unique<ThreadPool>(threadCount);
  if (Status status = bindStep(); !status)
    return status;
  if (validation)
    if (Status status = bindInference(*validation, *plan.validation); !status)
      return status;
  return sampling ? bindInference(*sampling, *plan.sampling) : Status();
}

Status TrainProgram::bindStep() {
  const StepSignature &step = plan.signature;
  trainArguments.resize(plan.shapes.size());
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
  train->keepUpdates(true);
  return train->prepare(plan.shapes, options);
}

Status TrainProgram::bindInference(Inference &inference, const InferencePlan &planned) {
  const EntryInfo &info = inference.entry.info();
  uint8_t *converted = workArena->data();
  for (size_t i = 0; i < info.arguments.size(); ++i) {
    const ArgumentInfo &argument = info.arguments[i];
    const Shape &shape = planned.shapes[i];
    int64_t parameter = planned.parameterOf[i];
    if (parameter >= 0 && argument.type == plan.signature.parameters[static_cast<size_t>(parameter)].type) {
      inference.arguments.push_back(views.model[static_cast<size_t>(parameter)].tensor);
    } else if (parameter >= 0) {
      inference.arguments.push_back(Tensor::view(argument.type, shape, converted));
      converted += alignedBytes(argument.type, shape);
    } else if (planned.targets && (i == *planned.tokens || i == *planned.targets)) {
      inference.arguments.push_back(
          Tensor::view(argument.type, shape, (i == *planned.tokens ? tokenView : targetView).data()));
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
      Arena::borrow(workArena->data() + planned.convertedBytes, plan.workBytes - planned.convertedBytes));
  return inference.entry.prepare(planned.shapes, options);
}

void TrainProgram::convertParameters(const Inference &inference, const InferencePlan &planned) {
  for (size_t i = 0; i < inference.arguments.size(); ++i)
    if (planned.parameterOf[i] >= 0) {
      const Tensor &master = views.model[static_cast<size_t>(planned.parameterOf[i])].tensor;
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
  const StepSignature &step = plan.signature;
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
  if (Status status = fetchState(); !status)
    return status.takeError();
  convertParameters(*validation, *plan.validation);
  Expected<std::vector<Tensor>> results = validation->entry.run(validation->arguments);
  if (!results)
    return results.takeError();
  return (*results)[0].get(0);
}

int64_t TrainProgram::sampleContext() const { return plan.sampling->shapes[*plan.sampling->tokens][1]; }

Status TrainProgram::beginSampling() {
  if (Status status = fetchState(); !status)
    return status;
  convertParameters(*sampling, *plan.sampling);
  return {};
}

Expected<std::vector<float>> TrainProgram::nextLogits(const std::vector<int32_t> &ids, int64_t position) {
  const Tensor &window = sampling->arguments[*plan.sampling->tokens];
  std::memset(window.data(), 0, static_cast<size_t>(window.bytes()));
  std::copy(ids.begin(), ids.end(), window.as<int32_t>());
  if (plan.sampling->position)
    sampling->arguments[*plan.sampling->position].as<int64_t>()[0] = position;
  Expected<std::vector<Tensor>> results = sampling->entry.run(sampling->arguments);
  if (!results)
    return results.takeError();
  std::vector<float> logits(static_cast<size_t>((*results)[0].elements()));
  for (size_t i = 0; i < logits.size(); ++i)
    logits[i] = static_cast<float>((*results)[0].get(static_cast<int64_t>(i)));
  return logits;
}

} // namespace bpt
