// bpt-compile: compiles a module ahead of time, or up to a stage.
#include "bpt/Engine/CompileCommand.h"
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Sizes.h"
#include <CLI/CLI.hpp>

int main(int argc, char **argv) {
  bpt::ignoreWriteSignals();
  CLI::App app("Compiles the functions of a module to a shared object that runs without LLVM, or up to a stage.",
               "bpt-compile");
  bpt::CompileCommand command;
  bpt::CompileOptions &options = command.options;
  std::string target = "cpu", memory, offload = "auto";
  app.add_option("FILE.mlir", command.input, "module to compile; - is standard input")->required();
  app.add_option("-o,--output", command.output, "file to write; - is standard output (mlir and llvm only)")
      ->capture_default_str();
  app.add_option("--target", target, "cpu | reference | emulator (up to --emit=ptx) | cuda")->capture_default_str();
  app.add_option("--emit", command.emit, "mlir | llvm | asm | ptx | obj | so")->capture_default_str();
  app.add_option("--entry", options.entries, "function to compile; may be repeated; default: every public one");
  app.add_option("--cpu", options.cpu, "native (AMX where it pays) | native+amx | native-amx | x86-64-v4 | x86-64-v4+amx | x86-64-v3 | x86-64")->capture_default_str();
  app.add_option("-O,--opt-level", options.optLevel,
                 "2: code that runs fast | 1: that is made fast, for a short run on the CPU; the results are the same")
      ->capture_default_str();
  app.add_option("--stop-after", command.stopAfter,
                 "graph | blocks | step | tiles | buffers | kernels | llvm, with --emit=mlir")
      ->capture_default_str();
  app.add_option("--dump-stages-to", options.dumpStagesTo, "folder that gets the IR of each stage; default: none");
  app.add_flag("--profile", options.profile,
               "code that bpt-exec --profile can ask where its time goes (a little slower)");
  app.add_option("--offload", offload,
                 "auto | true | false: what a gradient needs much later waits in host memory, with --target=cuda; "
                 "auto: where nothing faster fits --memory")
      ->capture_default_str();
  app.add_option("--memory", memory, "largest arena, e.g. 6GiB; default: no limit");
  app.footer("Exit codes: 0 ok, 1 bad input, 2 usage, 4 over --memory, 5 input or output failed.");
  if (std::optional<int> code = bpt::parseCommandLine(app, argc, argv))
    return *code;
  bpt::Expected<bpt::Target> parsed = bpt::parseTarget(target);
  if (!parsed)
    return bpt::reportError(app.get_name(), parsed.error());
  options.target = *parsed;
  if (bpt::Status level = bpt::checkOptLevel(options.optLevel, *parsed); !level)
    return bpt::reportError(app.get_name(), level.error());
  bpt::Expected<bpt::Offload> chosen = bpt::parseOffload(offload, *parsed);
  if (!chosen)
    return bpt::reportError(app.get_name(), chosen.error());
  options.offload = *chosen;
  if (!memory.empty()) {
    bpt::Expected<int64_t> bytes = bpt::parseBytes(memory);
    if (!bytes)
      return bpt::reportError(app.get_name(), bytes.error());
    options.memory = *bytes;
  }
  if (bpt::Status status = bpt::runCompileCommand(command); !status)
    return bpt::reportError(app.get_name(), status.error());
  return 0;
}
