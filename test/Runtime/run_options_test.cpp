// The command line of bpt-exec and bpt-run: values, units, and mistakes that end with exit code 2.
#include "TestFiles.h"
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/RunCommand.h"
#include <CLI/CLI.hpp>

using namespace bpt;

namespace {

struct Parsed {
  RunRequest request;
  std::optional<int> exitCode;
  std::string out, err;
};

Parsed parse(std::vector<std::string> arguments) {
  Parsed parsed;
  CLI::App app("Test.", "tool");
  addRunOptions(app, parsed.request);
  arguments.insert(arguments.begin(), "tool");
  std::vector<char *> argv;
  for (std::string &argument : arguments)
    argv.push_back(argument.data());
  ::testing::internal::CaptureStdout();
  ::testing::internal::CaptureStderr();
  parsed.exitCode = parseCommandLine(app, static_cast<int>(argv.size()), argv.data());
  parsed.out = ::testing::internal::GetCapturedStdout();
  parsed.err = ::testing::internal::GetCapturedStderr();
  return parsed;
}

} // namespace

TEST(RunOptions, ValuesAndUnits) {
  Parsed parsed =
      parse({"--entry=loss.grad", "--inputs=a", "--outputs=b", "--threads=7", "--seed=18446744073709551615",
             "--bench=20", "--memory=1.5GiB", "--json", "--plan", "--shape=x=2x128x64", "--shape=a=b=3", "--shape=s="});
  ASSERT_FALSE(parsed.exitCode) << parsed.err;
  const RunRequest &request = parsed.request;
  EXPECT_EQ(request.entry, "loss.grad");
  EXPECT_EQ(request.inputs, "a");
  EXPECT_EQ(request.outputs, "b");
  EXPECT_EQ(request.threads, 7);
  EXPECT_EQ(request.seed, UINT64_MAX);
  EXPECT_EQ(request.bench, 20);
  EXPECT_EQ(request.memoryLimit, int64_t(3) << 29);
  EXPECT_TRUE(request.json && request.plan);
  EXPECT_EQ(request.shapes, (std::map<std::string, Shape>{{"x", {2, 128, 64}}, {"a=b", {3}}, {"s", {}}}));
}

TEST(RunOptions, MistakesAreUsageErrors) {
  std::pair<const char *, const char *> cases[] = {
      {"--threads=0", "--threads: expected an integer from 1 to 1024, but got '0'"},
      {"--threads=1025", "--threads: expected an integer from 1 to 1024"},
      {"--threads=two", "but got 'two'"},
      {"--seed=-1", "--seed: expected an integer from 0 to 18446744073709551615, but got '-1'"},
      {"--bench=1e3", "--bench: expected an integer"},
      {"--memory=lots", "--memory: expected a size such as"},
      {"--memory=0", "--memory: expected more than 0 bytes"},
      {"--shape=x", "--shape: expected NAME=2x128x64, but got 'x'"},
      {"--shape=x=2x", "--shape: expected NAME=2x128x64"},
      {"--shape=x=-2", "--shape: expected NAME=2x128x64"},
      {"--thread=3", "unknown argument '--thread=3'; did you mean --threads; see --help"},
      {"--inptus=a", "did you mean --inputs"},
      {"extra", "unknown argument 'extra'"},
  };
  for (auto [argument, message] : cases) {
    Parsed parsed = parse({argument});
    EXPECT_EQ(parsed.exitCode, 2) << argument;
    EXPECT_EQ(parsed.err.rfind("tool: error: ", 0), 0u) << parsed.err;
    EXPECT_NE(parsed.err.find(message), std::string::npos) << parsed.err;
  }
}

TEST(RunOptions, HelpShowsEveryFlagWithUnitAndDefault) {
  Parsed parsed = parse({"--help"});
  EXPECT_EQ(parsed.exitCode, 0);
  for (const char *text : {"--entry=NAME", "--inputs=FILE", "--outputs=FILE", "--shape=NAME=SIZES", "--threads=N",
                           "--seed=N", "[0]", "--bench=N", "--memory=BYTES", "[no limit]", "--plan", "--json",
                           "--version", "[OMP_NUM_THREADS, else the processors]"})
    EXPECT_NE(parsed.out.find(text), std::string::npos) << text << "\n" << parsed.out;
}

TEST(RunOptions, VersionNamesTheTool) {
  Parsed parsed = parse({"--version"});
  EXPECT_EQ(parsed.exitCode, 0);
  EXPECT_EQ(parsed.out.rfind("tool ", 0), 0u) << parsed.out;
}
