// The configuration file of a run: flat TOML whose keys are the flags with underscores. Read with toml++, written by
// hand because the order and grouping of the table should be seen.
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/TrainOptions.h"
#include <algorithm>
#include <fmt/format.h>
#define TOML_EXCEPTIONS 0
#include <toml++/toml.h>

namespace bpt {

static const OptionSpec *findKey(std::string_view key) {
  for (const OptionSpec &spec : trainOptionSpecs())
    if (spec.key() == key && std::string_view(spec.flag) != "config")
      return &spec;
  return nullptr;
}

static std::string where(const std::string &name, const toml::node &node) {
  return fmt::format("{}:{}", name, node.source().begin.line);
}

static Error unknownKey(const std::string &key) {
  std::vector<std::string> keys;
  for (const OptionSpec &spec : trainOptionSpecs())
    if (findKey(spec.key()))
      keys.push_back(spec.key());
  std::string nearest = nearestName(key, keys);
  std::string message = fmt::format("unknown key {}", inQuotes(key));
  message += nearest.empty() ? "; bpt-train --help lists the options, a key is a flag with underscores"
                             : fmt::format("; did you mean {}?", nearest);
  return badInput(message);
}

static const char *wantedType(const OptionSpec &spec) {
  switch (spec.kind) {
  case OptionKind::Integer:
    return "a whole number";
  case OptionKind::Real:
    return "a number";
  case OptionKind::Bool:
    return "true or false";
  case OptionKind::Bytes:
    return "a size such as \"6GiB\" or a number of bytes";
  case OptionKind::Text:
  case OptionKind::File:
    return "a text in quotes";
  }
  return "";
}

/// The text setOption reads, where the TOML type is one the option takes.
static std::optional<std::string> textOf(const OptionSpec &spec, const toml::node &node) {
  bool number = spec.kind == OptionKind::Integer || spec.kind == OptionKind::Real || spec.kind == OptionKind::Bytes;
  if (node.is_integer() && number)
    return fmt::format("{}", **node.as_integer());
  if (node.is_floating_point() && spec.kind == OptionKind::Real)
    return fmt::format("{}", **node.as_floating_point());
  if (node.is_boolean() && spec.kind == OptionKind::Bool)
    return **node.as_boolean() ? "true" : "false";
  bool text = spec.kind == OptionKind::Text || spec.kind == OptionKind::File || spec.kind == OptionKind::Bytes;
  if (node.is_string() && text)
    return **node.as_string();
  return std::nullopt;
}

Status applyConfiguration(TrainOptions &options, std::string_view text, const std::string &name) {
  toml::parse_result parsed = toml::parse(text, name);
  if (!parsed) {
    const toml::parse_error &error = parsed.error();
    return badInput(fmt::format("{}:{}: {}", name, error.source().begin.line, error.description()));
  }
  // toml++ sorts keys; the first mistake in the file is the one to report.
  std::vector<std::pair<std::string, const toml::node *>> entries;
  for (auto &&[key, node] : parsed.table())
    entries.emplace_back(std::string(key.str()), &node);
  std::sort(entries.begin(), entries.end(),
            [](const auto &a, const auto &b) { return a.second->source().begin.line < b.second->source().begin.line; });
  for (auto &[key, node] : entries) {
    const OptionSpec *spec = findKey(key);
    if (!spec)
      return unknownKey(key).in(where(name, *node));
    std::optional<std::string> value = textOf(*spec, *node);
    if (!value)
      return badInput(fmt::format("{}: {}: expected {}", where(name, *node), key, wantedType(*spec)));
    if (Status status = setOption(options, *spec, *value); !status)
      return badInput(status.error().message).in(where(name, *node));
  }
  return {};
}

/// `text` as a TOML basic string.
static std::string tomlString(std::string_view text) {
  std::string result = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\')
      result += '\\';
    if (c < 0x20 || c == 0x7f)
      result += fmt::format("\\u{:04x}", c);
    else
      result += static_cast<char>(c);
  }
  return result + "\"";
}

std::string writeConfiguration(const TrainOptions &options) {
  std::string result = "# The effective configuration of this run; read again with bpt-train --config=FILE.\n";
  std::string_view group;
  for (const OptionSpec &spec : trainOptionSpecs()) {
    if (spec.role == OptionSpec::Role::Mode)
      continue;
    if (group != spec.group) {
      group = spec.group;
      result += fmt::format("\n# {}\n", group);
    }
    std::optional<std::string> text = optionText(options, spec);
    bool isText = spec.kind == OptionKind::Text || spec.kind == OptionKind::File;
    if (!text || (text->empty() && isText))
      result += fmt::format("# {}: {}\n", spec.key(), spec.defaultText());
    else if (isText)
      result += fmt::format("{} = {}\n", spec.key(), tomlString(*text));
    else if (spec.kind == OptionKind::Real && text->find_first_of(".en") == std::string::npos)
      result += fmt::format("{} = {}.0\n", spec.key(), *text);
    else
      result += fmt::format("{} = {}\n", spec.key(), *text);
  }
  return result;
}

} // namespace bpt
