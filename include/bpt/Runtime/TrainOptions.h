// The options of a training run: one table serves the command line, the TOML file and the effective configuration.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace bpt {

/// The options of bpt-train. The table of trainOptionSpecs() says what each means, its unit and its range. Members that
/// are optional have no default of their own: the model preset, or another option, decides.
struct TrainOptions {
  // model: a graph file, or a builder with the flags of bpt-gen
  std::string graph, model, preset;
  std::optional<int64_t> layers, heads, kvHeads, embed, hidden, vocab;
  std::string dtype, position;
  std::optional<double> dropout, ropeTheta, normEps;
  std::optional<bool> tied, bias;
  int64_t context = 0; ///< tokens of a sequence; 0: what the graph or preset says
  int64_t batch = 0;   ///< sequences of one micro-step; 0: what the graph says, 8 for builders
  int64_t accumulate = 1;

  // data
  std::string tokens, tokenType = "auto", validTokens;
  int64_t validEvery = 0, validBatches = 8;

  // optimization
  int64_t steps = 1000, stopAt = 0;
  double lr = 6e-4;
  std::optional<double> minLr;
  int64_t warmup = 100;
  double weightDecay = 0.1, beta1 = 0.9, beta2 = 0.95, eps = 1e-8, clip = 1.0;
  int64_t seed = 1;
  std::string init;

  // machine
  std::string target = "cpu", cpu = "native", strategy = "blockwise", keepActivations = "auto", lastKeep = "all", offload = "auto";
  int64_t optLevel = 2, block = 512, segment = 0, lastLayers = 0, headsAtOnce = 0, memory = 0, threads = 0;
  std::string machine = "this";

  // run
  std::string out = "run";
  int64_t checkpointEvery = 100, keep = 3;
  bool resume = false;
  int64_t sampleEvery = 0, sampleTokens = 200;
  std::string samplePrompt;
  double sampleTemperature = 0.8;
  bool profile = false, dryRun = false, frontier = false, maxContext = false, maxBatch = false, json = false;
  std::string config;

  /// The step after which this run ends: --stop-at where it is given and earlier, else --steps.
  int64_t lastStep() const { return stopAt > 0 && stopAt < steps ? stopAt : steps; }
  double minimumRate() const { return minLr ? *minLr : lr / 10; }
  int64_t batchOr(int64_t fallback) const { return batch ? batch : fallback; }
};

/// Sequences of a micro-step where neither an option nor the graph says.
inline constexpr int64_t defaultBatch = 8;

/// Where the value of an option is.
using OptionField = std::variant<std::string TrainOptions::*, int64_t TrainOptions::*, double TrainOptions::*,
                                 bool TrainOptions::*, std::optional<int64_t> TrainOptions::*,
                                 std::optional<double> TrainOptions::*, std::optional<bool> TrainOptions::*>;

/// What an option's text must be.
enum class OptionKind : uint8_t { Text, File, Integer, Real, Bool, Bytes };

/// As `most` of an OptionSpec: no upper limit but that of the type.
inline constexpr double noLimit = 0x1p62;

/// One row of the table.
struct OptionSpec {
  /// What an option changes: the numbers of the run (recorded in checkpoints), only how it runs, or just this one call
  /// (--resume, --json, ..; not part of a configuration).
  enum class Role : uint8_t { Numerical, Run, Mode };

  const char *flag; ///< without the dashes: "min-lr"; the TOML key has underscores
  OptionField field;
  OptionKind kind;
  const char *unit;     ///< what the number counts, or the form of the text: "STEPS", "FILE"; empty for switches
  const char *fallback; ///< shown as the default; null: the field's value in a fresh TrainOptions
  const char *group;    ///< heading in --help
  std::vector<std::string> choices; ///< the accepted texts; empty: any
  double least, most;               ///< range of numbers; least > most: any
  Role role;
  const char *help;

  /// The TOML key: the flag with underscores.
  std::string key() const;
  /// The default as shown by --help.
  std::string defaultText() const;
};

/// Every option, in the order of --help.
const std::vector<OptionSpec> &trainOptionSpecs();

/// Sets one option from `text`. Errors (exit 2): "expected <what>, but got <text>".
Status setOption(TrainOptions &options, const OptionSpec &spec, std::string_view text);

/// The value of an option as setOption reads it; none for an optional that is not set.
std::optional<std::string> optionText(const TrainOptions &options, const OptionSpec &spec);

/// Checks what depends on several options; exit 2.
Status checkOptions(const TrainOptions &options);

/// Options of a command line: defaults, then the file of --config, then the flags. Returns the exit code when the tool
/// should end now: 0 after --help or --version; after a mistake, which is reported on standard error, 2 for the command
/// line, 1 for the contents of the file, 5 where it cannot be read.
std::optional<int> parseTrainCommandLine(int argc, char **argv, TrainOptions &options);

/// Applies the TOML text of file `name` to `options`. Errors (exit 1) name file, line and key; an unknown key with the
/// nearest known one.
Status applyConfiguration(TrainOptions &options, std::string_view toml, const std::string &name);

/// The effective configuration as TOML: every option but the modes of this one call. applyConfiguration reads it back.
std::string writeConfiguration(const TrainOptions &options);

/// The options that change numbers, as one JSON object with sorted keys (state.json, and to compare runs).
std::string numericalConfiguration(const TrainOptions &options);

} // namespace bpt
