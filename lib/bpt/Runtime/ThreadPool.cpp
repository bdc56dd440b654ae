// The loop over a fixed number of threads, on GCC's OpenMP runtime: its threads stay awake for some milliseconds after
// a loop, and the loops of compiled code follow each other faster than that.
#include "FloatControl.h"
#include "bpt/Runtime/Threads.h"
#include <algorithm>
#include <pthread.h>
#include <utility>

// What `#pragma omp parallel` is to GCC (libgomp's ABI); clang would want a runtime of its own.
extern "C" void GOMP_parallel(void (*body)(void *), void *data, unsigned threads, unsigned flags);
extern "C" int omp_get_thread_num();

namespace bpt {

namespace {

/// The pool whose body this thread is running, if any.
thread_local const void *runningPool = nullptr;

class RunningIn {
public:
  explicit RunningIn(const void *pool) : previous(std::exchange(runningPool, pool)) {}
  ~RunningIn() { runningPool = previous; }

private:
  const void *previous;
};

/// Items are handed out in order, a few at a time; who gets which never matters to the result.
struct Loop {
  int64_t n, chunk;
  ThreadPool::Body body;
  void *closure;
  const ThreadPool *pool;
  uint32_t control; // all threads compute as the caller does
  alignas(64) std::atomic<int64_t> next{0};

  void work(int worker) {
    RunningIn running(pool);
    FloatControlScope scope(control);
    for (int64_t begin; (begin = next.fetch_add(chunk, std::memory_order_relaxed)) < n;)
      for (int64_t item = begin; item < std::min(begin + chunk, n); ++item)
        body(closure, item, worker);
  }
};

/// Set in a process forked from one that had run loops: libgomp would wait there for threads that only the parent has.
std::atomic<bool> isForked{false};

void watchForks() {
  static const int registered = ::pthread_atfork(nullptr, nullptr, [] { isForked = true; });
  (void)registered;
}

} // namespace

ThreadPool::ThreadPool(int threads) : count(std::clamp(threads, 1, maxThreads)) {}

bool ThreadPool::insideBody() const { return runningPool == this; }

void ThreadPool::run(int64_t n, Body body, void *closure) {
  if (n <= 0)
    return;
  bool nested = insideBody();
  if (nested || n == 1 || count == 1 || isForked) {
    RunningIn running(this);
    for (int64_t item = 0; item < n; ++item)
      body(closure, item, nested ? -1 : 0);
    return;
  }
  watchForks();
  // A team of the same size each time: libgomp keeps it.
  Loop loop{n, std::max<int64_t>(1, n / (std::min<int64_t>(count, n) * 32)), body, closure, this, getFloatControl()};
  GOMP_parallel([](void *data) { static_cast<Loop *>(data)->work(omp_get_thread_num()); }, &loop,
                static_cast<unsigned>(count), /*flags=*/0);
}

void ThreadPool::parallelFor(int64_t n, const std::function<void(int64_t, int)> &body) {
  run(
      n,
      [](void *closure, int64_t item, int worker) {
        (*static_cast<const std::function<void(int64_t, int)> *>(closure))(item, worker);
      },
      const_cast<std::function<void(int64_t, int)> *>(&body));
}

} // namespace bpt
