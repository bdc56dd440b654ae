// --help, --version and mistakes on the command line.
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include <CLI/CLI.hpp>
#include <cstdio>
#include <fmt/format.h>

namespace bpt {

namespace {

/// One flag a line: `--flag=UNIT`, what it does, and its default.
class HelpFormatter : public CLI::Formatter {
public:
  std::string make_option(const CLI::Option *option, bool positional) const override {
    constexpr size_t width = 28;
    std::string name = "  " + option->get_name(positional);
    if (!positional && !option->get_type_name().empty())
      name += "=" + option->get_type_name();
    name += name.size() + 2 > width ? "\n" + std::string(width, ' ') : std::string(width - name.size(), ' ');
    std::string text = name + option->get_description();
    if (!option->get_default_str().empty())
      text += " [" + option->get_default_str() + "]";
    return text + "\n";
  }

  std::string make_usage(const CLI::App *app, std::string) const override {
    std::string usage = "Usage: " + app->get_name();
    for (const CLI::Option *option : app->get_options())
      if (option->get_positional())
        usage += " " + option->get_name(true);
    return usage + " [--flag=value ..]\n";
  }
};

/// The flag that `argument` was most likely meant to be, as a hint.
std::string flagHint(const CLI::App &app, const std::string &argument) {
  std::vector<std::string> flags;
  for (const CLI::Option *option : app.get_options())
    for (const std::string &name : option->get_lnames())
      flags.push_back("--" + name);
  std::string nearest = nearestName(argument.substr(0, argument.find('=')), flags);
  return nearest.empty() ? "" : "; did you mean " + nearest;
}

} // namespace

std::string versionText(const std::string &tool) {
  return fmt::format("{} {} (manifest version 1)", tool, BPT_VERSION);
}

std::optional<int> parseCommandLine(CLI::App &app, int argc, char **argv) {
  app.formatter(std::make_shared<HelpFormatter>());
  app.set_help_flag("--help", "print this help and exit");
  app.set_version_flag("--version", versionText(app.get_name()), "print the version and exit");
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError &end) {
    if (end.get_exit_code() == 0)
      return app.exit(end);
    return reportError(app.get_name(), usageError(fmt::format("{}; see --help", end.what())));
  }
  if (app.remaining().empty())
    return std::nullopt;
  std::string argument = app.remaining().front();
  return reportError(app.get_name(), usageError(fmt::format("unknown argument {}{}; see --help", inQuotes(argument),
                                                            flagHint(app, argument))));
}

int reportError(const std::string &tool, const Error &error) {
  std::fflush(stdout);
  std::fputs(fmt::format("{}: error: {}\n", tool, error.message).c_str(), stderr);
  return static_cast<int>(error.code);
}

} // namespace bpt
