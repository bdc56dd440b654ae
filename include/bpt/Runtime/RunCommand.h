// Runs one entry of a program as bpt-exec and bpt-run do: arguments from a file or made up, results to a file, a
// benchmark, the memory plan, and the comparison with a reference.
#pragma once
#include "bpt/Runtime/Profile.h"
#include "bpt/Runtime/Program.h"
#include "bpt/Runtime/SafeTensors.h"
#include "bpt/Runtime/Tensor.h"
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace CLI {
class App;
}

namespace bpt {

/// What the user asked for.
struct RunRequest {
  std::string entry;                   ///< empty: the only one
  std::string inputs;                  ///< safetensors file; empty: every argument is random
  std::string expected;                ///< safetensors file that the results are held against; empty: none
  std::string outputs;                 ///< safetensors file for the results; empty: none
  std::map<std::string, Shape> shapes; ///< of dynamic arguments that are not in `inputs`
  int threads = 0;                     ///< 0: OMP_NUM_THREADS, else the processors
  uint64_t seed = 0;                   ///< of random arguments
  int bench = 0;                       ///< timed runs; 0: no benchmark
  int64_t memoryLimit = 0;             ///< bytes the arena may have; 0: no limit
  bool plan = false;                   ///< only print the memory plan
  bool json = false;                   ///< print JSON
  bool profile = false;                ///< report time by op: of the timed runs, or of the only one
  std::string trace;                   ///< file for the trace of a profile; empty: none
  const char *ompNumThreads = nullptr; ///< value of OMP_NUM_THREADS, or null

  bool profiles() const { return profile || !trace.empty(); }
};

/// Adds the flags of RunRequest to `app`: --entry --inputs --expected --outputs --shape --threads --seed --bench --memory --plan
/// --json --profile --trace.
void addRunOptions(CLI::App &app, RunRequest &request);

/// The runs in the file `path`: each line holds the --inputs, --shape and --seed of one, beside what `base` has. Errors: the file
/// cannot be read (exit 5), holds no run or a line that is none (exit 1, with its number).
Expected<std::vector<RunRequest>> readRuns(const std::string &path, const RunRequest &base);

/// Figures of a run; times are 0 without a benchmark.
struct RunReport {
  std::string entry;
  std::string target;
  int threads = 1;
  int runs = 0;
  double seconds = 0; ///< median of the timed runs
  double fastest = 0;
  double slowest = 0;
  int64_t flops = 0;         ///< of one run
  int64_t argumentBytes = 0; ///< what the caller holds
  int64_t plannedPeakBytes = 0;
  int64_t measuredPeakBytes = 0; ///< what the runtime really allocated
  double gflops() const { return seconds > 0 ? static_cast<double>(flops) / seconds * 1e-9 : 0; }
};

/// One entry with its arguments, ready to run.
class EntryRun {
public:
  /// Loads or makes up the arguments and prepares the entry. `warnings` receives lines for the user.
  static Expected<EntryRun> start(const Program &program, const RunRequest &request, std::string &warnings);

  const Entry &entry() const { return prepared; }
  /// In the order of the signature. A run updates those that are results in place.
  const std::vector<Tensor> &arguments() const { return tensors; }

  /// Runs once. The results are valid until the next run.
  Status execute();
  const std::vector<NamedTensor> &results() const { return named; }

  /// Runs report to `profile` from now on.
  void profileInto(Profile *profile) { prepared.profileInto(profile); }
  /// Runs `count` times and keeps the times, after a tenth of a second of runs to warm up.
  Status bench(int count);

  const RunReport &report() const { return figures; }

private:
  Entry prepared;
  std::vector<Tensor> tensors;
  std::vector<NamedTensor> named;
  RunReport figures;
  double warmth = 0; ///< seconds of all runs so far
};

/// Runs `entry` of `reference` on copies of `arguments`, converted to the types of its signature (f64 for a reference
/// in f64). Results are owned. Call it before the run that is checked: that one may update its arguments in place.
Expected<std::vector<NamedTensor>> runReference(const Program &reference, const std::string &entry,
                                                const std::vector<Tensor> &arguments, int threads);

/// How far a result is from its reference, in f64.
struct Comparison {
  std::string name;
  double maxAbs = 0; ///< max |a - b|
  double maxRel = 0; ///< max |a - b| / max |b|
  double rms = 0;    ///< sqrt(mean (a - b)^2)
  std::optional<double> naiveMaxRel = std::nullopt; ///< maxRel of the unblocked definitions in the same types
};

/// Compares results by position; equal infinities and two NaNs differ by 0, other non-finite pairs by infinity. Errors:
/// the numbers or shapes differ (exit 1).
Expected<std::vector<Comparison>> compareResults(const std::vector<NamedTensor> &results,
                                                 const std::vector<NamedTensor> &reference);

/// Holds results against the tensors of a safetensors file with the same names: each may be away by what the file's metadata says
/// as `tolerance.<name>` (absolute), else by four units in the last place of its largest element. Exit 1 with those that are further.
Status checkExpected(const std::vector<NamedTensor> &results, const std::string &path);

/// {"<result>":{"max_abs","max_rel","rms"}}. JSON has no infinity: it is written as 1.7976931348623157e308.
std::string comparisonJson(const std::vector<Comparison> &comparisons);
std::string formatComparison(const std::vector<Comparison> &comparisons);

/// The benchmark as JSON: entry target threads seconds flops gflops argument_bytes planned_peak_bytes
/// measured_peak_bytes; with `profile` also that, as the last field.
std::string benchJson(const RunReport &report, const Profile *profile = nullptr);
/// A run without benchmark as JSON: entry target threads, the bytes, and of each result type, shape, min, max, mean and
/// the number of elements that are not finite; with `profile` also that.
std::string runJson(const EntryRun &run, const Profile *profile = nullptr);
/// Both for people.
std::string formatRun(const EntryRun &run);
std::string formatBench(const RunReport &report);

/// What `--plan` prints: the plan of the entry for the shapes of the request. Needs no code, and the arguments' elements are
/// never made. Exit 4 when it is over the request's limit.
Expected<std::string> planText(const Manifest &manifest, const RunRequest &request, std::string &warnings);

/// Everything bpt-exec does once it has a program. Prints on standard output (warnings and errors on standard error,
/// after `tool`) and returns the exit code.
int runCommand(const std::string &tool, const Program &program, const RunRequest &request);

} // namespace bpt
