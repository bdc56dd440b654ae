// Sums and events of profiled regions, as a table, as JSON and as a trace.
#include "bpt/Runtime/Profile.h"
#include "bpt/Runtime/RuntimeABI.h"
#include "bpt/Runtime/Threads.h"
#include <algorithm>
#include <array>
#include <fmt/format.h>
#include <map>
#include <nlohmann/json.hpp>

namespace bpt {

/// A trace of more events says nothing new and takes long to load.
static constexpr size_t maxEvents = 200'000;

Profile::Profile(const std::vector<RegionInfo> &regions) : regions(regions), totals(regions.size()) {
  for (size_t i = 0; i < regions.size(); ++i)
    totals[i].info = &regions[i];
}

void Profile::record(int64_t region, Clock::time_point from) {
  double seconds = std::chrono::duration<double>(Clock::now() - from).count();
  if (region < 0) {
    total += seconds;
    ++runCount;
  } else {
    Row &row = totals[static_cast<size_t>(region)];
    row.seconds += seconds;
    ++row.calls;
  }
  if (events.size() < maxEvents)
    events.push_back({region, std::chrono::duration<double>(from - origin).count(), seconds});
}

void Profile::beginRun() { runStart = Clock::now(); }
void Profile::endRun() { record(-1, runStart); }
void Profile::begin(int64_t region) { regionStart = Clock::now(); }
void Profile::end(int64_t region) {
  if (region >= 0 && region < static_cast<int64_t>(totals.size()))
    record(region, regionStart);
}

std::vector<Profile::Row> Profile::rows() const {
  std::vector<Row> rows;
  Row rest{nullptr, runCount, total, 0, 0};
  std::map<std::array<std::string, 3>, size_t> known;
  for (const Row &row : totals) {
    rest.seconds -= row.seconds;
    if (!row.calls)
      continue;
    auto [found, isNew] = known.try_emplace({row.info->op, row.info->function, row.info->place}, rows.size());
    if (isNew)
      rows.emplace_back().info = row.info;
    Row &sum = rows[found->second];
    sum.calls += row.calls;
    sum.seconds += row.seconds;
    sum.flops += row.info->flops * row.calls;
    sum.bytes += row.info->bytes * row.calls;
  }
  rows.push_back(rest);
  std::stable_sort(rows.begin(), rows.end(), [](const Row &a, const Row &b) { return a.seconds > b.seconds; });
  return rows;
}

static double rate(int64_t amount, const Profile::Row &row) {
  return row.seconds > 0 ? static_cast<double>(amount) / row.seconds * 1e-9 : 0;
}

std::string Profile::table() const {
  std::string text =
      fmt::format("{:>6} {:>10} {:>6} {:>9} {:>7}  {}\n", "share", "ms a run", "calls", "GFLOP/s", "GB/s",
                  "op (mean of " + std::to_string(runCount) + (runCount == 1 ? " run)" : " runs)"));
  auto perRun = static_cast<double>(std::max<int64_t>(runCount, 1));
  auto number = [](double value) { return value > 0 ? fmt::format("{:.1f}", value) : std::string("-"); };
  std::vector<Row> all = rows();
  for (size_t i = 0; i < all.size(); ++i) {
    const Row &row = all[i];
    if (i >= 10 && row.seconds < 1e-3 * total)
      return text + fmt::format("and {} of less than 0.1% each\n", all.size() - i);
    std::string flops = number(rate(row.flops, row)), bytes = number(rate(row.bytes, row));
    std::string name = !row.info ? "between the ops"
                                 : fmt::format("{} in {}{}{}", row.info->op, row.info->function,
                                               row.info->place.empty() ? "" : " at ", row.info->place);
    text += fmt::format("{:>5.1f}% {:>10.3f} {:>6.4g} {:>9} {:>7}  {}\n", total > 0 ? 100 * row.seconds / total : 0,
                        row.seconds / perRun * 1e3, static_cast<double>(row.calls) / perRun, flops, bytes, name);
  }
  return text;
}

std::string Profile::json() const {
  nlohmann::ordered_json json = nlohmann::ordered_json::array();
  auto perRun = static_cast<double>(std::max<int64_t>(runCount, 1));
  for (const Row &row : rows()) {
    RegionInfo none{"between the ops", "", "", 0, 0};
    const RegionInfo &info = row.info ? *row.info : none;
    json.push_back({{"op", info.op},
                    {"function", info.function},
                    {"place", info.place},
                    {"calls", static_cast<double>(row.calls) / perRun},
                    {"seconds", row.seconds / perRun},
                    {"flops", static_cast<double>(row.flops) / perRun},
                    {"gflops", rate(row.flops, row)},
                    {"bytes", static_cast<double>(row.bytes) / perRun}});
  }
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string Profile::trace() const {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Event &event : events) {
    const RegionInfo *info = event.region < 0 ? nullptr : &regions[static_cast<size_t>(event.region)];
    nlohmann::ordered_json json = {{"name", info ? info->op : "run"}, {"ph", "X"}, {"ts", event.start * 1e6},
                                   {"dur", event.seconds * 1e6},      {"pid", 1},  {"tid", 1}};
    if (info)
      json["args"] = {
          {"function", info->function}, {"place", info->place}, {"flops", info->flops}, {"bytes", info->bytes}};
    list.push_back(std::move(json));
  }
  nlohmann::ordered_json trace = {{"traceEvents", std::move(list)}, {"displayTimeUnit", "ms"}};
  return trace.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace bpt

extern "C" void bpt_profile(bpt_context *context, int64_t region, int32_t begins) {
  if (!context->profile)
    return;
  if (begins)
    context->profile->begin(region);
  else
    context->profile->end(region);
}
