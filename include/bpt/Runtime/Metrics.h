// metrics.jsonl: one JSON object a line, appended after every step, cut back when a run is resumed.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bpt {

/// One training step.
struct StepMetrics {
  int64_t step = 0; ///< from 1
  double loss = 0;
  double gradNorm = 0; ///< before clipping
  double lr = 0;
  int64_t tokens = 0;         ///< trained on so far, this step included
  double seconds = 0;         ///< of this step
  double tokensPerSecond = 0; ///< of this step
};

/// A point of a curve.
struct LossPoint {
  int64_t step = 0;
  double loss = 0;
};

/// A number as JSON: the shortest text that reads back as the same float, or double where it is none.
std::string jsonNumber(double value);

/// The row of a step, without a line break.
std::string metricsRow(const StepMetrics &metrics);
/// {"step":N,"valid_loss":L}
std::string validationRow(int64_t step, double loss);

/// The open file with the curves it holds.
class MetricsLog {
public:
  /// Opens `path`, keeps the rows of steps up to `lastStep` and cuts off what comes after the last good row: later
  /// steps, and a line that a crash has torn. Errors: exit 5.
  static Expected<MetricsLog> open(const std::string &path, int64_t lastStep);

  /// Appends a row. Errors: exit 5; the file has whole rows only all the same.
  Status append(const StepMetrics &metrics);
  Status appendValidation(int64_t step, double loss);

  /// Waits until the rows are on the device: a checkpoint's rows must not be lost when it is kept.
  Status sync() const;

  const std::vector<LossPoint> &training() const { return trainingCurve; }
  const std::vector<LossPoint> &validation() const { return validationCurve; }

private:
  bool keepRow(const std::string &line, int64_t lastStep);
  Status appendLine(const std::string &row);

  std::string path;
  std::shared_ptr<const int> descriptor;
  int64_t bytes = 0;
  std::vector<LossPoint> trainingCurve, validationCurve;
};

} // namespace bpt
