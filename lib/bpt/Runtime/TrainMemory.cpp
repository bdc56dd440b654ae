// What a run takes: the table, the budget, what would fit.
#include "TrainRun.h"
#include "bpt/Runtime/MachineMemory.h"
#include "bpt/Runtime/MachineModel.h"
#include "bpt/Runtime/Signals.h"
#include "bpt/Runtime/Sizes.h"
#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bpt {

static ReportRow bytesRow(const std::string &key, const std::string &name, int64_t bytes,
                          const std::string &note = "") {
  return numberRow(key, name, formatBytes(bytes) + note, static_cast<double>(bytes));
}

/// Bytes alive at the peak of the step, of the slots that `wanted` holds for.
template <typename Wanted> static int64_t bytesAtPeak(const Plan &plan, Wanted wanted) {
  int64_t bytes = 0;
  for (size_t slot : plan.alivePeak())
    if (wanted(plan.slots[slot].kind))
      bytes += plan.slots[slot].bytes;
  return bytes;
}

/// What was considered, from the fastest to the smallest.
static ReportRow describePolicies(const std::vector<PolicyCost> &policies) {
  std::vector<std::string> texts;
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  for (const PolicyCost &policy : policies) {
    texts.push_back(fmt::format("{} {}{}", policy.name, formatBytes(policy.bytes), policy.chosen ? " (chosen)" : ""));
    json.push_back({{"name", policy.name},
                    {"planned_peak_bytes", policy.bytes},
                    {"flops", policy.flops},
                    {"chosen", policy.chosen}});
  }
  return {"policies", "keep", fmt::format("{}", fmt::join(texts, ", ")), json.dump()};
}

void TrainRun::describeMemory(std::vector<ReportRow> &rows) {
  const TrainPlan &p = *plan;
  std::vector<PlannedSlot> head = p.headSlots();
  auto isWorkspace = [](const std::string &kind) { return kind == "workspace" || kind == "thread_scratch"; };
  rows.push_back(bytesRow("parameter_bytes", "parameters", head[0].bytes));
  rows.push_back(bytesRow("optimizer_bytes", "optimizer", head[1].bytes, " of moments"));
  rows.push_back(bytesRow("activation_bytes", "activations",
                          bytesAtPeak(p.step, [&](auto &kind) { return !isWorkspace(kind); }),
                          ", with gradients, at the peak"));
  rows.push_back(
      bytesRow("workspace_bytes", "workspace", bytesAtPeak(p.step, isWorkspace), ", with scratch of the threads"));
  rows.push_back(bytesRow("state_bytes", "parameters and moments", p.headBytes, ", with the batch"));
  rows.push_back(bytesRow("step_bytes", "buffers of a step", p.workBytes));
  rows.push_back(bytesRow("lower_bound_bytes", "alive at the peak", p.headBytes + p.step.lowerBound));
  rows.push_back(bytesRow("planned_peak_bytes", "planned peak", p.plannedBytes(),
                          options.memory ? fmt::format(" of {}", formatBytes(options.memory)) : ""));
  std::optional<MachineModel> machine = findMachine(options.machine, environment.threads);
  double flops = static_cast<double>(p.flops);
  for (const PolicyCost &policy : policies)
    if (policy.chosen && policy.flops > 0)
      flops = policy.flops;
  if (options.dryRun && machine && flops > 0) {
    double seconds = flops / machine->flopsPerSecond;
    rows.push_back(numberRow("predicted_step_seconds", "predicted step",
                             fmt::format("{} on {} ({})", formatDuration(seconds), machine->name, machine->description),
                             seconds));
  }
  if (!policies.empty())
    rows.push_back(describePolicies(policies));
}

Status TrainRun::checkBudget() {
  int64_t free = availableMemory();
  if (options.memory > free)
    report.note(fmt::format("warning: --memory={} is more than the {} that are free", formatBytes(options.memory),
                            formatBytes(free)));
  int64_t budget = memoryBudget(options.memory);
  if (plan->plannedBytes() <= budget)
    return {};
  if (options.dryRun && !options.memory) { // a question, perhaps about another machine
    report.note(fmt::format("it does not fit here: {} of memory are free, and a run takes nine tenths of it at most",
                            formatBytes(free)));
    return {};
  }
  return overBudget(budget);
}

Error TrainRun::overBudget(int64_t budget) {
  int64_t bytes = plan->plannedBytes();
  std::string limit = options.memory
                          ? fmt::format("--memory={} bytes ({})", budget, formatBytes(budget))
                          : fmt::format("nine tenths of the free memory, {} bytes ({})", budget, formatBytes(budget));
  return outOfMemory(fmt::format(
      "expected the run to fit into {}, but it needs {} bytes ({}), {} bytes ({}) more: {} of parameters, "
      "moments and batch, {} of buffers{}\n{}",
      limit, bytes, formatBytes(bytes), bytes - budget, formatBytes(bytes - budget), formatBytes(plan->headBytes),
      formatBytes(plan->workBytes), findWhatFits(budget), formatPlan(plan->step, 10)));
}

/// The planned peak with other options; none where they cannot be had, such as another context for a graph of one.
std::optional<int64_t> TrainRun::plannedBytesWith(const TrainOptions &other, PackEffort effort) {
  Expected<PlannedTraining> planned = source.plan(other, effort);
  if (!planned)
    return std::nullopt;
  return planned->plan.plannedBytes();
}

/// Options for a question what fits: the policies that keep most need not be tried.
static TrainOptions keepingLeast(const TrainOptions &options) {
  TrainOptions other = options;
  if (other.keepActivations == "auto" && other.strategy == "blockwise")
    other.keepActivations = "input";
  return other;
}

/// ". It would fit with --batch=1, --context=2048, ..": of each option the first halving that fits.
std::string TrainRun::findWhatFits(int64_t budget) {
  if (plan->headBytes > budget)
    return "; the parameters and moments alone are more: use a smaller model or a larger --memory";
  std::vector<std::string> found;
  auto halve = [&](const char *flag, int64_t TrainOptions::*field) {
    TrainOptions other = keepingLeast(options);
    for (other.*field /= 2; other.*field >= 1; other.*field /= 2) {
      std::optional<int64_t> bytes = source.plan ? plannedBytesWith(other, PackEffort::Bound) : std::nullopt;
      if (bytes && *bytes <= budget)
        bytes = plannedBytesWith(other, PackEffort::Full);
      if (!bytes || interruptSignal())
        return;
      if (*bytes <= budget) {
        found.push_back(fmt::format("--{}={} ({})", flag, other.*field, formatBytes(*bytes)));
        return;
      }
    }
  };
  halve("batch", &TrainOptions::batch);
  halve("context", &TrainOptions::context);
  if (options.keepActivations != "auto")
    found.push_back("--keep-activations=auto may choose what needs less");
  if (found.empty())
    return "; use a smaller model, fewer --threads or a larger --memory";
  return fmt::format("; what would fit: {}", fmt::join(found, ", or "));
}

/// The largest --context and --batch for the budget, to one part in 32.
Status TrainRun::searchLargest() {
  int64_t budget = memoryBudget(options.memory);
  auto search = [&](const char *name, int64_t TrainOptions::*field) -> Status {
    if (!source.plan)
      return {};
    TrainOptions other = keepingLeast(options);
    auto fits = [&](int64_t value, PackEffort effort) {
      other.*field = value;
      std::optional<int64_t> bytes = plannedBytesWith(other, effort);
      return bytes && *bytes <= budget;
    };
    auto seemsToFit = [&](int64_t value) { return !interruptSignal() && fits(value, PackEffort::Bound); };
    int64_t low = options.*field, high = 2 * low;
    if (seemsToFit(low)) {
      for (; seemsToFit(high); high *= 2)
        low = high;
    } else {
      for (high = low, low /= 2; low > 0 && !seemsToFit(low); low /= 2)
        high = low;
    }
    // To one part in 32: a context is a multiple of something in practice.
    int64_t unit = std::max<int64_t>(low / 32, 1);
    while (low > 0 && high - low > unit) {
      int64_t middle = low + (high - low) / 2 / unit * unit;
      (seemsToFit(middle) ? low : high) = middle;
    }
    while (low > 0 && !interruptSignal() && !fits(low, PackEffort::Full))
      low -= unit;
    if (interruptSignal())
      return interruptedWithoutState();
    std::string text = low > 0 ? fmt::format("{} of {}", low, formatBytes(budget))
                               : fmt::format("none fits into {}", formatBytes(budget));
    report.table("max_" + std::string(name), fmt::format("largest --{}", name),
                 {numberRow("max_" + std::string(name), name, text, static_cast<double>(low))});
    return {};
  };
  if (options.maxContext)
    if (Status status = search("context", &TrainOptions::context); !status)
      return status;
  return options.maxBatch ? search("batch", &TrainOptions::batch) : Status();
}

} // namespace bpt
