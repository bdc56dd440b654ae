// Where the time of compiled code goes: by op of the source program.
#pragma once
#include "bpt/Runtime/Manifest.h"
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

namespace bpt {

/// Times of the regions of a program compiled for profiling. Used from one thread.
class Profile {
public:
  /// `regions` outlive the profile.
  explicit Profile(const std::vector<RegionInfo> &regions);

  void beginRun();
  void endRun();
  /// A region of the manifest; others are ignored. Regions do not nest.
  void begin(int64_t region);
  void end(int64_t region);

  int64_t runs() const { return runCount; }
  /// One op of the source over all runs.
  struct Row {
    const RegionInfo *info = nullptr; ///< null: what no region covers
    int64_t calls = 0;
    double seconds = 0;
    int64_t flops = 0, bytes = 0; ///< 0: unknown or none
  };
  /// By time, longest first; only those that were called. Regions of the same op, function and place are one row.
  std::vector<Row> rows() const;
  /// Seconds of all runs.
  double seconds() const { return total; }

  /// The rows as a table for people: share, time, calls and rates of one run.
  std::string table() const;
  /// The rows as a JSON array: op function place calls seconds flops gflops bytes, of one run (seconds a mean).
  std::string json() const;
  /// The first runs as trace events, JSON that Perfetto and chrome://tracing open.
  std::string trace() const;

private:
  using Clock = std::chrono::steady_clock;
  struct Event {
    int64_t region; ///< -1: a run
    double start, seconds;
  };
  void record(int64_t region, Clock::time_point from);

  const std::vector<RegionInfo> &regions;
  std::vector<Row> totals;
  std::vector<Event> events;
  Clock::time_point origin = Clock::now(), runStart, regionStart;
  double total = 0;
  int64_t runCount = 0;
};

} // namespace bpt
