// Threads: every item once, scratch held by one thread at a time, nested loops, any number of threads.
#include "TestFiles.h"
#include "bpt/Runtime/Threads.h"
#include <atomic>
#include <cstring>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

using namespace bpt;

namespace {

/// A context with its scratch.
struct Context {
  explicit Context(int threads, int64_t stride = 64)
      : pool(threads), scratch(static_cast<size_t>(threads * stride) + 64) {
    auto address = reinterpret_cast<uintptr_t>(scratch.data());
    context.threads = &pool;
    context.scratch = reinterpret_cast<uint8_t *>((address + 63) / 64 * 64);
    context.scratchStride = stride;
  }
  ThreadPool pool;
  std::vector<uint8_t> scratch;
  bpt_context context;
};

} // namespace

TEST(ThreadPool, EachItemOnceForAnyNumberOfThreads) {
  for (int threads : {1, 2, 3, 8, 33})
    for (int64_t n : {0, 1, 2, 7, 1000, 5001}) {
      ThreadPool pool(threads);
      std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
      pool.parallelFor(n, [&](int64_t item, int worker) {
        ++seen[static_cast<size_t>(item)];
        EXPECT_GE(worker, 0);
        EXPECT_LT(worker, threads);
      });
      for (std::atomic<int> &count : seen)
        ASSERT_EQ(count, 1);
    }
}

TEST(ThreadPool, AWorkerIsHeldByOneThreadAtATime) {
  constexpr int threads = 8;
  ThreadPool pool(threads);
  std::vector<std::atomic<int>> inside(threads);
  for (int repeat = 0; repeat < 20; ++repeat)
    pool.parallelFor(400, [&](int64_t, int worker) {
      ASSERT_EQ(inside[static_cast<size_t>(worker)]++, 0);
      for (volatile int spin = 0; spin < 500; ++spin) {
      }
      --inside[static_cast<size_t>(worker)];
    });
}

TEST(ThreadPool, MoreThreadsThanProcessorsReallyRun) {
  int threads = availableProcessors() + 3;
  ThreadPool pool(threads);
  std::atomic<int> arrived{0};
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  // Every item waits for all the others: this ends only when each has a thread of its own.
  pool.parallelFor(threads, [&](int64_t, int) {
    ++arrived;
    while (arrived < threads && std::chrono::steady_clock::now() < deadline)
      std::this_thread::yield();
  });
  EXPECT_EQ(arrived, threads);
  EXPECT_LT(std::chrono::steady_clock::now(), deadline);
}

TEST(ThreadPool, LoopsRunInAForkedProcess) {
  ThreadPool pool(3);
  std::atomic<int> seen{0};
  pool.parallelFor(100, [&](int64_t, int) { ++seen; });
  pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::alarm(20);
    pool.parallelFor(100, [&](int64_t, int) { ++seen; });
    ::_exit(seen == 200 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(ParallelFor, ScratchIsAlignedAndOnesOwn) {
  Context context(4, 256);
  std::atomic<int> mistakes{0};
  auto body = [](void *closure, int64_t item, uint8_t *scratch) {
    auto &mistakes = *static_cast<std::atomic<int> *>(closure);
    mistakes += reinterpret_cast<uintptr_t>(scratch) % 64 != 0;
    std::memset(scratch, static_cast<int>(item % 251), 256);
    for (int repeat = 0; repeat < 20; ++repeat)
      for (int i = 0; i < 256; ++i)
        mistakes += static_cast<volatile uint8_t *>(scratch)[i] != item % 251;
  };
  bpt_parallel_for(&context.context, body, &mistakes, 2000);
  EXPECT_EQ(mistakes, 0);
}

TEST(ParallelFor, NestedLoopsRunSeriallyOnScratchOfTheirOwn) {
  static Context context(3, 64);
  std::atomic<int> items{0};
  auto outer = [](void *closure, int64_t, uint8_t *scratch) {
    std::memset(scratch, 1, 64);
    bpt_parallel_for(
        &context.context,
        [](void *closure, int64_t, uint8_t *inner) {
          std::memset(inner, 2, 64);
          ++*static_cast<std::atomic<int> *>(closure);
        },
        closure, 10);
    for (int i = 0; i < 64; ++i)
      ASSERT_EQ(scratch[i], 1);
  };
  bpt_parallel_for(&context.context, outer, &items, 50);
  EXPECT_EQ(items, 500);
  EXPECT_FALSE(context.context.scratchRefused);
}

TEST(ParallelFor, SharedScratchIsNotForNestedLoops) {
  static Context context(2, 64);
  static uint8_t shared[64];
  context.context.sharedScratch = shared;
  EXPECT_EQ(bpt_shared_scratch(&context.context), shared);
  std::atomic<int> given{0};
  auto body = [](void *closure, int64_t, uint8_t *) {
    *static_cast<std::atomic<int> *>(closure) += bpt_shared_scratch(&context.context) != nullptr;
  };
  bpt_parallel_for(&context.context, body, &given, 20);
  EXPECT_EQ(given, 0);
}

TEST(ParallelFor, NoItemsCallNothing) {
  Context context(2);
  auto body = [](void *, int64_t, uint8_t *) { FAIL(); };
  bpt_parallel_for(&context.context, body, nullptr, 0);
  bpt_parallel_for(&context.context, body, nullptr, -5);
}

TEST(RuntimeSymbols, ContainEveryFunctionOfTheABI) {
  const RuntimeSymbol *symbols = runtimeSymbols();
  ASSERT_NE(symbols->name, nullptr);
  EXPECT_STREQ(symbols[0].name, "bpt_parallel_for");
  EXPECT_EQ(symbols[0].address, reinterpret_cast<void *>(&bpt_parallel_for));
}

TEST(ChooseThreads, RequestComesFirst) {
  std::string warning;
  EXPECT_EQ(chooseThreads(5, "3", warning), 5);
  EXPECT_EQ(chooseThreads(100000, nullptr, warning), maxThreads);
  EXPECT_EQ(warning, "");
}

TEST(ChooseThreads, EnvironmentComesSecond) {
  std::string warning;
  EXPECT_EQ(chooseThreads(0, "3", warning), 3);
  EXPECT_EQ(chooseThreads(0, " 7 ", warning), 7);
  EXPECT_EQ(chooseThreads(0, "4,2", warning), 4);
  EXPECT_EQ(chooseThreads(0, nullptr, warning), availableProcessors());
  EXPECT_EQ(chooseThreads(0, "", warning), availableProcessors());
  EXPECT_EQ(warning, "");
}

TEST(ChooseThreads, JunkIsIgnoredWithAWarning) {
  for (const char *junk : {"0", "-1", "abc", "4x", "1.5", "99999999999999", "1025", ",2", "\x1b[31m"}) {
    std::string warning;
    EXPECT_EQ(chooseThreads(0, junk, warning), availableProcessors());
    EXPECT_NE(warning.find("OMP_NUM_THREADS: expected a number from 1 to 1024"), std::string::npos) << junk;
    EXPECT_EQ(warning.find('\x1b'), std::string::npos);
  }
}
