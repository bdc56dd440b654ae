// Training from start to end: folder, checkpoints, compiling, the loop, interruption. Knows no model and no compiler.
#pragma once
#include "bpt/Runtime/Program.h"
#include "bpt/Runtime/TrainOptions.h"
#include "bpt/Runtime/TrainPlan.h"
#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace bpt {

/// A program that trains, and what else was considered; or, where nothing fits the memory, the plan of the smallest.
struct CompiledTraining {
  std::optional<Program> program;
  std::vector<PolicyCost> policies = {};
  PlannedTraining tooLarge = {}; ///< without `program`
};

/// Where the program comes from; the tool has the compiler, the runtime does not.
struct ProgramSource {
  /// The arguments of the loss graph, read without compiling it: enough to write the checkpoint of step 0 when a signal
  /// comes while the program is being compiled. May be empty; then the signal waits for the compiler.
  std::function<Expected<std::vector<ArgumentInfo>>()> signature;
  /// The program: `train_step`, and where they are asked for and possible `loss` and `next_logits`. Runs in a thread of its own,
  /// which train() abandons when a signal comes: what it uses must live until the process ends.
  std::function<Expected<CompiledTraining>()> compile;
  /// The same without code, for a dry run (Full), and with other options for questions what would fit (Bound: the training
  /// step is enough). May be empty; then a dry run compiles, and what would fit stays unsaid.
  std::function<Expected<PlannedTraining>(const TrainOptions &, PackEffort)> plan = {};
};

/// What the run needs to know of the process it runs in.
struct TrainEnvironment {
  int threads = 1;
  std::FILE *output = stdout;
  bool terminal = false; ///< `output` is one: progress is a line that is updated
};

/// Trains as `options` say. The caller has installed the signal handlers (Signals.h) and, since a thread may still be
/// compiling when this returns with ExitCode::Interrupted, ends with std::_Exit.
/// Errors are those of DESIGN 6: 1 bad input, 2 usage, 3 a loss or norm that is no number, 4 memory, 5 input or output,
/// 130 interrupted. Whatever happens, checkpoints are complete or absent.
Status train(const TrainOptions &options, const ProgramSource &source, const TrainEnvironment &environment);

} // namespace bpt
