// bpt-train: trains a loss graph or a built model. The runtime trains and the engine compiles; this brings them together.
#include "bpt/Engine/Training.h"
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/Signals.h"
#include "bpt/Runtime/Threads.h"
#include "bpt/Runtime/Trainer.h"
#include <cstdio>
#include <cstdlib>
#include <unistd.h>

static int run(int argc, char **argv) {
  bpt::TrainOptions options;
  if (std::optional<int> code = bpt::parseTrainCommandLine(argc, argv, options))
    return *code;
  bpt::TrainEnvironment environment;
  std::string warning;
  environment.threads = bpt::chooseThreads(static_cast<int>(options.threads), std::getenv("OMP_NUM_THREADS"), warning);
  environment.terminal = ::isatty(STDOUT_FILENO);
  if (!warning.empty())
    std::fprintf(stderr, "bpt-train: warning: %s\n", warning.c_str());

  bpt::ProgramSource source;
  if (options.graph != "-") // which can be read only once
    source.signature = [options] { return bpt::readTrainingSignature(options); };
  source.compile = [options, threads = environment.threads] { return bpt::compileTraining(options, threads); };
  source.plan = [threads = environment.threads](const bpt::TrainOptions &given, bpt::PackEffort effort) {
    return bpt::planTraining(given, threads, effort);
  };
  bpt::Status status = bpt::train(options, source, environment);
  if (status)
    return 0;
  if (status.error().code != bpt::ExitCode::Interrupted)
    return bpt::reportError("bpt-train", status.error());
  std::fprintf(stderr, "bpt-train: %s\n", status.error().message.c_str()); // as asked for, so no error
  return static_cast<int>(status.error().code);
}

int main(int argc, char **argv) {
  // First of all: compiling may take a while, and a signal must end with a checkpoint even then.
  bpt::installSignalHandlers();
  int code = run(argc, argv);
  // A compiler that was interrupted may still be running in its thread; nobody waits for it, nor for destructors under it.
  std::fflush(nullptr);
  std::_Exit(code);
}
