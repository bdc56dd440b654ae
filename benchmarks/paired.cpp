// bpt-paired OBJECT.so..: how fast an entry of each object is beside the machine's own rate in the same milliseconds.
// Short runs of the objects and of the loops of rates.h take turns on the same threads, since the clock and the
// neighbours of a shared machine change within seconds. The loops run on as many threads as the object that has most.
// One line of JSON an object:
// {"seconds":..,"peak_flops":..,"tile_flops":..,"speed":..,"runs":..}: medians of the time of a run, of the FLOPs that
// the multiply-add units and the bare register tile do in such a time, and of the first object's time / this one's.
#include "bpt/Runtime/CommandLine.h"
#include "bpt/Runtime/Program.h"
#include "bpt/Runtime/RunCommand.h"
#include "bpt/Runtime/Threads.h"
#include "rates.h"
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>

using namespace bpt;

static double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

static double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

namespace {
/// FLOPs a second, of all threads.
struct Rates {
  double peak, tile;
};

/// The loops, each for about so many milliseconds at a time.
template <int lanes> class Loops {
public:
  explicit Loops(int threads) : pool(threads), tiles(threads) {}
  Rates measure(int milliseconds) {
    const int additions = 500'000 * milliseconds, panels = 60 * milliseconds;
    auto rate = [&](double flops, const std::function<void(int)> &work) {
      double start = now();
      pool.parallelFor(pool.threads(), [&](int64_t item, int) { work(static_cast<int>(item)); });
      return flops * pool.threads() / (now() - start);
    };
    using Additions = MultiplyAdds<lanes>;
    return {rate(Additions::flops * additions, [&](int) { Additions::run(additions); }),
            rate(RegisterTiles<lanes>::flops * panels, [&](int thread) { tiles[thread].run(panels); })};
  }

private:
  ThreadPool pool;
  std::vector<RegisterTiles<lanes>> tiles;
};

/// One object, and what its runs took.
struct Contestant {
  explicit Contestant(EntryRun run) : run(std::move(run)) {}

  EntryRun run;
  double fastest = 1e30; ///< seconds of a run before the turns
  int together = 1;      ///< runs of a turn
  std::vector<double> seconds, peakFlops, tileFlops, speed;

  /// The seconds of a run.
  Expected<double> take() {
    double start = now();
    for (int i = 0; i < together; ++i)
      if (Status done = run.execute(); !done)
        return done.error();
    return (now() - start) / together;
  }
};
} // namespace

/// Turns until `limit` seconds are over, the first object of each another one; each has `leastTurns` in any case.
template <int lanes> static Status takeTurns(std::vector<Contestant> &contestants, int threads, double limit) {
  constexpr double turn = 0.006;
  constexpr size_t leastTurns = 3; // a median of fewer is worth nothing
  Loops<lanes> loops(threads);
  for (Contestant &contestant : contestants) {
    double warm = now() + 0.1;
    do {
      Expected<double> one = contestant.take();
      if (!one)
        return one.error();
      contestant.fastest = std::min(contestant.fastest, *one);
    } while (now() < warm);
    contestant.together = std::max(1, static_cast<int>(turn / contestant.fastest));
  }
  // Long runs see more of the neighbours, and so must the loops.
  double longest = 0;
  for (const Contestant &contestant : contestants)
    longest = std::max(longest, contestant.fastest);
  int milliseconds = std::clamp(static_cast<int>(longest * 50), 2, 100);
  size_t count = contestants.size();
  double end = now() + limit;
  Rates before = loops.measure(milliseconds);
  for (size_t round = 0; round < leastTurns || now() < end; ++round) {
    std::vector<double> times(count);
    for (size_t i = 0; i < count; ++i) {
      size_t which = (round + i) % count;
      Contestant &own = contestants[which];
      Expected<double> seconds = own.take();
      if (!seconds)
        return seconds.error();
      Rates after = loops.measure(milliseconds);
      times[which] = *seconds;
      own.seconds.push_back(*seconds);
      own.peakFlops.push_back(*seconds * (before.peak + after.peak) / 2);
      own.tileFlops.push_back(*seconds * (before.tile + after.tile) / 2);
      before = after;
    }
    for (size_t i = 0; i < count; ++i)
      contestants[i].speed.push_back(times[0] / times[i]);
  }
  return {};
}

int main(int argc, char **argv) {
  CLI::App app("Times entries of objects made by bpt-compile in turns with the machine's peak.", "bpt-paired");
  std::vector<std::string> objects;
  RunRequest request;
  double limit = 1;
  bool avx2 = false;
  app.add_option("OBJECT.so", objects, "shared objects made by bpt-compile --emit=so")->required();
  app.add_option("--entry", request.entry, "function to run")->type_name("NAME")->default_str("the only one");
  app.add_option("--inputs", request.inputs, "safetensors file with arguments by name")->default_str("all are random");
  std::vector<int> threads;
  app.add_option("--threads", threads, "number of threads, or one for each object: 2,1")
      ->delimiter(',')
      ->check(CLI::PositiveNumber)
      ->default_str("OMP_NUM_THREADS, else the processors");
  app.add_option("--seconds", limit, "seconds of turns")->check(CLI::PositiveNumber)->capture_default_str();
  app.add_flag("--avx2", avx2, "the machine's rates with vectors of 256 bits");
  if (std::optional<int> code = parseCommandLine(app, argc, argv))
    return *code;
  if (threads.size() > 1 && threads.size() != objects.size())
    return reportError(app.get_name(), usageError("expected one --threads, or as many as there are objects"));
  request.ompNumThreads = std::getenv("OMP_NUM_THREADS");
  std::string warnings;
  std::vector<Contestant> contestants;
  int mostThreads = 1;
  for (size_t i = 0; i < objects.size(); ++i) {
    if (!threads.empty())
      request.threads = threads[threads.size() > 1 ? i : 0];
    Expected<Program> program = Program::open(objects[i]);
    if (!program)
      return reportError(app.get_name(), program.error());
    Expected<EntryRun> run = EntryRun::start(*program, request, warnings);
    if (!run)
      return reportError(app.get_name(), run.error());
    contestants.emplace_back(run.take());
    mostThreads = std::max(mostThreads, contestants.back().run.report().threads);
  }
  std::fputs(warnings.c_str(), stderr);
  constexpr int shortLanes = std::min(nativeLanes, 8);
  Status done = avx2 ? takeTurns<shortLanes>(contestants, mostThreads, limit)
                     : takeTurns<nativeLanes>(contestants, mostThreads, limit);
  if (!done)
    return reportError(app.get_name(), done.error());
  for (const Contestant &own : contestants)
    std::printf("{\"seconds\":%.9g,\"peak_flops\":%.6g,\"tile_flops\":%.6g,\"speed\":%.4f,\"runs\":%zu}\n",
                median(own.seconds), median(own.peakFlops), median(own.tileFlops), median(own.speed),
                own.seconds.size() * own.together);
}
