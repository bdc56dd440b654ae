// Figures of a run as JSON and as tables.
#include "bpt/Runtime/RunCommand.h"
#include "bpt/Runtime/Sizes.h"
#include <algorithm>
#include <cfloat>
#include <cmath>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bpt {

namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json &json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// JSON has no infinity and no NaN.
double jsonNumber(double value) { return std::isnan(value) ? DBL_MAX : std::clamp(value, -DBL_MAX, DBL_MAX); }

/// Over the finite elements.
struct Statistics {
  double min = 0, max = 0, mean = 0;
  int64_t nonFinite = 0;
};

Statistics statisticsOf(const Tensor &tensor) {
  Statistics statistics;
  int64_t finite = 0;
  double sum = 0;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    double value = tensor.get(i);
    if (!std::isfinite(value))
      continue;
    statistics.min = finite ? std::min(statistics.min, value) : value;
    statistics.max = finite ? std::max(statistics.max, value) : value;
    sum += value;
    ++finite;
  }
  statistics.nonFinite = tensor.elements() - finite;
  statistics.mean = finite ? sum / static_cast<double>(finite) : 0;
  return statistics;
}

std::string formatSeconds(double seconds) {
  if (seconds >= 1)
    return fmt::format("{:.3f} s", seconds);
  return seconds >= 1e-3 ? fmt::format("{:.3f} ms", seconds * 1e3) : fmt::format("{:.2f} us", seconds * 1e6);
}

std::string headline(const RunReport &report) {
  return fmt::format("{} on {}, {} thread{}\n", report.entry, report.target, report.threads,
                     report.threads == 1 ? "" : "s");
}

size_t nameWidth(const std::vector<std::string> &names) {
  size_t width = 6;
  for (const std::string &name : names)
    width = std::max(width, std::min<size_t>(name.size(), 48));
  return width;
}

} // namespace

static std::string dumpWith(Json json, const Profile *profile) {
  if (profile)
    json["profile"] = Json::parse(profile->json());
  return dump(json);
}

std::string benchJson(const RunReport &report, const Profile *profile) {
  Json json = {{"entry", report.entry},
               {"target", report.target},
               {"threads", report.threads},
               {"seconds", report.seconds},
               {"flops", report.flops},
               {"gflops", report.gflops()},
               {"argument_bytes", report.argumentBytes},
               {"planned_peak_bytes", report.plannedPeakBytes},
               {"measured_peak_bytes", report.measuredPeakBytes}};
  return dumpWith(std::move(json), profile);
}

std::string runJson(const EntryRun &run, const Profile *profile) {
  const RunReport &report = run.report();
  Json json = {{"entry", report.entry},
               {"target", report.target},
               {"threads", report.threads},
               {"argument_bytes", report.argumentBytes},
               {"planned_peak_bytes", report.plannedPeakBytes},
               {"measured_peak_bytes", report.measuredPeakBytes},
               {"results", Json::object()}};
  for (const NamedTensor &result : run.results()) {
    Statistics statistics = statisticsOf(result.tensor);
    json["results"][result.name] = {{"dtype", fileName(result.tensor.type())},
                                    {"shape", result.tensor.shape()},
                                    {"min", statistics.min},
                                    {"max", statistics.max},
                                    {"mean", statistics.mean},
                                    {"non_finite", statistics.nonFinite}};
  }
  return dumpWith(std::move(json), profile);
}

std::string formatRun(const EntryRun &run) {
  std::vector<std::string> names, types;
  for (const NamedTensor &result : run.results()) {
    names.push_back(result.name);
    types.push_back(describeType(result.tensor.type(), result.tensor.shape()));
  }
  size_t width = nameWidth(names), typeWidth = nameWidth(types);
  std::string text = headline(run.report());
  text += fmt::format("  {:<{}}  {:<{}}  {:>12}  {:>12}  {:>12}\n", "result", width, "type", typeWidth, "min", "max",
                      "mean");
  for (size_t i = 0; i < names.size(); ++i) {
    Statistics statistics = statisticsOf(run.results()[i].tensor);
    text += fmt::format("  {:<{}}  {:<{}}  {:>12.6g}  {:>12.6g}  {:>12.6g}", names[i], width, types[i], typeWidth,
                        statistics.min, statistics.max, statistics.mean);
    text += statistics.nonFinite ? fmt::format("  {} not finite\n", statistics.nonFinite) : "\n";
  }
  const RunReport &report = run.report();
  return text + fmt::format("arguments {}, planned peak {}, measured peak {}\n", formatBytes(report.argumentBytes),
                            formatBytes(report.plannedPeakBytes), formatBytes(report.measuredPeakBytes));
}

std::string formatBench(const RunReport &report) {
  std::string text = fmt::format("{} (median of {}; fastest {}, slowest {})", formatSeconds(report.seconds),
                                 report.runs, formatSeconds(report.fastest), formatSeconds(report.slowest));
  if (report.flops > 0)
    text += fmt::format(", {:.2f} GFLOP at {:.1f} GFLOP/s", static_cast<double>(report.flops) * 1e-9, report.gflops());
  return text + "\n";
}

std::string comparisonJson(const std::vector<Comparison> &comparisons) {
  Json json = Json::object();
  for (const Comparison &comparison : comparisons) {
    json[comparison.name] = {{"max_abs", jsonNumber(comparison.maxAbs)},
                             {"max_rel", jsonNumber(comparison.maxRel)},
                             {"rms", jsonNumber(comparison.rms)}};
    if (comparison.naiveMaxRel)
      json[comparison.name]["naive_max_rel"] = jsonNumber(*comparison.naiveMaxRel);
  }
  return dump(json);
}

std::string formatComparison(const std::vector<Comparison> &comparisons) {
  std::vector<std::string> names;
  for (const Comparison &comparison : comparisons)
    names.push_back(comparison.name);
  size_t width = nameWidth(names);
  bool isNaiveKnown = !comparisons.empty() && comparisons.front().naiveMaxRel;
  std::string text = fmt::format("  {:<{}}  {:>12}  {:>12}  {:>12}{}\n", "result", width, "max abs", "max rel", "rms",
                                 isNaiveKnown ? "  naive max rel" : "");
  for (const Comparison &comparison : comparisons)
    text += fmt::format("  {:<{}}  {:>12.4g}  {:>12.4g}  {:>12.4g}{}\n", comparison.name, width, comparison.maxAbs,
                        comparison.maxRel, comparison.rms,
                        isNaiveKnown ? fmt::format("  {:>13.4g}", *comparison.naiveMaxRel) : "");
  return text;
}

} // namespace bpt
