// Plans: slots evaluated for sizes and threads, scratch of the threads, the peak, the budget.
#include "TestFiles.h"
#include "bpt/Runtime/Plan.h"

using namespace bpt;

namespace {

Manifest manifestWith(std::vector<SlotInfo> slots, int64_t threadScratch = 0) {
  Manifest manifest;
  manifest.threadScratch = threadScratch;
  manifest.entries.emplace_back();
  manifest.entries[0].name = "f";
  manifest.entries[0].slots = std::move(slots);
  return manifest;
}

SlotInfo slot(const char *name, const char *kind, const char *bytes, int64_t first, int64_t last) {
  return {name, kind, Formula::parse(bytes).take(), first, last};
}

Expected<Plan> plan(const Manifest &manifest, std::vector<int64_t> dims, int threads) {
  return planEntry(manifest, manifest.entries[0], dims, threads);
}

} // namespace

TEST(Plan, SlotsAreEvaluatedForTheSizes) {
  Manifest manifest = manifestWith({slot("a", "activation", "d0 256 *", 0, 2), slot("b", "gradient", "d0 64 *", 2, 3)});
  Expected<Plan> small = plan(manifest, {1}, 1), large = plan(manifest, {100}, 1);
  ASSERT_OK(small);
  ASSERT_OK(large);
  EXPECT_EQ(small->arenaBytes, 320);
  EXPECT_EQ(large->arenaBytes, 32000);
  EXPECT_EQ(large->offsets.size(), 2u);
}

TEST(Plan, ScratchOfTheThreadsIsOneMoreSlot) {
  Manifest manifest = manifestWith({slot("a", "activation", "100", 1, 2)}, 100);
  Expected<Plan> planned = plan(manifest, {}, 3);
  ASSERT_OK(planned);
  EXPECT_EQ(planned->scratchStride, 128);
  EXPECT_EQ(planned->slots.size(), 2u);
  EXPECT_EQ(planned->slots[1].bytes, 3 * 128);
  EXPECT_EQ(planned->scratchOffset, planned->offsets[1]);
  EXPECT_EQ(planned->arenaBytes, 128 + 3 * 128);
}

TEST(Plan, SharedScratchLiesBehindThatOfTheThreads) {
  Manifest manifest = manifestWith({slot("a", "activation", "100", 1, 2)}, 100);
  manifest.sharedScratch = 1000;
  Expected<Plan> planned = plan(manifest, {}, 3);
  ASSERT_OK(planned);
  EXPECT_EQ(planned->slots[1].bytes, 3 * 128 + 1000);
  EXPECT_EQ(planned->sharedScratchOffset(), planned->scratchOffset + 3 * 128);
  EXPECT_GE(planned->arenaBytes, planned->sharedScratchOffset() + 1000);
  manifest.sharedScratch = INT64_MAX;
  EXPECT_ERROR(plan(manifest, {}, 3), ExitCode::BadInput, "does not fit in 63 bits");
}

TEST(Plan, ScratchSlotOfTheEntryIsUsed) {
  Manifest manifest = manifestWith({slot("scratch", "thread_scratch", "threads 100 *", 0, 9)}, 100);
  Expected<Plan> planned = plan(manifest, {}, 4);
  ASSERT_OK(planned);
  EXPECT_EQ(planned->slots.size(), 1u);
  EXPECT_EQ(planned->slots[0].bytes, 4 * 128);
}

TEST(Plan, AliveAtThePeakLargestFirst) {
  Manifest manifest = manifestWith({slot("small", "activation", "64", 0, 9), slot("before", "workspace", "256", 0, 4),
                                    slot("large", "workspace", "640", 5, 6), slot("none", "workspace", "0", 0, 9)});
  Expected<Plan> planned = plan(manifest, {}, 1);
  ASSERT_OK(planned);
  EXPECT_EQ(planned->peakTime, 5);
  EXPECT_EQ(planned->alivePeak(), (std::vector<size_t>{2, 0}));
  std::string table = formatPlan(*planned);
  EXPECT_NE(table.find("arena 704 B (704 bytes), 704 B alive at the peak (time 5), 1 thread\n"), std::string::npos)
      << table;
  EXPECT_NE(table.find("workspace               640 B  90.9 %  1 slot\n"), std::string::npos) << table;
  EXPECT_EQ(
      planJson(*planned),
      R"({"arena_bytes":704,"host_bytes":0,"lower_bound_bytes":704,"peak_time":5,"threads":1,"kinds":{"workspace":640,"activation":64},)"
      R"("alive":[{"name":"large","kind":"workspace","bytes":640,"offset":0,"first":5,"last":6},)"
      R"({"name":"small","kind":"activation","bytes":64,"offset":640,"first":0,"last":9}]})");
}

TEST(Plan, WhatIsOnTheHostLiesInAnArenaOfItsOwn) {
  Manifest manifest = manifestWith({slot("a", "activation", "640", 0, 2), slot("kept", "host", "d0 640 *", 2, 9),
                                    slot("also kept", "host", "64", 9, 10), slot("b", "activation", "64", 9, 10)});
  Expected<Plan> planned = plan(manifest, {2}, 1);
  ASSERT_OK(planned);
  EXPECT_EQ(planned->arenaBytes, 640);
  EXPECT_EQ(planned->hostBytes, 1280 + 64);
  EXPECT_EQ(planned->alivePeak(), std::vector<size_t>{0});
  EXPECT_NE(formatPlan(*planned).find("and 1.31 KiB in host memory"), std::string::npos);
  uint8_t arena[1], host[1];
  std::vector<int64_t> offsets = planned->offsetsFrom(arena, host);
  EXPECT_EQ(offsets[0], planned->offsets[0]);
  EXPECT_EQ(reinterpret_cast<intptr_t>(arena) + offsets[1], reinterpret_cast<intptr_t>(host) + planned->offsets[1]);
  EXPECT_EQ(formatPlanFormula(manifest, manifest.entries[0]).find("d0"), std::string::npos);
}

TEST(Plan, BadSizesNameTheSlot) {
  Manifest overflow = manifestWith({slot("big", "activation", "d0 d0 *", 0, 1)});
  EXPECT_ERROR(plan(overflow, {int64_t(1) << 40}, 1), ExitCode::BadInput, "entry 'f': slot 'big': formula 'd0 d0 *'");
  Manifest negative = manifestWith({slot("less", "activation", "d0 8 -", 0, 1)});
  EXPECT_ERROR(plan(negative, {3}, 1), ExitCode::BadInput, "slot 'less': formula 'd0 8 -' gives -5 bytes");
  Manifest scratch = manifestWith({}, int64_t(1) << 62);
  EXPECT_ERROR(plan(scratch, {}, 8), ExitCode::BadInput, "for each of 8 threads does not fit");
}

TEST(Plan, BudgetIsCheckedWithNumbers) {
  Manifest manifest = manifestWith({slot("a", "activation", "1000", 0, 1)});
  Plan planned = plan(manifest, {}, 1).take();
  ASSERT_OK(checkMemoryLimit(planned, "f", 0));
  ASSERT_OK(checkMemoryLimit(planned, "f", 1024));
  EXPECT_ERROR(checkMemoryLimit(planned, "f", 1023), ExitCode::Memory,
               "the plan of 'f' needs 1.00 KiB (1024 bytes), but the limit is 1023 B (1023 bytes)");
}
