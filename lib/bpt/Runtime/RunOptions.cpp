// The flags shared by bpt-exec and bpt-run.
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/RunCommand.h"
#include "bpt/Runtime/Sizes.h"
#include "bpt/Runtime/Threads.h"
#include <CLI/CLI.hpp>
#include <charconv>
#include <fmt/format.h>
#include <sstream>

namespace bpt {

namespace {

/// Adds "NAME=2x128x64" to `shapes`; "NAME=" is a scalar.
bool parseShape(const std::string &text, std::map<std::string, Shape> &shapes) {
  size_t equals = text.rfind('=');
  if (equals == std::string::npos || equals == 0)
    return false;
  Shape shape;
  const char *next = text.data() + equals + 1;
  const char *end = text.data() + text.size();
  while (next != end) {
    int64_t size = 0;
    auto [stop, failure] = std::from_chars(next, end, size);
    bool more = stop != end && *stop == 'x' && stop + 1 != end;
    if (failure != std::errc() || size < 0 || (stop != end && !more))
      return false;
    shape.push_back(size);
    next = more ? stop + 1 : stop;
  }
  shapes[text.substr(0, equals)] = shape;
  return true;
}

/// Adds `--flag=N`, an integer from `least` to `most`.
template <typename Int>
CLI::Option *addInteger(CLI::App &app, const std::string &flag, Int &value, Int least, Int most, const char *help) {
  auto parse = [flag, &value, least, most](const std::string &text) {
    Int number = 0;
    auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (failure != std::errc() || end != text.data() + text.size() || number < least || number > most)
      throw CLI::ValidationError(
          flag, fmt::format("expected an integer from {} to {}, but got {}", least, most, inQuotes(text)));
    value = number;
  };
  return app.add_option_function<std::string>(flag, parse, help)->type_name("N");
}

/// What the arguments are: --inputs --shape --seed.
void addArgumentOptions(CLI::App &app, RunRequest &request) {
  app.add_option("--inputs", request.inputs, "safetensors file with arguments by name; the others are random")
      ->type_name("FILE")
      ->default_str("none");
  app.add_option_function<std::vector<std::string>>(
         "--shape",
         [&request](const std::vector<std::string> &texts) {
           for (const std::string &text : texts)
             if (!parseShape(text, request.shapes))
               throw CLI::ValidationError("--shape", "expected NAME=2x128x64, but got " + inQuotes(text));
         },
         "sizes of a random argument that has dynamic ones, as in x=2x128x64; repeatable")
      ->type_name("NAME=SIZES")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->default_str("none");
  addInteger<uint64_t>(app, "--seed", request.seed, 0, UINT64_MAX,
                       "seed of random arguments: floats N(0,1), integers in [0, range)")
      ->default_str("0");
}

} // namespace

void addRunOptions(CLI::App &app, RunRequest &request) {
  app.add_option("--entry", request.entry, "function to run")->type_name("NAME")->default_str("the only one");
  addArgumentOptions(app, request);
  app.add_option(
         "--expected", request.expected,
         "safetensors file with results by name; one that is further away than its metadata tolerance.NAME is exit 1")
      ->type_name("FILE")
      ->default_str("none");
  app.add_option("--outputs", request.outputs, "safetensors file to write the results to")
      ->type_name("FILE")
      ->default_str("none");
  addInteger(app, "--threads", request.threads, 1, maxThreads, "number of threads")
      ->default_str("OMP_NUM_THREADS, else the processors");
  addInteger(app, "--bench", request.bench, 1, INT32_MAX,
             "run N more times after the first and report the median time in seconds")
      ->default_str("no benchmark");
  app.add_option_function<std::string>(
         "--memory",
         [&request](const std::string &text) {
           Expected<int64_t> bytes = parseBytes(text);
           if (!bytes || *bytes == 0)
             throw CLI::ValidationError("--memory", bytes ? "expected more than 0 bytes" : bytes.error().message);
           request.memoryLimit = *bytes;
         },
         "most bytes the arena may have, such as 512MiB, 1.5GB or 2g; a larger plan is exit 4")
      ->type_name("BYTES")
      ->default_str("no limit");
  app.add_flag("--plan", request.plan, "print the memory plan for these arguments and do not run");
  app.add_flag("--profile", request.profile,
               "report time, FLOPs and bytes by op: of the timed runs with --bench, else of the run");
  app.add_option("--trace", request.trace, "file for the profiled runs as a trace that Perfetto opens")
      ->type_name("FILE")
      ->default_str("none");
  app.add_flag("--json", request.json, "print JSON");
}

/// A line takes some hundreds of bytes.
static constexpr int64_t mostRunBytes = 16 << 20;

Expected<std::vector<RunRequest>> readRuns(const std::string &path, const RunRequest &base) {
  Expected<std::string> text = readFile(path, mostRunBytes);
  if (!text)
    return text.takeError();
  std::istringstream lines(*text);
  std::vector<RunRequest> runs;
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos)
      continue;
    RunRequest run = base;
    CLI::App app;
    addArgumentOptions(app, run);
    try {
      app.parse(line);
    } catch (const CLI::ParseError &mistake) {
      return badInput(
          fmt::format("{}:{}: {}; expected --inputs, --shape and --seed of a run", path, number, mistake.what()));
    }
    runs.push_back(std::move(run));
  }
  if (runs.empty())
    return badInput(path + ": expected a run on each line, but the file is empty");
  return runs;
}

} // namespace bpt
