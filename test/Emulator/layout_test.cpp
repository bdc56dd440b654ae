// The emulator's layouts against those of CUTLASS (v4, include/cute), written down as CuTe layouts and evaluated by a
// few lines here.
#include "../../lib/bpt/Runtime/emulator/WgmmaLayout.h"
#include <gtest/gtest.h>
#include <vector>

using namespace bpt::emulator;

namespace {

/// A CuTe layout with flat modes: index -> sum of (digit * stride), the first mode fastest.
struct CuteLayout {
  std::vector<uint32_t> shape, stride;
  uint32_t operator()(uint32_t index) const {
    uint32_t offset = 0;
    for (size_t i = 0; i < shape.size(); ++i) {
      offset += index % shape[i] * stride[i];
      index /= shape[i];
    }
    return offset;
  }
};

/// cute::Swizzle<B, M, S>: bits [M + S, M + S + B) are XORed onto bits [M, M + B).
uint32_t cuteSwizzle(uint32_t bits, uint32_t base, uint32_t shift, uint32_t offset) {
  uint32_t mask = ((1u << bits) - 1) << (base + shift);
  return offset ^ ((offset & mask) >> shift);
}

// cute/atom/mma_traits_sm90_gmma.hpp: layouts map (thread, value) to m + 64 * n.
CuteLayout threadsOf(uint32_t columnStride) { return {{4, 8, 4}, {columnStride, 1, 16}}; }

} // namespace

TEST(EmulatorLayout, AccumulatorsLieAsInCLayout64xN) {
  for (uint32_t n = 8; n <= 256; n += 8) {
    CuteLayout threads = threadsOf(128), values{{2, 2, n / 8}, {64, 8, 512}};
    for (uint32_t thread = 0; thread < 128; ++thread)
      for (uint32_t value = 0; value < n / 2; ++value)
        ASSERT_EQ(accumulatorRow(thread, value) + 64 * accumulatorColumn(thread, value),
                  threads(thread) + values(value))
            << n << " " << thread << " " << value;
  }
}

TEST(EmulatorLayout, FragmentsOf16BitsLieAsInALayout64x16) {
  CuteLayout threads = threadsOf(128), values{{2, 2, 2}, {64, 8, 512}};
  for (uint32_t thread = 0; thread < 128; ++thread)
    for (uint32_t value = 0; value < 8; ++value)
      ASSERT_EQ(fragmentRow16(thread, value) + 64 * fragmentColumn16(thread, value), threads(thread) + values(value));
}

TEST(EmulatorLayout, FragmentsOf32BitsLieAsInALayout64x8) {
  CuteLayout threads = threadsOf(64), values{{2, 2}, {8, 256}};
  for (uint32_t thread = 0; thread < 128; ++thread)
    for (uint32_t value = 0; value < 4; ++value)
      ASSERT_EQ(fragmentRow32(thread, value) + 64 * fragmentColumn32(thread, value), threads(thread) + values(value));
}

TEST(EmulatorLayout, SwizzlesAreCutesOnBytes) {
  for (uint32_t address = 0; address < 4096; ++address) {
    EXPECT_EQ(swizzle(address, OperandSwizzle::None), cuteSwizzle(0, 4, 3, address));
    EXPECT_EQ(swizzle(address, OperandSwizzle::B32), cuteSwizzle(1, 4, 3, address));
    EXPECT_EQ(swizzle(address, OperandSwizzle::B64), cuteSwizzle(2, 4, 3, address));
    EXPECT_EQ(swizzle(address, OperandSwizzle::B128), cuteSwizzle(3, 4, 3, address));
  }
}

namespace {

/// Layout_K_*_Atom and Layout_MN_*_Atom of 2-byte elements: 8 rows of `width` bytes, swizzled; element (fast, slow)
/// of the atom.
uint32_t atom(OperandSwizzle kind, uint32_t fast, uint32_t slow) {
  uint32_t bits = kind == OperandSwizzle::None ? 0 : 4 - uint32_t(kind), width = swizzleWidth(kind);
  return cuteSwizzle(bits, 4, 3, slow * width + fast * 2);
}

constexpr OperandSwizzle allSwizzles[] = {OperandSwizzle::None, OperandSwizzle::B32, OperandSwizzle::B64,
                                          OperandSwizzle::B128};

} // namespace

// tile_to_shape(Layout_K_SW*_Atom, (64, width / 2)): atoms one after the other along m, so the stride byte offset is
// an atom's size.
TEST(EmulatorLayout, KMajorTilesOfAtoms) {
  for (OperandSwizzle kind : allSwizzles) {
    uint32_t width = swizzleWidth(kind), atomBytes = 8 * width;
    for (uint32_t step = 0; kind != OperandSwizzle::None && step < width / 32; ++step) {
      OperandDescriptor d;
      d.start = 2048 + step * 32; // DescriptorIterator advances the start by the k-block's bytes
      d.stride = atomBytes;
      d.swizzle = kind;
      for (uint32_t row = 0; row < 64; ++row)
        for (uint32_t k = 0; k < 16; ++k)
          ASSERT_EQ(kMajorAddress(d, row, k, 2), 2048 + row / 8 * atomBytes + atom(kind, step * 16 + k, row % 8));
    }
  }
}

// Without swizzle an atom is 8 rows of 8 elements: k 8..15 lie in the next atom along k, a leading byte offset away.
TEST(EmulatorLayout, KMajorWithoutSwizzle) {
  OperandDescriptor d;
  d.start = 4096;
  d.leading = 1024; // 8 atoms along m first
  d.stride = 128;
  for (uint32_t row = 0; row < 64; ++row)
    for (uint32_t k = 0; k < 16; ++k)
      ASSERT_EQ(kMajorAddress(d, row, k, 2),
                4096 + k / 8 * 1024 + row / 8 * 128 + atom(OperandSwizzle::None, k % 8, row % 8));
}

// tile_to_shape(Layout_MN_SW*_Atom, (n, 16)): atoms along mn first, then along k.
TEST(EmulatorLayout, MnMajorTilesOfAtoms) {
  for (OperandSwizzle kind : allSwizzles) {
    uint32_t width = swizzleWidth(kind), perAtom = width / 2, atomBytes = 8 * width, count = 256 / perAtom;
    OperandDescriptor d;
    d.start = 8192;
    d.swizzle = kind;
    uint32_t alongMn = atomBytes, alongK = count * atomBytes;
    d.leading = kind == OperandSwizzle::None ? alongK : alongMn; // make_gmma_desc<Major::MN>: LBO and SBO change places
    d.stride = kind == OperandSwizzle::None ? alongMn : alongK;
    for (uint32_t mn = 0; mn < 256; ++mn)
      for (uint32_t k = 0; k < 16; ++k)
        ASSERT_EQ(mnMajorAddress(d, mn, k),
                  8192 + mn / perAtom * alongMn + k / 8 * alongK + atom(kind, mn % perAtom, k % 8));
  }
}

// The bit fields of cute::GmmaDescriptor (cute/arch/mma_sm90_desc.hpp).
TEST(EmulatorLayout, DescriptorsHaveGmmaDescriptorsFields) {
  uint64_t bits = 0x1234ull | 0x2abcull << 16 | 0x1001ull << 32 | 5ull << 49 | 1ull << 62;
  OperandDescriptor d = decodeDescriptor(bits);
  EXPECT_EQ(d.start, 0x12340u);
  EXPECT_EQ(d.leading, 0x2abc0u);
  EXPECT_EQ(d.stride, 0x10010u);
  EXPECT_EQ(d.baseOffset, 5u);
  EXPECT_EQ(d.swizzle, OperandSwizzle::B128);
  EXPECT_EQ(decodeDescriptor(2ull << 62).swizzle, OperandSwizzle::B64);
  EXPECT_EQ(decodeDescriptor(3ull << 62).swizzle, OperandSwizzle::B32);
  EXPECT_EQ(decodeDescriptor(0).swizzle, OperandSwizzle::None);
}
