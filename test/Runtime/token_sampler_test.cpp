// The order of windows: every epoch visits each window once, and the order never changes between versions.
#include "bpt/Runtime/TokenSampler.h"
#include <gtest/gtest.h>
#include <set>
#include <vector>

using namespace bpt;

TEST(TokenSampler, AnEpochVisitsEveryWindowOnce) {
  for (int64_t tokens : {9, 10, 16, 17, 18, 33, 100, 1000, 4097})
    for (int64_t length : {1, 3, 8}) {
      TokenSampler sampler(tokens, length, 5);
      int64_t n = sampler.windowsPerEpoch();
      for (int64_t epoch : {0, 1, 7}) {
        std::set<int64_t> starts;
        for (int64_t i = 0; i < n; ++i) {
          int64_t start = sampler.start(epoch * n + i);
          EXPECT_GE(start, 0);
          EXPECT_LE(start + length + 1, tokens);
          starts.insert(start);
        }
        ASSERT_EQ(static_cast<int64_t>(starts.size()), n) << tokens << " " << length;
        EXPECT_EQ(*starts.rbegin() - *starts.begin(), (n - 1) * length) << "windows do not overlap and leave no gaps";
      }
    }
}

TEST(TokenSampler, AFileOfOneWindowHasOne) {
  TokenSampler sampler(9, 8, 1);
  EXPECT_EQ(sampler.windowsPerEpoch(), 1);
  EXPECT_EQ(sampler.start(0), 0);
  EXPECT_EQ(sampler.start(1000000), 0);
}

TEST(TokenSampler, EpochsSeedsAndPhasesDiffer) {
  TokenSampler a(10000, 16, 1), b(10000, 16, 2);
  int64_t n = a.windowsPerEpoch();
  std::set<int64_t> phases;
  int same = 0;
  for (int64_t i = 0; i < n; ++i)
    same += (a.start(i) == a.start(n + i)) + (a.start(i) == b.start(i));
  for (int64_t epoch = 0; epoch < 200; ++epoch)
    phases.insert(a.start(epoch * n) % 16);
  EXPECT_LT(same, n / 20);
  EXPECT_EQ(phases.size(), 16u);
}

TEST(TokenSampler, LargeFilesNeedNoTable) {
  TokenSampler sampler(int64_t(1) << 40, 1024, 3);
  std::set<int64_t> starts;
  for (int64_t i = 0; i < 1000; ++i)
    starts.insert(sampler.start((int64_t(1) << 35) + i));
  EXPECT_EQ(starts.size(), 1000u);
}

// A checkpoint that is resumed by a later version must see the same data.
TEST(TokenSampler, TheOrderIsFrozen) {
  TokenSampler sampler(100000, 64, 42);
  std::vector<int64_t> starts;
  for (int64_t i : {0, 1, 2, 1561, 1562, 100000})
    starts.push_back(sampler.start(i));
  EXPECT_EQ(starts, (std::vector<int64_t>{8469, 33621, 75157, 1635, 84707, 99717}));
}
