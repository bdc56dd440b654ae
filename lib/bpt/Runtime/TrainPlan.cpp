// Plans the entries of a training program for the sizes of a run.
#include "bpt/Runtime/TrainPlan.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include <algorithm>
#include <fmt/format.h>

namespace bpt {

static Status planStep(const Manifest &manifest, const TrainOptions &options, int threads, PackEffort effort,
                       TrainPlan &result) {
  Expected<const EntryInfo *> entry = manifest.find("train_step");
  if (!entry)
    return entry.takeError();
  const EntryInfo &info = **entry;
  Expected<StepSignature> signature = readStepSignature(info);
  if (!signature)
    return signature.takeError();
  result.signature = signature.take();
  const ArgumentInfo &tokens = info.arguments[result.signature.tokens];
  Expected<BatchShape> batch = resolveBatch(tokens, options);
  if (!batch)
    return batch.takeError();
  result.batch = *batch;
  if (batch->accumulate > 1 && tokens.shape.size() == 2)
    return badInput(fmt::format("--accumulate={}: expected a training step with AxBxT tokens, but got {}",
                                batch->accumulate, describeType(tokens.type, tokens.shape)));
  Shape tokenShape = tokens.shape.size() == 3 ? Shape{batch->accumulate, batch->batch, batch->context}
                                              : Shape{batch->batch, batch->context};
  for (const ArgumentInfo &argument : info.arguments)
    result.shapes.push_back(argument.shape);
  result.shapes[result.signature.tokens] = result.shapes[result.signature.targets] = tokenShape;

  std::vector<int64_t> dims = dynamicSizes(info, result.shapes);
  Expected<Plan> plan = planEntry(manifest, info, dims, threads, effort);
  if (!plan)
    return plan.takeError();
  result.step = plan.take();
  Expected<int64_t> operations = info.flops.evaluate({dims, threads});
  if (!operations)
    return operations.error().in("flops");
  result.flops = *operations;

  Expected<int64_t> bytes = TrainState::bytes(result.signature.parameters);
  if (!bytes)
    return bytes.takeError();
  result.stateBytes = *bytes;
  result.headBytes = result.stateBytes + 2 * alignedBytes(DataType::I32, tokenShape);
  return {};
}

/// What argument `position` of an inference entry is, and its shape.
static Status addArgument(const TrainPlan &train, const EntryInfo &info, const DataArguments &known, size_t position,
                          InferencePlan &inference) {
  const StepSignature &step = train.signature;
  const BatchShape &batch = train.batch;
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

static Expected<InferencePlan> planInference(const Manifest &manifest, const EntryInfo &info, const TrainPlan &train,
                                             int threads, PackEffort effort) {
  InferencePlan inference;
  DataArguments known = findDataArguments(info.arguments);
  for (size_t i = 0; i < info.arguments.size(); ++i)
    if (Status status = addArgument(train, info, known, i, inference); !status)
      return status.takeError();
  if (!inference.tokens || info.results.empty() || !isFloat(info.results[0].type))
    return badInput("expected an argument called tokens and a float result");
  Expected<Plan> plan = planEntry(manifest, info, dynamicSizes(info, inference.shapes), threads, effort);
  if (!plan)
    return plan.takeError();
  inference.plan = plan.take();
  return inference;
}

Expected<TrainPlan> planTraining(const Manifest &manifest, const TrainOptions &options, int threads,
                                 PackEffort effort) {
  TrainPlan result;
  if (Status status = planStep(manifest, options, threads, effort, result); !status)
    return status.takeError();
  result.workBytes = result.step.arenaBytes;
  for (const EntryInfo &entry : manifest.entries) {
    if (entry.name != "loss" && entry.name != "next_logits")
      continue;
    Expected<InferencePlan> inference = planInference(manifest, entry, result, threads, effort);
    if (!inference)
      return inference.error().in(fmt::format("entry {}", inQuotes(entry.name)));
    result.workBytes = std::max(result.workBytes, inference->convertedBytes + inference->plan.arenaBytes);
    (entry.name == "loss" ? result.validation : result.sampling) = inference.take();
  }
  return result;
}

int64_t TrainPlan::parameterCount() const {
  int64_t total = 0;
  for (const TrainedParameter &parameter : signature.parameters) {
    Expected<int64_t> count = countElements(parameter.shape, parameter.type);
    total += count ? *count : 0;
  }
  return total;
}

std::vector<PlannedSlot> TrainPlan::headSlots() const {
  int64_t values = 0, moments = 0;
  for (const TrainedParameter &parameter : signature.parameters) {
    values += alignedBytes(parameter.type, parameter.shape);
    moments += 2 * alignedBytes(parameter.moments, parameter.shape);
  }
  PlannedSlot slots[] = {{"parameters", "parameter", values, 0, 0, 0},
                         {"moments of the optimizer", "optimizer", moments, 0, 0, 0},
                         {"tokens and targets", "batch", headBytes - stateBytes, 0, 0, 0}};
  return {std::begin(slots), std::end(slots)};
}

} // namespace bpt
