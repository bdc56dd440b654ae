// bpt-run: compiles one function of a module in memory and runs it.
#include "bpt/Engine/Session.h"
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/File.h"
#include <CLI/CLI.hpp>
#include <cstdlib>

int main(int argc, char **argv) {
  bpt::ignoreWriteSignals();
  CLI::App app("Compiles one function of a module in memory and runs it, on inputs from a file or made up.", "bpt-run");
  bpt::SessionRequest session;
  std::string target = "cpu", offload = "auto";
  app.add_option("FILE.mlir", session.input, "module to run; - is standard input")->required();
  app.add_option("--target", target, "cpu | reference | emulator (of a Hopper GPU) | cuda")->capture_default_str();
  app.add_option("--cpu", session.options.cpu, "native (AMX where it pays) | native+amx | native-amx | x86-64-v4 | x86-64-v4+amx | x86-64-v3 | x86-64")->capture_default_str();
  app.add_option("-O,--opt-level", session.options.optLevel,
                 "2: code that runs fast | 1: that is made fast, for a short run on the CPU; the results are the same")
      ->capture_default_str();
  app.add_option("--emulator-mode", session.emulatorMode,
                 "eager | random | late: when asynchronous work of --target=emulator happens; all: each, with --check")
      ->capture_default_str();
  app.add_option("--emulator-seed", session.emulatorSeed, "of --emulator-mode=random")->capture_default_str();
  app.add_option("--emulator-code", session.emulatorCode,
                 "emitted | optimized: the kernels before or after the GPU compiler's optimiser")
      ->capture_default_str();
  app.add_option("--offload", offload,
                 "auto | true | false: what a gradient needs much later waits in host memory, with --target=cuda or "
                 "emulator; auto: where nothing faster fits --memory")
      ->capture_default_str();
  app.add_flag("--check", session.check, "also run the reference in f64 and report how far each result is from it");
  app.add_flag("--naive", session.naive,
               "with --check: also report how far the unblocked definitions in the same types are");
  app.add_option("--runs", session.runs,
                 "with --check: many runs of what is compiled once; each line of the file has the --shape, --inputs "
                 "and --seed of one")
      ->type_name("FILE")
      ->default_str("one run");
  app.add_option("--dump-stages-to", session.options.dumpStagesTo,
                 "folder that gets the IR of each stage; default: none");
  bpt::addRunOptions(app, session.run);
  app.footer("Exit codes: 0 ok, 1 bad input, 2 usage, 4 out of memory or over --memory, 5 input or output failed.");
  if (std::optional<int> code = bpt::parseCommandLine(app, argc, argv))
    return *code;
  session.run.ompNumThreads = std::getenv("OMP_NUM_THREADS");
  bpt::Expected<bpt::Target> parsed = bpt::parseTarget(target);
  if (!parsed)
    return bpt::reportError(app.get_name(), parsed.error());
  session.options.target = *parsed;
  if (bpt::Status level = bpt::checkOptLevel(session.options.optLevel, *parsed); !level)
    return bpt::reportError(app.get_name(), level.error());
  bpt::Expected<bpt::Offload> chosen = bpt::parseOffload(offload, *parsed);
  if (!chosen)
    return bpt::reportError(app.get_name(), chosen.error());
  session.options.offload = *chosen;
  for (const char *flag : {"--emulator-mode", "--emulator-seed", "--emulator-code"})
    if (app.count(flag) && *parsed != bpt::Target::Emulator)
      return bpt::reportError(app.get_name(), bpt::usageError(std::string("expected --target=emulator with ") + flag));
  return bpt::runSession(app.get_name(), session);
}
