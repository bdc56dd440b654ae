// The one way in which the texts of options are read and written, from the command line and from files alike.
#include "bpt/Runtime/TrainOptions.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Sizes.h"
#include <algorithm>
#include <charconv>
#include <cmath>
#include <fmt/format.h>
#include <limits>
#include <nlohmann/json.hpp>

namespace bpt {

std::string OptionSpec::key() const {
  std::string result = flag;
  std::replace(result.begin(), result.end(), '-', '_');
  return result;
}

std::string OptionSpec::defaultText() const {
  if (fallback)
    return fallback;
  return optionText(TrainOptions(), *this).value_or("none");
}

static Error expected(const OptionSpec &spec, const std::string &what, std::string_view text) {
  return usageError(fmt::format("--{}: expected {}, but got {}", spec.flag, what, bpt::inQuotes(text)));
}

static std::string rangeText(const OptionSpec &spec, double got) {
  if (spec.least > spec.most)
    return "";
  if (spec.most >= noLimit && !(got > noLimit))
    return fmt::format(" of at least {}", spec.least);
  return fmt::format(" from {} to {}", spec.least, spec.most);
}

template <typename T>
static Status parseNumber(const OptionSpec &spec, std::string_view text, const char *what, T &value) {
  T parsed{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), parsed);
  bool inRange =
      spec.least > spec.most || (static_cast<double>(parsed) >= spec.least && static_cast<double>(parsed) <= spec.most);
  // from_chars takes "inf" and "nan"; no option may be either.
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(static_cast<double>(parsed)) ||
      !inRange)
    return expected(spec, what + rangeText(spec, static_cast<double>(parsed)), text);
  value = parsed;
  return {};
}

static Status parseValue(const OptionSpec &spec, std::string_view text, std::string &value) {
  value = text;
  return {};
}

static Status parseValue(const OptionSpec &spec, std::string_view text, int64_t &value) {
  if (spec.kind != OptionKind::Bytes)
    return parseNumber(spec, text, "a whole number", value);
  Expected<int64_t> bytes = parseBytes(text);
  if (!bytes)
    return bytes.takeError().in(std::string("--") + spec.flag);
  value = *bytes;
  return {};
}

static Status parseValue(const OptionSpec &spec, std::string_view text, double &value) {
  return parseNumber(spec, text, "a number", value);
}

static Status parseValue(const OptionSpec &spec, std::string_view text, bool &value) {
  value = text == "true";
  return {};
}

template <typename T> static Status parseValue(const OptionSpec &spec, std::string_view text, std::optional<T> &value) {
  T parsed{};
  if (Status status = parseValue(spec, text, parsed); !status)
    return status;
  value = parsed;
  return {};
}

Status setOption(TrainOptions &options, const OptionSpec &spec, std::string_view text) {
  if (!spec.choices.empty() && std::find(spec.choices.begin(), spec.choices.end(), text) == spec.choices.end()) {
    std::string nearest = nearestName(std::string(text), spec.choices);
    Error error = expected(spec, fmt::format("one of {}", fmt::join(spec.choices, ", ")), text);
    if (!nearest.empty())
      error.message += fmt::format("; did you mean {}?", nearest);
    return error;
  }
  return std::visit([&](auto member) { return parseValue(spec, text, options.*member); }, spec.field);
}

static std::optional<std::string> show(const std::string &value) { return value; }
static std::optional<std::string> show(int64_t value) { return fmt::format("{}", value); }
static std::optional<std::string> show(double value) { return fmt::format("{}", value); }
static std::optional<std::string> show(bool value) { return value ? "true" : "false"; }
template <typename T> static std::optional<std::string> show(const std::optional<T> &value) {
  return value ? show(*value) : std::nullopt;
}

std::optional<std::string> optionText(const TrainOptions &options, const OptionSpec &spec) {
  return std::visit([&](auto member) { return show(options.*member); }, spec.field);
}

Status checkOptions(const TrainOptions &options) {
  if (options.tokens.empty() && !options.dryRun)
    return usageError("--tokens is missing: give a file of token ids to train on (--help lists every option)");
  if (!options.graph.empty()) {
    TrainOptions fresh;
    for (const OptionSpec &spec : trainOptionSpecs()) {
      bool ofBuilder = std::string_view(spec.group) == "Model" && std::string_view(spec.flag) != "graph" &&
                       std::string_view(spec.flag) != "context" && std::string_view(spec.flag) != "batch";
      if (ofBuilder && optionText(options, spec) != optionText(fresh, spec))
        return usageError(fmt::format("--{} is for models that are built, but the model is the graph {}; leave one out",
                                      spec.flag, bpt::inQuotes(options.graph)));
    }
  }
  if (options.graph == "-" && options.tokens == "-")
    return usageError("--tokens: standard input is the graph already; give a file");
  if (options.lastLayers == 0 && options.lastKeep != TrainOptions().lastKeep)
    return usageError("--last-keep: expected --last-layers with it, but got none: how many layers keep " + options.lastKeep);
  if (options.lastLayers > 0 && options.headsAtOnce > 0)
    return usageError("expected --last-layers or --heads-at-once, but got both: groups of heads are for all layers");
  if (options.out.empty())
    return usageError("--out: expected a folder, but got an empty name");
  if (options.minimumRate() > options.lr)
    return usageError(
        fmt::format("expected --min-lr to be at most --lr, but got {} and {}", options.minimumRate(), options.lr));
  return {};
}

std::string numericalConfiguration(const TrainOptions &options) {
  nlohmann::json object = nlohmann::json::object();
  for (const OptionSpec &spec : trainOptionSpecs()) {
    if (spec.role != OptionSpec::Role::Numerical)
      continue;
    std::optional<std::string> text = optionText(options, spec);
    if (!text || (text->empty() && (spec.kind == OptionKind::Text || spec.kind == OptionKind::File)))
      continue;
    bool quote = spec.kind == OptionKind::Text || spec.kind == OptionKind::File;
    object[spec.key()] = quote ? nlohmann::json(*text) : nlohmann::json::parse(*text);
  }
  object["min_lr"] = options.minimumRate();
  return object.dump();
}

} // namespace bpt
