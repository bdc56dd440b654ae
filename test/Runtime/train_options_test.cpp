// Options of a training run: command line, TOML file, effective configuration. One table serves all three.
#include "TestFiles.h"
#include "bpt/Runtime/TrainOptions.h"
#include <nlohmann/json.hpp>
#include <set>

using namespace bpt;

namespace {

struct Parsed {
  std::optional<int> code; ///< set when the tool should end
  TrainOptions options;
  std::string errors, printed;
};

Parsed parse(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), "bpt-train");
  std::vector<char *> argv;
  for (std::string &argument : arguments)
    argv.push_back(argument.data());
  Parsed result;
  testing::internal::CaptureStderr();
  testing::internal::CaptureStdout();
  result.code = parseTrainCommandLine(static_cast<int>(argv.size()), argv.data(), result.options);
  result.errors = testing::internal::GetCapturedStderr();
  result.printed = testing::internal::GetCapturedStdout();
  return result;
}

void expectMistake(const std::vector<std::string> &arguments, int code, const std::string &text) {
  Parsed result = parse(arguments);
  ASSERT_TRUE(result.code.has_value()) << text;
  EXPECT_EQ(*result.code, code);
  EXPECT_NE(result.errors.find(text), std::string::npos) << result.errors;
}

Status configure(const std::string &toml, TrainOptions &options) {
  return applyConfiguration(options, toml, "run.toml");
}
Status configure(const std::string &toml) {
  TrainOptions options;
  return configure(toml, options);
}

} // namespace

TEST(TrainOptions, FlagsSetWhatTheyName) {
  Parsed p = parse({"--model=llama", "--preset=x", "--layers=3", "--kv-heads=2", "--tied=false", "--dropout=0.1",
                    "--tokens=t.bin", "--token-type=llmc", "--lr=3e-4", "--min-lr=1e-5", "--memory=6GiB", "--seed=9",
                    "--resume", "--json"});
  ASSERT_FALSE(p.code) << p.errors;
  EXPECT_EQ(p.options.model, "llama");
  EXPECT_EQ(p.options.layers, 3);
  EXPECT_EQ(p.options.kvHeads, 2);
  EXPECT_EQ(p.options.tied, false);
  EXPECT_EQ(p.options.dropout, 0.1);
  EXPECT_EQ(p.options.lr, 3e-4);
  EXPECT_EQ(p.options.minimumRate(), 1e-5);
  EXPECT_EQ(p.options.memory, int64_t(6) << 30);
  EXPECT_TRUE(p.options.resume && p.options.json);
  EXPECT_FALSE(p.options.heads);
}

TEST(TrainOptions, OnlyTheTokensHaveNoDefault) {
  expectMistake({}, 2, "--tokens is missing");
  Parsed p = parse({"--tokens=t"});
  ASSERT_FALSE(p.code) << p.errors;
  EXPECT_EQ(p.options.model, "gpt");
  EXPECT_EQ(p.options.lastStep(), p.options.steps);
}

TEST(TrainOptions, TheGraphIsPositional) {
  Parsed p = parse({"graph.mlir", "--tokens=t"});
  ASSERT_FALSE(p.code) << p.errors;
  EXPECT_EQ(p.options.graph, "graph.mlir");
  EXPECT_EQ(p.options.model, "");
  expectMistake({"graph.mlir", "--tokens=t", "--layers=2"}, 2, "--layers is for models that are built");
}

TEST(TrainOptions, StopAtEndsEarlierThanSteps) {
  TrainOptions options;
  options.steps = 40;
  for (auto [stop, last] : {std::pair<int64_t, int64_t>{0, 40}, {13, 13}, {40, 40}, {50, 40}}) {
    options.stopAt = stop;
    EXPECT_EQ(options.lastStep(), last);
  }
}

TEST(TrainOptions, MistakesNameFlagAndRemedy) {
  expectMistake({"--tokens=t", "--learning-rate=1"}, 2, "--learning-rate");
  expectMistake({"--tokens=t", "--min_lr=1"}, 2, "did you mean --min-lr");
  expectMistake({"--tokens=t", "--steps=ten"}, 2, "--steps: expected a whole number of at least 0, but got 'ten'");
  expectMistake({"--tokens=t", "--steps=-1"}, 2, "but got '-1'");
  expectMistake({"--tokens=t", "--lr=1e30"}, 2, "--lr: expected a number from 0 to 4.6116");
  expectMistake({"--tokens=t", "--lr=nan"}, 2, "--lr: expected a number of at least 0, but got 'nan'");
  expectMistake({"--tokens=t", "--lr=1e400"}, 2, "--lr");
  expectMistake({"--tokens=t", "--beta2=1"}, 2, "--beta2: expected a number from 0 to");
  expectMistake({"--tokens=t", "--token-type=u17"}, 2, "one of auto, u8, u16, u32, llmc, but got 'u17'; did you mean");
  expectMistake({"--tokens=t", "--memory=6Gb"}, 2, "--memory");
  expectMistake({"--tokens=t", "--min-lr=1", "--lr=0.1"}, 2, "expected --min-lr to be at most --lr");
}

TEST(TrainOptions, HelpShowsEveryFlagWithUnitAndDefault) {
  Parsed p = parse({"--help"});
  EXPECT_EQ(p.code, 0);
  for (const OptionSpec &spec : trainOptionSpecs()) {
    std::string flag = std::string("--") + spec.flag + (*spec.unit ? std::string("=") + spec.unit : "");
    size_t at = p.printed.find("  " + flag);
    ASSERT_NE(at, std::string::npos) << flag;
    std::string entry = p.printed.substr(at, p.printed.find("\n  -", at) - at);
    EXPECT_NE(entry.find(spec.help), std::string::npos) << entry;
    if (*spec.unit)
      EXPECT_NE(entry.find("["), std::string::npos) << entry;
  }
}

TEST(TrainOptions, TheContractsFlagsAreThere) {
  std::set<std::string> flags;
  for (const OptionSpec &spec : trainOptionSpecs())
    flags.insert(spec.flag);
  for (const char *flag : {"tokens",        "token-type",   "valid-tokens", "valid-every",
                           "valid-batches", "steps",        "stop-at",      "batch",
                           "context",       "accumulate",   "lr",           "min-lr",
                           "warmup",        "weight-decay", "beta1",        "beta2",
                           "eps",           "clip",         "seed",         "init",
                           "target",        "strategy",     "block",        "keep-activations",
                           "memory",        "threads",      "out",          "checkpoint-every",
                           "keep",          "resume",       "sample-every", "profile",
                           "dry-run",       "json",         "model",        "config",
                           "layers",        "heads",        "kv-heads",     "embed",
                           "hidden",        "vocab",        "dtype",        "dropout",
                           "position",      "tied",         "bias",         "rope-theta",
                           "norm-eps",      "preset"})
    EXPECT_TRUE(flags.count(flag)) << flag;
}

TEST(TrainConfiguration, KeysAreFlagsWithUnderscores) {
  TrainOptions options;
  ASSERT_OK(configure(
      "model = \"gpt\"\nmin_lr = 1e-5\nlr = 1\nmemory = \"1.5GiB\"\ntied = true\nthreads = 3\nweight_decay = 0\n",
      options));
  EXPECT_EQ(options.minLr, 1e-5);
  EXPECT_EQ(options.lr, 1.0);
  EXPECT_EQ(options.memory, (int64_t(3) << 30) / 2);
  EXPECT_EQ(options.tied, true);
  EXPECT_EQ(options.threads, 3);
  ASSERT_OK(configure("memory = 4096", options));
  EXPECT_EQ(options.memory, 4096);
}

TEST(TrainConfiguration, MistakesNameLineAndRemedy) {
  EXPECT_ERROR(configure("steps = 5\n\nlearing_rate = 1"), ExitCode::BadInput,
               "run.toml:3: unknown key 'learing_rate'");
  EXPECT_ERROR(configure("warm_up = 5"), ExitCode::BadInput, "did you mean warmup?");
  EXPECT_ERROR(configure("min-lr = 5"), ExitCode::BadInput, "did you mean min_lr?");
  EXPECT_ERROR(configure("config = \"x\""), ExitCode::BadInput, "unknown key");
  EXPECT_ERROR(configure("[train]\nsteps = 1"), ExitCode::BadInput, "run.toml:1");
  EXPECT_ERROR(configure("\nsteps = \"5\""), ExitCode::BadInput, "run.toml:2: steps: expected a whole number");
  EXPECT_ERROR(configure("steps = 5.5"), ExitCode::BadInput, "expected a whole number");
  EXPECT_ERROR(configure("resume = 1"), ExitCode::BadInput, "expected true or false");
  EXPECT_ERROR(configure("memory = \"6Gb\""), ExitCode::BadInput, "run.toml:1");
  EXPECT_ERROR(configure("steps = -5"), ExitCode::BadInput, "run.toml:1");
  EXPECT_ERROR(configure("steps = 1\nsteps = 2"), ExitCode::BadInput, "run.toml:2");
  EXPECT_ERROR(configure("steps = = 2"), ExitCode::BadInput, "run.toml:1");
}

TEST(TrainConfiguration, TheFirstMistakeInTheFileIsReported) {
  EXPECT_ERROR(configure("zebra = 1\nant = 2"), ExitCode::BadInput, "run.toml:1: unknown key 'zebra'");
}

TEST(TrainConfiguration, TheCommandLineWins) {
  TemporaryFolder folder;
  writeBytes(folder.file("run.toml"), "tokens = \"a\"\nsteps = 5\nlr = 0.5\n");
  Parsed p = parse({"--steps=7", "--config=" + folder.file("run.toml")});
  ASSERT_FALSE(p.code) << p.errors;
  EXPECT_EQ(p.options.steps, 7);
  EXPECT_EQ(p.options.lr, 0.5);
  EXPECT_EQ(p.options.tokens, "a");
  expectMistake({"--config=" + folder.file("none.toml")}, 5, "none.toml");
  writeBytes(folder.file("bad.toml"), "stepps = 5");
  expectMistake({"--config=" + folder.file("bad.toml")}, 1, "did you mean steps?");
}

TEST(TrainConfiguration, TheEffectiveConfigurationReadsBack) {
  TrainOptions options;
  options.model = "gpt";
  options.tokens = "a \"quoted\" \\ name\n\x01 \xc3\xa9";
  options.lr = 1;
  options.minLr = 1.0 / 3;
  options.eps = 1e-12;
  options.memory = 12345;
  options.layers = 7;
  options.bias = false;
  options.dropout = 0;
  options.stopAt = 3;
  TrainOptions back;
  std::string text = writeConfiguration(options);
  ASSERT_OK(configure(text, back));
  for (const OptionSpec &spec : trainOptionSpecs())
    EXPECT_EQ(optionText(back, spec), optionText(options, spec)) << spec.flag << "\n" << text;
}

TEST(TrainConfiguration, ModesOfOneCallAreNotPartOfIt) {
  TrainOptions options;
  options.resume = options.dryRun = options.json = options.profile = true;
  TrainOptions back;
  ASSERT_OK(configure(writeConfiguration(options), back));
  EXPECT_FALSE(back.resume || back.dryRun || back.json || back.profile);
}

TEST(TrainConfiguration, NumericalConfigurationIgnoresHowARunIsRun) {
  TrainOptions a, b;
  b.threads = 7;
  b.out = "elsewhere";
  b.stopAt = 5;
  b.keep = 9;
  b.memory = 1;
  EXPECT_EQ(numericalConfiguration(a), numericalConfiguration(b));
  b.lr = 0.1;
  EXPECT_NE(numericalConfiguration(a), numericalConfiguration(b));
  EXPECT_EQ(nlohmann::json::parse(numericalConfiguration(b))["lr"], 0.1);
}
