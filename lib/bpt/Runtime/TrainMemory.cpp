// What a run takes: the table, the budget, what would fit.
#include "TrainRun.h"
#include "bpt/Runtime/MachineMemory.h"
#include "bpt/Runtime/MachineModel.h"
#include "bpt/Runtime/Signals.h"
#include "bpt/Runtime/Sizes.h"
#include <algorithm>
#include <fmt/format.h>
#include <iterator>
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

/// What the choice would have taken that is next faster.
static std::optional<ReportRow> describeNextFaster(const std::vector<PolicyCost> &policies) {
  auto chosen = std::find_if(policies.begin(), policies.end(), [](const PolicyCost &policy) { return policy.chosen; });
  if (chosen == policies.end())
    return std::nullopt;
  // One whose lower bound fits but whose packing did not is none.
  auto next = std::find_if(std::make_reverse_iterator(chosen), policies.rend(),
                           [&](const PolicyCost &policy) { return policy.bytes > chosen->bytes; });
  if (next == policies.rend())
    return std::nullopt;
  const PolicyCost &faster = *next;
  std::string text = fmt::format("{} needs {}, {} more", faster.name, formatBytes(faster.bytes),
                                 formatBytes(faster.bytes - chosen->bytes));
  if (faster.flops > 0)
    text += fmt::format(", for {:.0f} % of the work", 100 * faster.flops / chosen->flops);
  return numberRow("next_faster_bytes", "next faster", text, static_cast<double>(faster.bytes));
}

/// Memory against time, from the fastest to the smallest.
void TrainRun::describeFrontier() {
  std::optional<MachineModel> machine = findMachine(options.machine, environment.threads);
  std::vector<ReportRow> rows;
  for (const PolicyCost &policy : frontier) {
    double seconds = machine ? policy.flops / machine->flopsPerSecond : 0;
    nlohmann::ordered_json json = {
        {"planned_peak_bytes", policy.bytes}, {"predicted_step_seconds", seconds}, {"chosen", policy.chosen}};
    rows.push_back({policy.name, policy.name,
                    fmt::format("{}, {} a step{}", formatBytes(policy.bytes), formatDuration(seconds),
                                policy.chosen ? " (chosen)" : ""),
                    json.dump()});
  }
  report.table("frontier", "memory against time", rows);
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
  if (p.step.hostBytes > 0 || options.offload == "true") // asked for, and perhaps nothing to move
    rows.push_back(bytesRow("host_bytes", "offloaded", p.step.hostBytes, " in host memory, beside what is planned"));
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
  if (std::optional<ReportRow> faster = describeNextFaster(policies))
    rows.push_back(*faster);
}

Status TrainRun::checkBudget() {
  int64_t free = availableMemory(options.target);
  if (options.memory > free)
    report.note(fmt::format("warning: --memory={} is more than the {} that are free", formatBytes(options.memory),
                            formatBytes(free)));
  int64_t budget = memoryBudget(options.memory, options.target);
  if (plan->plannedBytes() <= budget) {
    if (program || options.dryRun)
      return {};
    return outOfMemory(
        fmt::format("the run needs {}, which was more than there was when its policy was chosen; {} are free now: "
                    "start it again",
                    formatBytes(plan->plannedBytes()), formatBytes(free)));
  }
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
  auto fits = [&](const TrainOptions &other) -> std::optional<int64_t> {
    std::optional<int64_t> bytes = source.plan ? plannedBytesWith(other, PackEffort::Bound) : std::nullopt;
    if (bytes && *bytes <= budget)
      bytes = plannedBytesWith(other, PackEffort::Full);
    return bytes && *bytes <= budget ? bytes : std::nullopt;
  };
  // The first that fits of the options that `smaller` gives, each time from those before, until it gives none; if the
  // last one does.
  auto tryHalves = [&](auto smaller, auto describe) {
    std::vector<TrainOptions> halves;
    for (TrainOptions other = keepingLeast(options); smaller(other);)
      halves.push_back(other);
    std::optional<int64_t> bytes;
    for (size_t first = 0, last = halves.size(), next = last - 1; first < last && !interruptSignal();
         next = (first + last) / 2) {
      std::optional<int64_t> size = fits(halves[next]);
      if (!size && next + 1 == halves.size())
        return;
      (size ? last : first) = size ? next : next + 1;
      bytes = size ? size : bytes;
      if (first == last)
        found.push_back(fmt::format("{} ({})", describe(halves[last]), formatBytes(*bytes)));
    }
  };
  auto describeBatch = [](const TrainOptions &other) { return fmt::format("--batch={}", other.batch); };
  tryHalves([](TrainOptions &other) { return (other.batch /= 2) >= 1; }, describeBatch);
  // The same gradients, summed in another order.
  tryHalves(
      [](TrainOptions &other) {
        bool isEven = other.batch % 2 == 0 && other.batch > 1;
        other.batch /= 2;
        other.accumulate *= 2;
        return isEven;
      },
      [&](const TrainOptions &other) {
        return fmt::format("{} --accumulate={}", describeBatch(other), other.accumulate);
      });
  tryHalves([](TrainOptions &other) { return (other.context /= 2) >= 1; },
            [](const TrainOptions &other) { return fmt::format("--context={}", other.context); });
  // Not tried: 64 groups of a large model take minutes to plan.
  if (!found.empty() && options.strategy == "blockwise" && options.headsAtOnce == 0)
    found.push_back("--heads-at-once may need less");
  if (options.keepActivations != "auto")
    found.push_back("--keep-activations=auto may choose what needs less");
  if (found.empty())
    return "; use a smaller model, fewer --threads or a larger --memory";
  return fmt::format("; what would fit: {}", fmt::join(found, ", or "));
}

/// The largest value that fits, to one part in 32, given bytes(value, effort): the planned peak with `value`, if it can
/// be had.
template <typename Bytes> static int64_t findLargest(int64_t start, int64_t budget, Bytes bytes) {
  auto lower = [&](int64_t value) { return bytes(value, PackEffort::Bound); };
  auto fits = [&](std::optional<int64_t> size) { return size && *size <= budget; };
  int64_t low = start, high = 0; // fits, does not fit; 0: not known
  std::optional<int64_t> atLow = lower(start), atHigh;
  if (!fits(atLow))
    std::swap(low, high), std::swap(atLow, atHigh);
  while (low == 0 && high > 1) {
    int64_t next = high / 2;
    std::optional<int64_t> size = lower(next);
    (fits(size) ? low : high) = next;
    (fits(size) ? atLow : atHigh) = size;
  }
  for (int64_t before = 0, atBefore = 0; low > 0 && high == 0;) {
    // Four times as much tells how it grows; then a little beyond where the budget is on that line.
    int64_t next = 4 * low;
    if (before > 0 && *atLow > atBefore) {
      double slope = static_cast<double>(*atLow - atBefore) / static_cast<double>(low - before);
      next = low + static_cast<int64_t>(1.03 * static_cast<double>(budget - *atLow) / slope) + 1;
      next = std::clamp(next, low + low / 8 + 1, 4096 * low);
    }
    before = low;
    atBefore = *atLow;
    std::optional<int64_t> size = lower(next);
    (fits(size) ? low : high) = next;
    (fits(size) ? atLow : atHigh) = size;
  }
  int64_t unit = std::max<int64_t>(low / 32, 1); // a context is a multiple of something in practice
  for (bool halve = false; low > 0 && high - low > unit;) {
    int64_t width = high - low;
    // Where the budget is on the line between both; memory is a polynomial, so that one more step often ends the
    // search.
    int64_t middle = low + width / 2;
    if (!halve && atLow && atHigh && *atHigh > *atLow)
      middle = low + static_cast<int64_t>(static_cast<double>(width) * static_cast<double>(budget - *atLow) /
                                          static_cast<double>(*atHigh - *atLow));
    middle = std::clamp(low + (middle - low) / unit * unit, low + unit, std::max(low + unit, high - unit));
    std::optional<int64_t> size = lower(middle);
    if (fits(size) && middle + unit < high) {
      low = middle, atLow = size;
      middle += unit;
      size = lower(middle);
    }
    (fits(size) ? low : high) = middle;
    (fits(size) ? atLow : atHigh) = size;
    halve = high - low > width / 2;
  }
  while (low > 0 && !fits(bytes(low, PackEffort::Full)))
    low -= std::min(low, unit);
  return low;
}

/// The largest --context and --batch for the budget, to one part in 32.
Status TrainRun::searchLargest() {
  int64_t budget = memoryBudget(options.memory, options.target);
  auto search = [&](const char *name, int64_t TrainOptions::*field) -> Status {
    if (!source.plan)
      return {};
    TrainOptions other = keepingLeast(options);
    int64_t largest =
        findLargest(options.*field, budget, [&](int64_t value, PackEffort effort) -> std::optional<int64_t> {
          other.*field = value;
          return interruptSignal() ? std::nullopt : plannedBytesWith(other, effort);
        });
    if (interruptSignal())
      return interruptedWithoutState();
    std::string text = largest > 0 ? fmt::format("{} of {}", largest, formatBytes(budget))
                                   : fmt::format("none fits into {}", formatBytes(budget));
    report.table("max_" + std::string(name), fmt::format("largest --{}", name),
                 {numberRow("max_" + std::string(name), name, text, static_cast<double>(largest))});
    return {};
  };
  if (options.maxContext)
    if (Status status = search("context", &TrainOptions::context); !status)
      return status;
  return options.maxBatch ? search("batch", &TrainOptions::batch) : Status();
}

} // namespace bpt
