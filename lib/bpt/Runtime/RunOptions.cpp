// The flags shared by bpt-exec and bpt-run.
#include "bpt/Runtime/RunCommand.h"
#include "bpt/Runtime/Sizes.h"
#include "bpt/Runtime/Threads.h"
#include <CLI/CLI.hpp>
#include <charconv>
#include <fmt/format.h>

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

} // namespace

void addRunOptions(CLI::App &app, RunRequest &request) {
  app.add_option("--entry", request.entry, "function to run")->type_name("NAME")->default_str("the only one");
  app.add_option("--inputs", request.inputs, "safetensors file with arguments by name; the others are random")
      ->type_name("FILE")
      ->default_str("none");
  app.add_option("--outputs", request.outputs, "safetensors file to write the results to")
      ->type_name("FILE")
      ->default_str("none");
  app.add_option_function<std::vector<std::string>>(
         "--shape",
         [&request](const std::vector<std::string> &texts) {
           for (const std::string &text : texts)
             if (!parseShape(text, request.shapes))
               throw CLI::ValidationError("--shape", "expected NAME=2x128x64, but got " + text);
         },
         "sizes of a random argument with dynamic dimensions, as in x=2x128x64; once per argument")
      ->type_name("NAME=SIZES")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->default_str("none");
  app.add_option("--threads", request.threads, "number of threads")
      ->type_name("N")
      ->check(CLI::Range(1, maxThreads))
      ->default_str("OMP_NUM_THREADS, else the processors");
  app.add_option("--seed", request.seed, "seed of random arguments: floats N(0,1), integers in [0, range)")
      ->type_name("N")
      ->default_str("0");
  app.add_option("--bench", request.bench, "run N more times after the first and report the median time in seconds")
      ->type_name("N")
      ->check(CLI::Range(1, 1000000000))
      ->default_str("no benchmark");
  app.add_option_function<std::string>(
         "--memory",
         [&request](const std::string &text) {
           Expected<int64_t> bytes = parseBytes(text);
           if (!bytes || *bytes == 0)
             throw CLI::ValidationError("--memory", bytes ? "expected more than 0 bytes" : bytes.error().message);
           request.memoryLimit = *bytes;
         },
         "most bytes the arena may have (512MiB, 1.5GB, 2g, or plain bytes); a larger plan is refused with exit code 4")
      ->type_name("BYTES")
      ->default_str("no limit");
  app.add_flag("--plan", request.plan, "print the memory plan for these arguments and do not run");
  app.add_flag("--json", request.json, "print JSON");
}

} // namespace bpt
