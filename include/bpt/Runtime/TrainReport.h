// What a training run tells its user: a table at the start, progress, samples, a summary; or JSON lines for programs.
#pragma once
#include "bpt/Runtime/Error.h"
#include "bpt/Runtime/Metrics.h"
#include "bpt/Runtime/Profile.h"
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

namespace bpt {

/// One fact of the table.
struct ReportRow {
  std::string key;  ///< in JSON
  std::string name; ///< for people
  std::string text; ///< for people
  std::string json; ///< the value as JSON text
};

/// A row whose value is a number, or a text.
ReportRow numberRow(const std::string &key, const std::string &name, const std::string &text, double value);
ReportRow textRow(const std::string &key, const std::string &name, const std::string &text);

/// "3h 12m", "45s", for people.
std::string formatDuration(double seconds);
/// "1.5k", "124.4M", for people.
std::string formatCount(double count);

/// Prints to one stream. On a terminal progress is one line that is updated, elsewhere a line now and then; with `json`
/// every event is one object, steps as in metrics.jsonl. A closed pipe silences the report, it does not end the
/// training.
class TrainReport {
public:
  TrainReport(std::FILE *output, bool terminal, bool json);

  void table(const std::string &event, const std::string &title, const std::vector<ReportRow> &rows);
  void step(const StepMetrics &metrics, int64_t lastStep);
  void validation(int64_t step, double loss);
  void sample(int64_t step, const std::string &text, const std::vector<int32_t> &ids);
  void note(const std::string &message);
  /// Where the time of the steps went, by op.
  void profile(const Profile &profile);

  /// The first failed write; exit 5.
  Status status() const { return failure; }

private:
  using Clock = std::chrono::steady_clock;

  void line(const std::string &text);
  void write(const std::string &text);
  bool dueNow();

  std::FILE *output;
  bool terminal, json;
  bool silenced = false;
  bool progressShown = false; ///< the cursor is behind a progress line
  Clock::time_point begin, shown;
  bool anythingShown = false;
  double secondsPerStep = 0; ///< running mean
  double lastValidation = 0;
  bool validated = false;
  Status failure;
};

} // namespace bpt
