// Launches: blocks on host threads, their reports in block order.
#include "Block.h"
#include "bpt/Runtime/Threads.h"
#include <algorithm>
#include <atomic>
#include <fmt/format.h>
#include <mutex>
#include <thread>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace bpt::emulator {

const char *toString(ReportKind kind) {
  static const char *const names[] = {"BadLaunch",
                                      "Deadlock",
                                      "MissingWait",
                                      "MissingCommit",
                                      "MissingWgmmaFence",
                                      "UnobservedCopy",
                                      "StageReusedEarly",
                                      "UninitialisedRead",
                                      "OutOfBounds",
                                      "Misaligned",
                                      "DataRace",
                                      "MissingProxyFence",
                                      "BadDescriptor",
                                      "NonUniformOperands",
                                      "DivergentCollective",
                                      "BarrierMisuse",
                                      "BadMbarrier",
                                      "TooManyArrivals",
                                      "TransactionMismatch",
                                      "StoreSourceOverwritten",
                                      "OutstandingWork",
                                      "BadTensorMap",
                                      "TooManyRegisters",
                                      "Trap",
                                      "Unsupported"};
  return names[int(kind)];
}

std::string toString(const Report &report) {
  std::string who = report.thread < 0 ? "" : fmt::format(" warp {} thread {}", report.warp, report.thread);
  return fmt::format("{} block ({}, {}, {}){} at {}: {}: {}", report.kernel, report.block[0], report.block[1],
                     report.block[2], who, report.location, toString(report.kind), report.text);
}

/// Sets how this thread's floating-point unit treats denormals, and puts it back.
class DenormalMode {
public:
#if defined(__x86_64__)
  explicit DenormalMode(bool flush) : saved(_mm_getcsr()) { _mm_setcsr(flush ? saved | 0x8040 : saved); }
  ~DenormalMode() { _mm_setcsr(saved); }

private:
  uint32_t saved;
#else
  explicit DenormalMode(bool) {}
#endif
};

/// Blocks keep their stacks and shared memory from launch to launch.
class BlockPool {
public:
  std::unique_ptr<Block> take() {
    std::lock_guard lock(mutex);
    if (idle.empty())
      return std::make_unique<Block>();
    std::unique_ptr<Block> block = std::move(idle.back());
    idle.pop_back();
    return block;
  }
  void give(std::unique_ptr<Block> block) {
    std::lock_guard lock(mutex);
    idle.push_back(std::move(block));
  }
  static BlockPool &get() {
    static BlockPool pool;
    return pool;
  }

private:
  std::mutex mutex;
  std::vector<std::unique_ptr<Block>> idle;
};

static LaunchResult refuse(const Launch &launch, std::string text) {
  LaunchResult result;
  Report report;
  report.kernel = launch.name;
  report.location = "launch";
  report.text = std::move(text);
  result.reports.push_back(std::move(report));
  result.reportCount = 1;
  return result;
}

LaunchResult run(const Launch &launch, const Options &options) {
  uint64_t threads = uint64_t(launch.block[0]) * launch.block[1] * launch.block[2];
  uint64_t blocks = uint64_t(launch.grid[0]) * launch.grid[1] * launch.grid[2];
  if (!launch.function)
    return refuse(launch, "expected a kernel");
  if (threads == 0 || threads > maxBlockThreads)
    return refuse(launch, fmt::format("expected 1 to {} threads a block, but got {}", maxBlockThreads, threads));
  if (blocks == 0 || launch.grid[0] > 0x7fffffff || launch.grid[1] > 65535 || launch.grid[2] > 65535)
    return refuse(
        launch,
        fmt::format(
            "expected a grid of at least one block and at most (2147483647, 65535, 65535), but got ({}, {}, {})",
            launch.grid[0], launch.grid[1], launch.grid[2]));
  if (launch.sharedBytes > maxDynamicBytes)
    return refuse(launch, fmt::format("expected at most {} bytes of dynamic shared memory, but got {}", maxDynamicBytes,
                                      launch.sharedBytes));
  uint64_t first = std::min(options.firstBlock, blocks), count = std::min(options.blocks, blocks - first);
  int workers = options.hostThreads > 0 ? options.hostThreads : availableProcessors();
  workers = int(std::min<uint64_t>(uint64_t(workers), std::max<uint64_t>(count, 1)));

  std::vector<GlobalMemory::Impl::Region *> regions;
  if (options.memory)
    regions = options.memory->implementation().list();
  LaunchResult result;
  std::mutex mutex;
  std::atomic<uint64_t> next{0};
  std::atomic<bool> stop{false};
  std::vector<std::pair<uint64_t, Report>> found;
  auto work = [&] {
    DenormalMode mode(options.flushDenormals);
    std::unique_ptr<Block> block = BlockPool::get().take();
    LaunchResult part;
    std::vector<std::pair<uint64_t, Report>> reports;
    for (uint64_t i; !stop && (i = next++) < count;) {
      block->reports.clear();
      block->reportCount = 0;
      // A block that is stuck or has touched memory that is not its own ends the launch, as on the GPU.
      if (block->run(launch, options, first + i, regions))
        ++part.blocks;
      else
        stop = true;
      part.reportCount += block->reportCount;
      part.wgmmas += block->wgmma.operations();
      part.copiedBytes += block->copies.takeBytes();
      for (Report &report : block->reports)
        reports.emplace_back(i, std::move(report));
    }
    BlockPool::get().give(std::move(block));
    std::lock_guard lock(mutex);
    result.blocks += part.blocks;
    result.reportCount += part.reportCount;
    result.wgmmas += part.wgmmas;
    result.copiedBytes += part.copiedBytes;
    std::move(reports.begin(), reports.end(), std::back_inserter(found));
  };
  std::vector<std::thread> others;
  for (int i = 1; i < workers; ++i)
    others.emplace_back(work);
  work();
  for (std::thread &other : others)
    other.join();
  std::stable_sort(found.begin(), found.end(), [](auto &a, auto &b) { return a.first < b.first; });
  for (auto &entry : found)
    if (result.reports.size() < options.maxReports)
      result.reports.push_back(std::move(entry.second));
  return result;
}

} // namespace bpt::emulator
