// bpt-exec: runs an entry of a shared object made by bpt-compile. Needs libbpt_runtime only.
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/RunCommand.h"
#include <CLI/CLI.hpp>
#include <cstdlib>

int main(int argc, char **argv) {
  bpt::ignoreWriteSignals();
  CLI::App app("Runs one function of a program compiled ahead of time, on inputs from a file or made up.", "bpt-exec");
  std::string object;
  bpt::RunRequest request;
  app.add_option("OBJECT.so", object, "shared object made by bpt-compile --emit=so")->required();
  bpt::addRunOptions(app, request);
  app.footer("Exit codes: 0 ok, 1 bad input, 2 usage, 4 out of memory or over --memory, 5 input or output failed.");
  if (std::optional<int> code = bpt::parseCommandLine(app, argc, argv))
    return *code;
  request.ompNumThreads = std::getenv("OMP_NUM_THREADS");
  bpt::Expected<bpt::Program> program = bpt::Program::open(object);
  if (!program)
    return bpt::reportError(app.get_name(), program.error());
  return bpt::runCommand(app.get_name(), *program, request);
}
