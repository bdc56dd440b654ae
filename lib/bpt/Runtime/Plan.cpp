// Evaluates an entry's slots, packs them, and says who is alive at the peak.
#include "bpt/Runtime/Plan.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Packer.h"
#include "bpt/Runtime/Sizes.h"
#include <algorithm>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

namespace bpt {

namespace {

/// Scratch of the threads, and what they share, as a slot of the plan: the entry's own one, or one more behind its
/// slots.
Status addThreadScratch(Plan &plan, int64_t bytesPerThread, int64_t sharedBytes) {
  Expected<int64_t> stride = alignedSize(bytesPerThread);
  int64_t bytes = 0;
  if (!stride || __builtin_mul_overflow(*stride, plan.threads, &bytes) ||
      __builtin_add_overflow(bytes, sharedBytes, &bytes))
    return badInput(fmt::format("scratch of {} bytes for each of {} threads does not fit in 63 bits", bytesPerThread,
                                plan.threads));
  plan.scratchStride = *stride;
  for (PlannedSlot &slot : plan.slots) {
    if (slot.kind != "thread_scratch")
      continue;
    slot.bytes = std::max(slot.bytes, bytes);
    return {};
  }
  if (bytes == 0)
    return {};
  PlannedSlot scratch = {"scratch of the threads", "thread_scratch", bytes, 0, 0, 0};
  for (const PlannedSlot &slot : plan.slots) {
    scratch.first = std::min(scratch.first, slot.first);
    scratch.last = std::max(scratch.last, slot.last);
  }
  plan.slots.push_back(scratch);
  return {};
}

/// The slots of one arena; those of the other are empty there.
Expected<Packing> packSlots(const Plan &plan, bool onHost, PackEffort effort) {
  std::vector<Interval> intervals;
  for (const PlannedSlot &slot : plan.slots)
    intervals.push_back({slot.first, slot.last, slot.isOnHost() == onHost ? slot.bytes : 0});
  return packIntervals(intervals, effort);
}

/// Bytes and slots of each kind among `alive`, most bytes first.
struct KindTotal {
  std::string kind;
  int64_t bytes = 0;
  size_t slots = 0;
};
std::vector<KindTotal> totalsByKind(const Plan &plan, const std::vector<size_t> &alive) {
  std::map<std::string, KindTotal> byKind;
  for (size_t index : alive) {
    KindTotal &total = byKind[plan.slots[index].kind];
    total.kind = plan.slots[index].kind;
    total.bytes += plan.slots[index].bytes;
    ++total.slots;
  }
  std::vector<KindTotal> totals;
  for (auto &[kind, total] : byKind)
    totals.push_back(total);
  std::stable_sort(totals.begin(), totals.end(),
                   [](const KindTotal &a, const KindTotal &b) { return a.bytes > b.bytes; });
  return totals;
}

} // namespace

Expected<Plan> planEntry(const Manifest &manifest, const EntryInfo &entry, const std::vector<int64_t> &dims,
                         int threads, PackEffort effort) {
  FormulaInputs inputs = {dims, threads};
  Plan plan;
  plan.threads = threads;
  for (const SlotInfo &slot : entry.slots) {
    Expected<int64_t> bytes = slot.bytes.evaluate(inputs);
    if (bytes && *bytes < 0)
      bytes = badInput(fmt::format("formula {} gives {} bytes", inQuotes(slot.bytes.text()), *bytes));
    if (!bytes)
      return bytes.error().in(fmt::format("entry {}: slot {}", inQuotes(entry.name), inQuotes(slot.name)));
    plan.slots.push_back({slot.name, slot.kind, *bytes, 0, slot.first, slot.last});
  }
  if (Status status = addThreadScratch(plan, manifest.threadScratch, manifest.sharedScratch); !status)
    return status.error().in(fmt::format("entry {}", inQuotes(entry.name)));

  Expected<Packing> packing = packSlots(plan, /*onHost=*/false, effort),
                    host = packSlots(plan, /*onHost=*/true, effort);
  for (const Expected<Packing> *one : {&packing, &host})
    if (!*one)
      return one->error().in(fmt::format("entry {}", inQuotes(entry.name)));
  plan.offsets = std::move(packing->offsets);
  plan.arenaBytes = packing->arenaBytes;
  plan.hostBytes = host->arenaBytes;
  plan.lowerBound = packing->lowerBound;
  plan.peakTime = packing->peakTime;
  for (size_t i = 0; i < plan.slots.size(); ++i) {
    if (plan.slots[i].isOnHost())
      plan.offsets[i] = host->offsets[i];
    plan.slots[i].offset = plan.offsets[i];
    if (plan.slots[i].kind == "thread_scratch")
      plan.scratchOffset = plan.offsets[i];
  }
  return plan;
}

std::vector<int64_t> Plan::offsetsFrom(const uint8_t *arena, const uint8_t *host) const {
  std::vector<int64_t> result = offsets;
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].isOnHost())
      result[i] += static_cast<int64_t>(reinterpret_cast<intptr_t>(host) - reinterpret_cast<intptr_t>(arena));
  return result;
}

std::vector<size_t> Plan::alivePeak() const {
  std::vector<size_t> alive;
  for (size_t i = 0; i < slots.size(); ++i)
    if (slots[i].first <= peakTime && peakTime <= slots[i].last && slots[i].bytes > 0 && !slots[i].isOnHost())
      alive.push_back(i);
  std::stable_sort(alive.begin(), alive.end(), [&](size_t a, size_t b) { return slots[a].bytes > slots[b].bytes; });
  return alive;
}

Status checkMemoryLimit(const Plan &plan, const std::string &entry, int64_t limit) {
  if (limit <= 0 || plan.arenaBytes <= limit)
    return {};
  std::string table = formatPlan(plan, 8);
  table.pop_back(); // its last line end: errors have none
  return outOfMemory(
      fmt::format("the plan of {} needs {} ({} bytes), but the limit is {} ({} bytes); use smaller blocks "
                  "or batches, keep fewer activations, or raise --memory\n{}",
                  inQuotes(entry), formatBytes(plan.arenaBytes), plan.arenaBytes, formatBytes(limit), limit, table));
}

std::string formatPlan(const Plan &plan, size_t rows) {
  std::string text = fmt::format("arena {} ({} bytes), {} alive at the peak (time {}), {} thread{}\n",
                                 formatBytes(plan.arenaBytes), plan.arenaBytes, formatBytes(plan.lowerBound),
                                 plan.peakTime, plan.threads, plan.threads == 1 ? "" : "s");
  if (plan.hostBytes > 0)
    text += fmt::format("and {} in host memory\n", formatBytes(plan.hostBytes));
  std::vector<size_t> alive = plan.alivePeak();
  double whole = static_cast<double>(std::max<int64_t>(plan.lowerBound, 1));
  for (const KindTotal &total : totalsByKind(plan, alive))
    text += fmt::format("  {:<16} {:>12} {:>5.1f} %  {} slot{}\n", total.kind, formatBytes(total.bytes),
                        100 * static_cast<double>(total.bytes) / whole, total.slots, total.slots == 1 ? "" : "s");
  if (alive.empty() || rows == 0)
    return text;
  text +=
      fmt::format("largest slots alive at the peak\n  {:>12} {:<16} {:>17} {}\n", "bytes", "kind", "lifetime", "name");
  for (size_t row = 0; row < std::min(rows, alive.size()); ++row) {
    const PlannedSlot &slot = plan.slots[alive[row]];
    text += fmt::format("  {:>12} {:<16} {:>17} {}\n", formatBytes(slot.bytes), slot.kind,
                        fmt::format("{} to {}", slot.first, slot.last), slot.name);
  }
  if (alive.size() > rows)
    text += fmt::format("  .. and {} more\n", alive.size() - rows);
  return text;
}

std::string planJson(const Plan &plan) {
  using Json = nlohmann::ordered_json;
  Json json = {{"arena_bytes", plan.arenaBytes}, {"host_bytes", plan.hostBytes}, {"lower_bound_bytes", plan.lowerBound},
               {"peak_time", plan.peakTime},     {"threads", plan.threads},      {"kinds", Json::object()},
               {"alive", Json::array()}};
  std::vector<size_t> alive = plan.alivePeak();
  for (const KindTotal &total : totalsByKind(plan, alive))
    json["kinds"][total.kind] = total.bytes;
  for (size_t index : alive) {
    const PlannedSlot &slot = plan.slots[index];
    json["alive"].push_back({{"name", slot.name},
                             {"kind", slot.kind},
                             {"bytes", slot.bytes},
                             {"offset", slot.offset},
                             {"first", slot.first},
                             {"last", slot.last}});
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::vector<int64_t> dynamicSizes(const EntryInfo &entry, const std::vector<Shape> &shapes) {
  std::vector<int64_t> dims;
  for (size_t i = 0; i < shapes.size(); ++i)
    for (size_t d = 0; d < shapes[i].size(); ++d)
      if (entry.arguments[i].shape[d] < 0)
        dims.push_back(shapes[i][d]);
  return dims;
}

int64_t alignedBytes(DataType type, const Shape &shape) {
  Expected<int64_t> count = countElements(shape, type);
  Expected<int64_t> aligned = count ? alignedSize(*count * bytesPerElement(type)) : count;
  return aligned ? *aligned : 0;
}

} // namespace bpt
