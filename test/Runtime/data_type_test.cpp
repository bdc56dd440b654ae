// Conversions: all 16-bit values come back, and rounding is to nearest even from a double, once.
#include "TestFiles.h"
#include "bpt/Runtime/DataType.h"
#include <cmath>
#include <limits>

using namespace bpt;

namespace {

/// Checks a 16-bit format whose infinity has the bits `infinity`.
void checkFormat(uint16_t (*to)(double), double (*from)(uint16_t), uint32_t infinity) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    double value = from(static_cast<uint16_t>(bits));
    if ((bits & 0x7fff) > infinity)
      EXPECT_TRUE(std::isnan(value) && std::isnan(from(to(value))));
    else
      ASSERT_EQ(to(value), bits);
  }
  // Between neighbours: below the middle down, above it up, the middle itself to the even one.
  for (uint32_t bits = 0; bits + 1 < infinity; ++bits) {
    double low = from(static_cast<uint16_t>(bits)), high = from(static_cast<uint16_t>(bits + 1));
    double middle = (low + high) / 2;
    ASSERT_EQ(to(middle), bits % 2 ? bits + 1 : bits);
    ASSERT_EQ(to(std::nextafter(middle, low)), bits);
    ASSERT_EQ(to(std::nextafter(middle, high)), bits + 1);
    ASSERT_EQ(to(-std::nextafter(middle, high)), (bits + 1) | 0x8000);
  }
  EXPECT_EQ(to(std::numeric_limits<double>::infinity()), infinity);
  EXPECT_EQ(to(-1e300), infinity | 0x8000);
  EXPECT_EQ(to(5e-324), 0);
  EXPECT_EQ(to(-0.0), 0x8000);
}

} // namespace

TEST(DataType, BF16RoundsOnce) { checkFormat(toBF16, fromBF16, 0x7f80); }

TEST(DataType, F16RoundsOnce) { checkFormat(toF16, fromF16, 0x7c00); }

TEST(DataType, DoubleIsNotRoundedTwice) {
  // Just above the middle of two bf16 values, but so little that an f32 cannot tell.
  double value = 1.0 + 0x1p-8 + 0x1p-40;
  EXPECT_EQ(fromBF16(toBF16(value)), 1.0 + 0x1p-7);
}

TEST(DataType, IntegersAreRoundedAndClamped) {
  int32_t narrow = 0;
  int64_t wide = 0;
  storeFromDouble(DataType::I32, &narrow, 0, 2.6);
  EXPECT_EQ(narrow, 3);
  storeFromDouble(DataType::I32, &narrow, 0, -1e20);
  EXPECT_EQ(narrow, INT32_MIN);
  storeFromDouble(DataType::I32, &narrow, 0, 1e20);
  EXPECT_EQ(narrow, INT32_MAX);
  storeFromDouble(DataType::I64, &wide, 0, 1e300);
  EXPECT_EQ(wide, INT64_MAX);
  storeFromDouble(DataType::I64, &wide, 0, std::nan(""));
  EXPECT_EQ(wide, 0);
}

TEST(DataType, NamesAreThoseOfTheFiles) {
  for (DataType type : {DataType::F32, DataType::F64, DataType::BF16, DataType::F16, DataType::I32, DataType::I64})
    EXPECT_EQ(dataTypeFromFileName(fileName(type)), type);
  EXPECT_FALSE(dataTypeFromFileName("BOOL"));
  EXPECT_FALSE(dataTypeFromFileName("f32"));
  EXPECT_EQ(mlirName(DataType::BF16), "bf16");
}
