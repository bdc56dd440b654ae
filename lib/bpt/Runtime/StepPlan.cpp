// Plans the entry `train_step` for the sizes of a run.
#include "bpt/Runtime/StepPlan.h"
#include "bpt/Runtime/File.h"
#include <fmt/format.h>

namespace bpt {

Expected<StepPlan> planTrainStep(const Manifest &manifest, const TrainOptions &options, int threads) {
  Expected<const EntryInfo *> entry = manifest.find("train_step");
  if (!entry)
    return entry.takeError();
  const EntryInfo &info = **entry;
  Expected<StepSignature> signature = readStepSignature(info);
  if (!signature)
    return signature.takeError();
  StepPlan result;
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
  Expected<Plan> plan = planEntry(manifest, info, dims, threads);
  if (!plan)
    return plan.takeError();
  result.plan = plan.take();
  Expected<int64_t> operations = info.flops.evaluate({dims, threads});
  if (!operations)
    return operations.error().in("flops");
  result.flops = *operations;

  Expected<int64_t> bytes = TrainState::bytes(result.signature.parameters);
  if (!bytes)
    return bytes.takeError();
  result.stateBytes = *bytes;
  result.headBytes = result.stateBytes + 2 * alignedBytes(DataType::I32, tokenShape);
  return result;
}

} // namespace bpt
