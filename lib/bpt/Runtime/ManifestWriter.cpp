// Writes manifests as JSON, fields in the order of the documentation.
#include "bpt/Runtime/Manifest.h"
#include <charconv>
#include <nlohmann/json.hpp>

namespace bpt {

namespace {

using Json = nlohmann::ordered_json;

/// Constants as integers, everything else as the formula's text.
Json formulaJson(const Formula &formula) {
  const std::string &text = formula.text();
  int64_t value = 0;
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure == std::errc() && end == text.data() + text.size())
    return value;
  return text;
}

Json initJson(const Init &init) {
  switch (init.kind) {
  case Init::Kind::Normal:
    return {{"kind", "normal"}, {"std", init.std}};
  case Init::Kind::Ones:
    return {{"kind", "ones"}};
  case Init::Kind::Zeros:
    break;
  }
  return {{"kind", "zeros"}};
}

Json argumentJson(const ArgumentInfo &argument) {
  Json json = {{"name", argument.name}, {"dtype", fileName(argument.type)}, {"shape", argument.shape}};
  if (argument.parameter)
    json["parameter"] = true;
  if (argument.init)
    json["init"] = initJson(*argument.init);
  if (argument.decay)
    json["decay"] = true;
  if (argument.range)
    json["range"] = *argument.range;
  if (argument.ignoreIndex)
    json["ignore_index"] = *argument.ignoreIndex;
  return json;
}

Json resultJson(const ResultInfo &result) {
  Json json = {{"name", result.name}, {"dtype", fileName(result.type)}, {"shape", Json::array()}};
  for (const Formula &size : result.shape)
    json["shape"].push_back(formulaJson(size));
  if (result.slot)
    json["slot"] = *result.slot;
  if (result.argument)
    json["argument"] = *result.argument;
  return json;
}

Json entryJson(const EntryInfo &entry) {
  Json json = {{"name", entry.name},       {"symbol", entry.symbol}, {"args", Json::array()},
               {"results", Json::array()}, {"slots", Json::array()}, {"flops", formulaJson(entry.flops)}};
  for (const ArgumentInfo &argument : entry.arguments)
    json["args"].push_back(argumentJson(argument));
  for (const ResultInfo &result : entry.results)
    json["results"].push_back(resultJson(result));
  for (const SlotInfo &slot : entry.slots)
    json["slots"].push_back({{"name", slot.name},
                             {"kind", slot.kind},
                             {"bytes", formulaJson(slot.bytes)},
                             {"first", slot.first},
                             {"last", slot.last}});
  return json;
}

} // namespace

std::string writeManifest(const Manifest &manifest) {
  Json json = {{"magic", "bpt-manifest"},
               {"version", 1},
               {"compiler", manifest.compiler},
               {"target", manifest.target},
               {"cpu", {{"name", manifest.cpuName}, {"features", manifest.cpuFeatures}}},
               {"thread_scratch", manifest.threadScratch},
               {"shared_scratch", manifest.sharedScratch},
               {"entries", Json::array()}};
  if (!manifest.keptActivations.empty())
    json["kept_activations"] = manifest.keptActivations;
  for (const EntryInfo &entry : manifest.entries)
    json["entries"].push_back(entryJson(entry));
  for (const KernelInfo &kernel : manifest.kernels)
    json["kernels"].push_back({{"name", kernel.name}, {"place", kernel.place}});
  for (const RegionInfo &region : manifest.regions)
    json["regions"].push_back({{"op", region.op},
                               {"function", region.function},
                               {"place", region.place},
                               {"flops", region.flops},
                               {"bytes", region.bytes}});
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

} // namespace bpt
