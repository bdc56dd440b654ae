// The training loop: steps, validation, samples, checkpoints, and how it ends.
#include "bpt/Runtime/Trainer.h"
#include "TrainRun.h"
#include "bpt/Runtime/Arena.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/LossPlot.h"
#include "bpt/Runtime/Random.h"
#include "bpt/Runtime/Signals.h"
#include "bpt/Runtime/Sizes.h"
#include "bpt/Runtime/TextSampler.h"
#include <algorithm>
#include <cmath>
#include <fmt/format.h>

namespace bpt {

static bool isDue(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

/// The dropout seed of a step: 63 bits from seed and step alone.
static int64_t dropoutSeed(int64_t seed, int64_t step) {
  auto low = [](int64_t x) { return static_cast<uint32_t>(x); };
  auto high = [](int64_t x) { return static_cast<uint32_t>(static_cast<uint64_t>(x) >> 32); };
  auto bits = philox4x32({low(step), high(step), 0, 2}, {low(seed), high(seed)});
  return static_cast<int64_t>((static_cast<uint64_t>(bits[1]) << 32 | bits[0]) >> 1);
}

std::string TrainRun::newestCheckpoint() const {
  return saved ? fmt::format("the newest complete checkpoint is step-{}", *saved) : "there is no checkpoint yet";
}

/// The batch of `step`, if it is not there yet.
Status TrainRun::readBatch(int64_t step) {
  if (batchOf == step)
    return {};
  batchOf.reset();
  Status status = data->readStep(step, program->tokens(), program->targets());
  if (status)
    batchOf = step;
  return status;
}

Error TrainRun::notFinite(int64_t step, const char *what, double value) {
  std::string message = fmt::format("the {} is {} at step {}", what,
                                    std::isnan(value) ? "nan"
                                    : value > 0       ? "inf"
                                                      : "-inf",
                                    step);
  (void)readBatch(step); // the next one may be there already; one that cannot be read is another's error
  const int32_t *targets = program->targets();
  if (std::all_of(targets, targets + batch.tokens(), [&](int32_t t) { return t == program->ignoredTarget(); }))
    message += ": the batch has no valid target, all are the ignored one";
  else
    message += "; try a lower --lr, a longer --warmup or a smaller --clip, and look at the data";
  return nonFinite(message + "; " + newestCheckpoint());
}

Status TrainRun::takeStep(int64_t step) {
  StepMetrics row;
  {
    TimedPart time(profile.data);
    if (Status status = readBatch(step); !status)
      return status;
    row.seconds = time.seconds();
  }
  row.step = step;
  row.lr = rate.at(step);
  row.tokens = step * batch.tokens();
  {
    TimedPart time(profile.step);
    Expected<StepResult> result = program->runStep(step, row.lr, dropoutSeed(options.seed, step));
    if (!result)
      return result.takeError();
    row.loss = result->loss;
    row.gradNorm = result->gradNorm;
    row.seconds += time.seconds();
  }
  // The state has the update of this step in it already: it must never reach a checkpoint.
  if (!std::isfinite(row.loss))
    return notFinite(step, "loss", row.loss);
  if (!std::isfinite(row.gradNorm))
    return notFinite(step, "norm of the gradients", row.gradNorm);
  row.tokensPerSecond = static_cast<double>(batch.tokens()) / std::max(row.seconds, 1e-9);
  lastLoss = row.loss;
  if (Status status = metrics->append(row); !status)
    return status;
  report.step(row, options.lastStep());
  return report.status();
}

Status TrainRun::validate(int64_t step) {
  TimedPart time(profile.validation);
  int64_t batches = std::min(options.validBatches, validData->wholeBatches());
  double sum = 0;
  for (int64_t i = 0; i < batches; ++i) {
    // A resumed run repeats a validation that was cut off; after the last step there is no resuming.
    if (interruptSignal() && step != options.lastStep())
      return {};
    batchOf.reset();
    if (Status status = validData->readInOrder(i, program->tokens(), program->targets()); !status)
      return status;
    Expected<double> loss = program->validate();
    if (!loss)
      return loss.takeError();
    sum += *loss;
  }
  double mean = sum / static_cast<double>(batches);
  if (!std::isfinite(mean))
    return notFinite(step, "validation loss", mean);
  if (Status status = metrics->appendValidation(step, mean); !status)
    return status;
  report.validation(step, mean);
  return report.status();
}

Status TrainRun::sample(int64_t step) {
  TimedPart time(profile.sampling);
  SampleOptions sampling;
  sampling.count = options.sampleTokens;
  sampling.temperature = options.sampleTemperature;
  sampling.context = program->sampleContext();
  sampling.seed = static_cast<uint64_t>(options.seed);
  sampling.stream = static_cast<uint32_t>(step);
  if (Status status = program->beginSampling(); !status)
    return status;
  auto logits = [&](const std::vector<int32_t> &window, int64_t position) {
    return program->nextLogits(window, position);
  };
  Expected<std::vector<int32_t>> ids = sampleTokens(prompt, sampling, logits, [] { return interruptSignal() != 0; });
  if (!ids)
    return ids.takeError();
  report.sample(step, showTokens(*ids, plan->signature.range), *ids);
  return report.status();
}

Status TrainRun::writeLossPlot() {
  if (metrics->training().empty())
    return {};
  return directory->replaceFile("loss.svg", lossPlot(title(), metrics->training(), metrics->validation()));
}

Status TrainRun::save(int64_t step) {
  TimedPart time(profile.checkpoints);
  // The rows of a checkpoint must be there when it is.
  Status status = metrics->sync();
  if (status)
    status = program->fetchState();
  if (status)
    status = writeCheckpoint(directory->checkpoints(), checkpointState(step), program->state().model,
                             program->state().optimizer);
  if (!status) {
    Error error = status.takeError();
    error.message += "; " + newestCheckpoint();
    return error;
  }
  saved = step;
  if (Status pruned = pruneCheckpoints(directory->checkpoints(), options.keep, step); !pruned)
    return pruned;
  return writeLossPlot();
}

void TrainRun::summarize(int64_t step, double seconds) {
  std::vector<ReportRow> rows;
  int64_t steps = step - start;
  auto tokens = static_cast<double>(steps * batch.tokens());
  rows.push_back(
      numberRow("steps", "steps", fmt::format("{} in {}", steps, formatDuration(seconds)), static_cast<double>(steps)));
  if (steps > 0) {
    rows.push_back(numberRow("loss", "loss", fmt::format("{:.4f}", lastLoss), lastLoss));
    double speed = tokens / std::max(profile.step + profile.data, 1e-9);
    rows.push_back(numberRow("tokens_per_second", "speed", formatCount(speed) + " tokens/s", speed));
    if (double flops = static_cast<double>(plan->flops) * static_cast<double>(steps) / std::max(profile.step, 1e-9);
        flops > 0)
      rows.push_back(numberRow("flops_per_second", "arithmetic", formatCount(flops) + "FLOP/s", flops));
  }
  rows.push_back(numberRow("measured_peak_bytes", "memory", formatBytes(peakAllocatedBytes()),
                           static_cast<double>(peakAllocatedBytes())));
  rows.push_back(textRow("checkpoint", "checkpoint", fmt::format("{}/step-{}", directory->checkpoints(), *saved)));
  if (options.profile)
    for (auto [key, name, part] :
         {std::tuple<const char *, const char *, double>{"compile_seconds", "compiling", profile.compile},
          {"start_seconds", "starting", profile.start},
          {"data_seconds", "reading tokens", profile.data},
          {"step_seconds", "steps", profile.step},
          {"validation_seconds", "validation", profile.validation},
          {"sampling_seconds", "sampling", profile.sampling},
          {"checkpoint_seconds", "checkpoints", profile.checkpoints}})
      rows.push_back(numberRow(key, name, formatDuration(part), part));
  report.table("end", interruptSignal() ? "interrupted" : "done", rows);
}

Status TrainRun::loop() {
  double ignored = 0;
  TimedPart time(ignored);
  const int64_t last = options.lastStep();
  bool canValidate = validData && plan->validation, canSample = plan->sampling.has_value();
  if (validData && !canValidate)
    report.note("the program has no entry loss: no validation");
  if (options.sampleEvery > 0 && !canSample)
    report.note("the program has no entry next_logits: no samples");
  bool validated = !metrics->validation().empty() && metrics->validation().back().step == start;
  if (canValidate && start > 0 && isDue(options.validEvery, start) && !validated)
    if (Status status = validate(start); !status) // an interrupted one, made up for
      return status;

  int64_t step = start;
  // A batch that cannot be read is an error when its step begins.
  program->whileStepRuns([&] {
    if (step < last)
      (void)readBatch(step + 1);
  });
  while (step < last && !interruptSignal()) {
    if (Status status = takeStep(++step); !status)
      return status;
    if (canValidate && (isDue(options.validEvery, step) || step == last))
      if (Status status = validate(step); !status)
        return status;
    if (canSample && isDue(options.sampleEvery, step))
      if (Status status = sample(step); !status)
        return status;
    if (isDue(options.checkpointEvery, step))
      if (Status status = save(step); !status)
        return status;
  }
  if (saved != step)
    if (Status status = save(step); !status)
      return status;
  summarize(step, time.seconds());
  if (const Profile *ops = program->stepProfile(); ops && ops->runs()) {
    report.profile(*ops);
    if (Status status = directory->replaceFile("trace.json", ops->trace()); !status)
      return status;
  }
  if (interruptSignal())
    return interrupted(step);
  return report.status();
}

} // namespace bpt
