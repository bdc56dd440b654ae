// One training run from start to end: TrainStart.cpp brings it to its first step, TrainMemory.cpp says what it takes,
// Trainer.cpp takes the steps.
#pragma once
#include "TrainData.h"
#include "bpt/Runtime/Checkpoint.h"
#include "bpt/Runtime/LearningRate.h"
#include "bpt/Runtime/Metrics.h"
#include "bpt/Runtime/RunDirectory.h"
#include "bpt/Runtime/TrainReport.h"
#include "bpt/Runtime/Trainer.h"
#include <optional>

namespace bpt {

class TrainRun {
public:
  TrainRun(const TrainOptions &options, const ProgramSource &source, const TrainEnvironment &environment)
      : options(options), source(source), environment(environment),
        report(environment.output, environment.terminal, options.json) {}

  Status run();

private:
  /// Seconds spent in each part of the run, for --profile.
  struct Parts {
    double compile = 0, start = 0, data = 0, step = 0, validation = 0, sampling = 0, checkpoints = 0;
  };

  // TrainStart.cpp
  Status openFolder();
  void noteChanges(const std::string &earlier);
  Status readSignature();
  Status resolve(const ArgumentInfo &tokens);
  Status openData(std::optional<int64_t> range);
  Status compileAndPlan();
  Status planOnly();
  Status takePlan(const Manifest &manifest, TrainPlan planned, std::vector<PolicyCost> considered);
  Status saveBeforeCompiled();
  Error interruptedWithoutState() const;
  void describe();
  Status startState();
  Status initialize(const TrainState &state, const std::vector<TrainedParameter> &parameters);
  Error interrupted(int64_t step) const;
  std::string title() const;

  // TrainMemory.cpp
  void describeMemory(std::vector<ReportRow> &rows);
  void describeFrontier();
  Status checkBudget();
  Error overBudget(int64_t budget);
  std::string findWhatFits(int64_t budget);
  Status searchLargest();
  std::optional<int64_t> plannedBytesWith(const TrainOptions &other, PackEffort effort);

  // Trainer.cpp
  Status loop();
  Status takeStep(int64_t step);
  Status readBatch(int64_t step);
  Status validate(int64_t step);
  Status sample(int64_t step);
  Status save(int64_t step);
  Status writeLossPlot();
  Error notFinite(int64_t step, const char *what, double value);
  void summarize(int64_t step, double seconds);
  std::string newestCheckpoint() const;
  CheckpointState checkpointState(int64_t step) const { return {step, options.seed, numericalConfiguration(options)}; }

  TrainOptions options; ///< effective once resolve() has run
  const ProgramSource &source;
  const TrainEnvironment &environment;
  TrainReport report;
  Parts profile;

  std::optional<RunDirectory> directory;
  std::optional<CheckpointInfo> resumed;
  int64_t start = 0;            ///< steps done before this run
  bool finished = false;        ///< nothing is left to do
  std::optional<int64_t> saved; ///< step of the newest complete checkpoint
  std::optional<int64_t> batchOf; ///< the step whose batch the program has; none after another was read

  std::vector<TrainedParameter> early; ///< parameters by the signature of the loss graph
  BatchShape batch;
  std::optional<TrainData> data, validData;
  std::optional<TrainPlan> plan;
  std::vector<PolicyCost> policies; ///< that were considered
  std::vector<PolicyCost> frontier; ///< with --frontier: all that are worth a choice
  std::string kept;                 ///< what layers keep for their backward
  std::optional<TrainProgram> program; ///< not in a dry run
  std::optional<MetricsLog> metrics;
  LearningRate rate;
  std::vector<int32_t> prompt;
  double lastLoss = 0;
};

/// Measures the time until it goes out of scope, added to `total`.
class TimedPart {
public:
  explicit TimedPart(double &total) : total(total) {}
  ~TimedPart() { total += seconds(); }
  double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count(); }

private:
  double &total;
  std::chrono::steady_clock::time_point begin = std::chrono::steady_clock::now();
};

} // namespace bpt
