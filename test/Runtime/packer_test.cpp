// The packer: never overlapping, never below the bound, close to optimal, the same every time, fast.
#include "TestFiles.h"
#include "bpt/Runtime/Packer.h"
#include <algorithm>
#include <chrono>
#include <numeric>
#include <random>

using namespace bpt;

namespace {

std::vector<Interval> randomIntervals(std::mt19937 &random, int count, int times, int64_t largest) {
  std::vector<Interval> intervals;
  for (int i = 0; i < count; ++i) {
    int64_t a = random() % times, b = random() % times;
    intervals.push_back({std::min(a, b), std::max(a, b), static_cast<int64_t>(random() % largest)});
  }
  return intervals;
}

void expectValid(const std::vector<Interval> &intervals, const Packing &packing) {
  ASSERT_EQ(packing.offsets.size(), intervals.size());
  int64_t top = 0;
  for (size_t i = 0; i < intervals.size(); ++i) {
    ASSERT_EQ(packing.offsets[i] % arenaAlignment, 0);
    ASSERT_GE(packing.offsets[i], 0);
    if (intervals[i].bytes > 0)
      top = std::max(top, packing.offsets[i] + *alignedSize(intervals[i].bytes));
    for (size_t j = 0; j < i; ++j) {
      bool together = intervals[i].first <= intervals[j].last && intervals[j].first <= intervals[i].last;
      bool apart = packing.offsets[i] + intervals[i].bytes <= packing.offsets[j] ||
                   packing.offsets[j] + intervals[j].bytes <= packing.offsets[i];
      ASSERT_TRUE(!together || apart || !intervals[i].bytes || !intervals[j].bytes) << i << " and " << j;
    }
  }
  EXPECT_EQ(packing.arenaBytes, top);
  EXPECT_GE(packing.arenaBytes, packing.lowerBound);
}

/// Smallest arena over all orders of placement at the lowest free offset: some order gives an optimal packing.
int64_t optimalBytes(const std::vector<Interval> &intervals) {
  std::vector<size_t> order(intervals.size());
  std::iota(order.begin(), order.end(), size_t(0));
  int64_t best = INT64_MAX;
  do {
    std::vector<int64_t> offsets(intervals.size());
    int64_t top = 0;
    for (size_t turn = 0; turn < order.size(); ++turn) {
      const Interval &mine = intervals[order[turn]];
      int64_t size = *alignedSize(mine.bytes);
      int64_t offset = 0;
      for (bool moved = true; moved;) {
        moved = false;
        for (size_t before = 0; before < turn; ++before) {
          const Interval &other = intervals[order[before]];
          int64_t begin = offsets[order[before]], end = begin + *alignedSize(other.bytes);
          if (mine.first <= other.last && other.first <= mine.last && offset < end && begin < offset + size) {
            offset = end;
            moved = true;
          }
        }
      }
      offsets[order[turn]] = offset;
      top = std::max(top, offset + size);
    }
    best = std::min(best, top);
  } while (std::next_permutation(order.begin(), order.end()));
  return best;
}

} // namespace

TEST(Packer, NothingNeedsNothing) {
  Expected<Packing> packing = packIntervals({});
  ASSERT_OK(packing);
  EXPECT_EQ(packing->arenaBytes, 0);
  EXPECT_EQ(packing->lowerBound, 0);
}

TEST(Packer, EmptyBuffersTakeNoSpace) {
  Expected<Packing> packing = packIntervals({{0, 9, 0}, {0, 9, 0}});
  ASSERT_OK(packing);
  EXPECT_EQ(packing->arenaBytes, 0);
}

TEST(Packer, BuffersAliveAtDifferentTimesShareSpace) {
  Expected<Packing> packing = packIntervals({{0, 1, 100}, {2, 3, 128}});
  ASSERT_OK(packing);
  EXPECT_EQ(packing->arenaBytes, 128);
}

TEST(Packer, LifetimesIncludeBothEnds) {
  Expected<Packing> packing = packIntervals({{0, 2, 64}, {2, 3, 64}});
  ASSERT_OK(packing);
  EXPECT_EQ(packing->arenaBytes, 128);
  EXPECT_EQ(packing->peakTime, 2);
}

TEST(Packer, PeakTimeIsTheFirstPeak) {
  Expected<Packing> packing = packIntervals({{0, 1, 64}, {3, 5, 64}, {4, 6, 64}, {9, 9, 128}});
  ASSERT_OK(packing);
  EXPECT_EQ(packing->lowerBound, 128);
  EXPECT_EQ(packing->peakTime, 4);
}

TEST(Packer, RandomProgramsAreValid) {
  std::mt19937 random(1);
  for (int program = 0; program < 10000; ++program) {
    std::vector<Interval> intervals = randomIntervals(random, 1 + random() % 24, 1 + random() % 30, 2000);
    Expected<Packing> packing = packIntervals(intervals);
    ASSERT_OK(packing);
    expectValid(intervals, *packing);
    if (HasFatalFailure())
      return;
  }
}

TEST(Packer, ABoundNeedsNoPlacement) {
  std::vector<Interval> intervals = {{0, 1, 64}, {3, 5, 64}, {4, 6, 64}, {9, 9, 100}};
  Expected<Packing> bound = packIntervals(intervals, PackEffort::Bound);
  ASSERT_OK(bound);
  EXPECT_EQ(bound->arenaBytes, 128);
  EXPECT_EQ(bound->lowerBound, 128);
  EXPECT_EQ(bound->peakTime, 4);
}

TEST(Packer, SmallProgramsAreNearlyOptimal) {
  std::mt19937 random(2);
  int optimal = 0;
  constexpr int programs = 400;
  for (int program = 0; program < programs; ++program) {
    std::vector<Interval> intervals = randomIntervals(random, 6, 8, 1000);
    int64_t best = optimalBytes(intervals);
    Expected<Packing> packing = packIntervals(intervals);
    ASSERT_OK(packing);
    ASSERT_GE(packing->arenaBytes, best);
    ASSERT_LE(packing->lowerBound, best);
    optimal += packing->arenaBytes == best;
  }
  EXPECT_EQ(optimal, programs);
}

TEST(Packer, NestedLifetimesReachTheBound) {
  // Forward activations freed in reverse by the backward: a stack.
  std::vector<Interval> intervals;
  for (int64_t layer = 0; layer < 200; ++layer)
    intervals.push_back({layer, 400 - layer, 1000 + 64 * (layer % 7)});
  Expected<Packing> packing = packIntervals(intervals);
  ASSERT_OK(packing);
  EXPECT_EQ(packing->arenaBytes, packing->lowerBound);
}

TEST(Packer, LargeProgramsAreFastAndRepeatable) {
  std::mt19937 random(3);
  std::vector<Interval> intervals = randomIntervals(random, 10000, 20000, 1 << 20);
  auto begin = std::chrono::steady_clock::now();
  Expected<Packing> first = packIntervals(intervals);
  double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  ASSERT_OK(first);
  expectValid(intervals, *first);
  RecordProperty("milliseconds", static_cast<int>(seconds * 1000));
  EXPECT_LT(seconds, 20) << "2 s on an idle machine";
  EXPECT_LT(static_cast<double>(first->arenaBytes), 1.05 * static_cast<double>(first->lowerBound));
  Expected<Packing> second = packIntervals(intervals);
  ASSERT_OK(second);
  EXPECT_EQ(first->offsets, second->offsets);
}

TEST(Packer, SizesOfHugeModelsFit) {
  Expected<Packing> packing = packIntervals({{0, 5, int64_t(1) << 60}, {1, 2, int64_t(1) << 60}, {3, 4, 7}});
  ASSERT_OK(packing);
  EXPECT_EQ(packing->arenaBytes, int64_t(1) << 61);
}

TEST(Packer, SizesBeyond63BitsAreRefused) {
  EXPECT_ERROR(packIntervals({{0, 1, INT64_MAX}}), ExitCode::BadInput, "does not fit in 63 bits");
  EXPECT_ERROR(packIntervals({{0, 1, int64_t(1) << 62}, {0, 1, int64_t(1) << 62}}), ExitCode::BadInput,
               "together do not fit in 63 bits");
}

TEST(Packer, BadIntervalsAreRefused) {
  EXPECT_ERROR(packIntervals({{0, 1, 1}, {3, 2, 1}}), ExitCode::BadInput, "buffer 1: expected a lifetime");
  EXPECT_ERROR(packIntervals({{0, 1, -1}}), ExitCode::BadInput, "at least 0 bytes, but got -1");
}
