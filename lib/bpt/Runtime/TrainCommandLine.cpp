// The command line of bpt-train: the table of options declared to CLI11, and who overrides whom.
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/TrainOptions.h"
#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace bpt {

namespace {

constexpr const char *tool = "bpt-train";

/// The options as texts, in the order of the table; empty where not given.
using Texts = std::vector<std::string>;

void declare(CLI::App &app, Texts &texts) {
  const std::vector<OptionSpec> &specs = trainOptionSpecs();
  texts.resize(specs.size());
  for (size_t i = 0; i < specs.size(); ++i) {
    const OptionSpec &spec = specs[i];
    std::string flag = std::string("--") + spec.flag;
    bool isSwitch = !*spec.unit, isGraph = flag == "--graph";
    CLI::Option *option =
        isSwitch ? app.add_flag(flag, texts[i]) : app.add_option(isGraph ? "GRAPH.mlir," + flag : flag, texts[i]);
    std::string help = spec.help;
    if (!spec.choices.empty() && spec.kind != OptionKind::Bool)
      help += fmt::format(": {}", fmt::join(spec.choices, " | "));
    option->description(help)->group(spec.group)->type_name(spec.unit);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    if (!isSwitch)
      option->default_str(spec.defaultText().empty() ? "none" : spec.defaultText());
  }
}

Status configure(TrainOptions &options, const std::string &path) {
  constexpr int64_t longestConfiguration = 1 << 20;
  Expected<std::string> text = readFile(path, longestConfiguration);
  if (!text)
    return text.takeError();
  return applyConfiguration(options, *text, path);
}

/// Defaults, then the file, then the flags, each overriding what came before.
Status apply(TrainOptions &options, CLI::App &app, const Texts &texts) {
  const std::vector<OptionSpec> &specs = trainOptionSpecs();
  auto given = [&](size_t i) { return app.get_option(std::string("--") + specs[i].flag)->count() > 0; };
  for (size_t i = 0; i < specs.size(); ++i)
    if (std::string_view(specs[i].flag) == "config" && given(i))
      if (Status status = configure(options, texts[i]); !status)
        return status;
  for (size_t i = 0; i < specs.size(); ++i)
    if (given(i))
      if (Status status = setOption(options, specs[i], texts[i]); !status)
        return status;
  if (options.graph.empty() && options.model.empty())
    options.model = "gpt";
  return checkOptions(options);
}

} // namespace

std::optional<int> parseTrainCommandLine(int argc, char **argv, TrainOptions &options) {
  CLI::App app("Trains a transformer: any loss graph with parameters, or a built GPT or Llama.", tool);
  app.footer("In brackets: defaults. --config reads the same options as TOML keys with underscores (min_lr = 1e-5).\n"
             "Exit codes: 0 ok, 1 bad input, 2 usage, 3 non-finite, 4 out of memory or over budget, 5 I/O,\n"
             "130 interrupted (checkpoint written).");
  Texts texts;
  declare(app, texts);
  if (std::optional<int> code = parseCommandLine(app, argc, argv))
    return code;
  if (Status status = apply(options, app, texts); !status)
    return reportError(tool, status.error());
  return std::nullopt;
}

} // namespace bpt
