// Philox against the published vectors, and fills that depend on seed, stream and index only.
#include "TestFiles.h"
#include "bpt/Runtime/Random.h"
#include <cmath>
#include <set>

using namespace bpt;

using Words = std::array<uint32_t, 4>;

// Random123 1.14, tests/kat_vectors, philox4x32 with 10 rounds.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}),
            (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(FillNormal, HasTheMomentsOfTheNormalDistribution) {
  Tensor tensor = Tensor::allocate(DataType::F64, {200000}).take();
  fillNormal(tensor, 7, 3, 2.0);
  double sum = 0, squares = 0, fourth = 0;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    double x = tensor.get(i) / 2.0;
    ASSERT_TRUE(std::isfinite(x));
    sum += x;
    squares += x * x;
    fourth += x * x * x * x;
  }
  // Standard errors at n = 200,000: 0.0022, 0.0032, 0.022; four of each.
  EXPECT_NEAR(sum / 200000, 0, 0.009);
  EXPECT_NEAR(squares / 200000, 1, 0.013);
  EXPECT_NEAR(fourth / 200000, 3, 0.09);
}

TEST(FillNormal, ValueDependsOnSeedStreamAndIndexOnly) {
  Tensor longer = Tensor::allocate(DataType::F64, {3, 70001}).take();
  Tensor shorter = Tensor::allocate(DataType::F64, {1001}).take();
  Tensor narrow = Tensor::allocate(DataType::F32, {1001}).take();
  fillNormal(longer, 5, 2);
  fillNormal(shorter, 5, 2);
  fillNormal(narrow, 5, 2);
  for (int64_t i = 0; i < shorter.elements(); ++i) {
    ASSERT_EQ(longer.get(i), shorter.get(i));
    ASSERT_EQ(narrow.get(i), static_cast<float>(shorter.get(i)));
  }
}

TEST(FillNormal, SeedsAndStreamsDiffer) {
  std::set<double> firsts;
  for (uint64_t seed : {uint64_t(0), uint64_t(1), uint64_t(1) << 32, ~uint64_t(0)})
    for (uint32_t stream : {0u, 1u, 77u}) {
      Tensor tensor = Tensor::allocate(DataType::F64, {1}).take();
      fillNormal(tensor, seed, stream);
      firsts.insert(tensor.get(0));
    }
  EXPECT_EQ(firsts.size(), 12u);
}

TEST(FillIntegers, CoversTheRangeEvenly) {
  Tensor tensor = Tensor::allocate(DataType::I32, {97000}).take();
  fillIntegers(tensor, 1, 0, 97);
  std::vector<int> counts(97);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    ASSERT_GE(tensor.getInteger(i), 0);
    ASSERT_LT(tensor.getInteger(i), 97);
    ++counts[static_cast<size_t>(tensor.getInteger(i))];
  }
  for (int count : counts)
    EXPECT_NEAR(count, 1000, 160); // five standard deviations
}

TEST(FillIntegers, RangeOfOneIsZero) {
  Tensor tensor = Tensor::allocate(DataType::I64, {9}).take();
  fillIntegers(tensor, 1, 0, 1);
  for (int64_t i = 0; i < 9; ++i)
    EXPECT_EQ(tensor.getInteger(i), 0);
}
