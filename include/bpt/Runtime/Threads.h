// The threads of a program: how many, and the loop they run. Built on libgomp.
#pragma once
#include "bpt/Runtime/Error.h"
#include "bpt/Runtime/RuntimeABI.h"
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

namespace bpt {
class Device;
class Profile;

/// Largest number of threads accepted anywhere.
inline constexpr int maxThreads = 1024;

/// Processors this process may use: hardware threads, limited by the affinity mask and the cgroup's CPU quota; >= 1.
int availableProcessors();

/// The number of threads to use. `requested` > 0 is taken as it is (also above the number of processors). Otherwise
/// `ompNumThreads`, the value of OMP_NUM_THREADS or null, decides if it is a number in [1, maxThreads] (of a list
/// the first item); else availableProcessors(). A value that is not such a number is ignored with `warning` set.
int chooseThreads(int requested, const char *ompNumThreads, std::string &warning);

/// A fixed number of threads and the loop over them.
class ThreadPool {
public:
  explicit ThreadPool(int threads);
  ThreadPool(const ThreadPool &) = delete;
  ThreadPool &operator=(const ThreadPool &) = delete;

  int threads() const { return count; }

  using Body = void (*)(void *closure, int64_t item, int worker);

  /// Calls body(closure, item, worker) once for each item in [0, n); worker in [0, threads()) is held by one thread at
  /// a time. Items are started in order. Returns when all are done. A call from inside a body of the same pool runs
  /// serially with worker -1. Only one thread at a time may start a loop from outside. In a process forked after a loop was
  /// run, loops run on the calling thread alone.
  void run(int64_t n, Body body, void *closure);

  /// The same with a function object.
  void parallelFor(int64_t n, const std::function<void(int64_t item, int worker)> &body);

  /// True on a thread that is running a body of this pool.
  bool insideBody() const;

private:
  int count;
};

} // namespace bpt

/// What compiled code sees as its context: threads, and their scratch inside the arena.
struct bpt_context {
  bpt::ThreadPool *threads = nullptr;
  uint8_t *scratch = nullptr;      ///< of thread 0, aligned to 64
  int64_t scratchStride = 0;       ///< bytes per thread, a multiple of 64
  uint8_t *sharedScratch = nullptr; ///< of all threads together, aligned to 64
  bpt::Profile *profile = nullptr; ///< what profiled code reports to; null: to nobody
  bpt::Device *device = nullptr;   ///< runs the kernels; null: the code has none
  std::optional<bpt::Error> failure; ///< of a launch: the run is void
  /// Set when scratch for a nested loop could not be allocated: the run is void.
  std::atomic<bool> scratchRefused{false};
};
