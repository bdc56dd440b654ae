// Command lines of the tools that are not LLVM tools: one look of --help, one way to report mistakes. Built on CLI11.
#pragma once
#include "bpt/Runtime/Error.h"
#include <optional>
#include <string>

namespace CLI {
class App;
}

namespace bpt {

/// "bpt-exec 0.1.0 (manifest version 1)": the text of --version.
std::string versionText(const std::string &tool);

/// Parses `argv` with `app`, whose flags are spelled --long-name=value. Adds --version. Returns the exit code when the
/// tool should end now: 0 after --help or --version, 2 after a mistake (reported on standard error, with the nearest
/// flag).
std::optional<int> parseCommandLine(CLI::App &app, int argc, char **argv);

/// Prints "TOOL: error: MESSAGE" on standard error and gives the exit code.
int reportError(const std::string &tool, const Error &error);

} // namespace bpt
