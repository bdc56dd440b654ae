// Where the elements of wgmma operands lie: fragments in registers, tiles in shared memory, descriptors. Pure
// functions, tested against CUTLASS's layouts (test/Emulator/layout_test.cpp).
#pragma once
#include <cstdint>

namespace bpt::emulator {

/// Shared memory swizzles, as the bits a descriptor holds (PTX ISA 8.7, 9.7.15.5.1.2.2; cute::SM90::GMMA::LayoutType).
enum class OperandSwizzle : uint32_t { None = 0, B128 = 1, B64 = 2, B32 = 3 };

/// XORs address bits 4.. with bits 7..: Swizzle<3,4,3>, <2,4,3>, <1,4,3> of CUTLASS on byte addresses.
constexpr uint32_t swizzle(uint32_t address, OperandSwizzle kind) {
  return kind == OperandSwizzle::B128  ? address ^ (address >> 3 & 0x70)
         : kind == OperandSwizzle::B64 ? address ^ (address >> 3 & 0x30)
         : kind == OperandSwizzle::B32 ? address ^ (address >> 3 & 0x10)
                                       : address;
}

/// Bytes of one row of the swizzle's pattern; 16 without.
constexpr uint32_t swizzleWidth(OperandSwizzle kind) {
  return kind == OperandSwizzle::B128 ? 128 : kind == OperandSwizzle::B64 ? 64 : kind == OperandSwizzle::B32 ? 32 : 16;
}

/// A matrix descriptor (PTX ISA 8.7, 9.7.15.5.1.2.2; cute::GmmaDescriptor): all in bytes.
struct OperandDescriptor {
  uint32_t start = 0;   ///< 18-bit shared address
  uint32_t leading = 0; ///< leading dimension byte offset
  uint32_t stride = 0;  ///< stride dimension byte offset
  uint32_t baseOffset = 0;
  OperandSwizzle swizzle = OperandSwizzle::None;
};

constexpr OperandDescriptor decodeDescriptor(uint64_t bits) {
  OperandDescriptor descriptor;
  descriptor.start = uint32_t(bits & 0x3fff) << 4;
  descriptor.leading = uint32_t(bits >> 16 & 0x3fff) << 4;
  descriptor.stride = uint32_t(bits >> 32 & 0x3fff) << 4;
  descriptor.baseOffset = uint32_t(bits >> 49 & 7);
  descriptor.swizzle = OperandSwizzle(bits >> 62);
  return descriptor;
}

/// Byte address of element (`mn`, `k`) of a K-major operand, elements of `size` bytes
/// (cute/atom/mma_traits_sm90_gmma.hpp, make_gmma_desc<Major::K>: swizzled ((8,m),(T,2)):((wT,SBO),(1,T)), not swizzled
/// ((8,m),(T,2)):((1T,SBO),(1,LBO)), T elements of 16 bytes).
constexpr uint32_t kMajorAddress(const OperandDescriptor &d, uint32_t mn, uint32_t k, uint32_t size) {
  uint32_t bytes = k * size;
  if (d.swizzle == OperandSwizzle::None)
    return d.start + mn / 8 * d.stride + mn % 8 * 16 + bytes / 16 * d.leading + bytes % 16;
  return swizzle(d.start + mn / 8 * d.stride + mn % 8 * swizzleWidth(d.swizzle) + bytes, d.swizzle);
}

/// The same for an MN-major operand of 2-byte elements (make_gmma_desc<Major::MN>: swizzled
/// ((T,w,m),(8,k)):((1,T,LBO),(wT,SBO)), not swizzled ((T,1,m),(8,k)):((1,T,SBO),(1T,LBO))).
constexpr uint32_t mnMajorAddress(const OperandDescriptor &d, uint32_t mn, uint32_t k) {
  uint32_t width = swizzleWidth(d.swizzle), perRow = width / 2;
  uint32_t outer = d.swizzle == OperandSwizzle::None ? d.stride : d.leading;
  uint32_t inner = d.swizzle == OperandSwizzle::None ? d.leading : d.stride;
  return swizzle(d.start + mn / perRow * outer + mn % perRow * 2 + k / 8 * inner + k % 8 * width, d.swizzle);
}

/// Row and column of an accumulator register of a thread in its warpgroup: PTX ISA 8.7, 9.7.15.5.1 "Matrix D";
/// CLayout_64xN in cute/atom/mma_traits_sm90_gmma.hpp.
constexpr uint32_t accumulatorRow(uint32_t thread, uint32_t index) {
  return thread / 32 * 16 + thread % 32 / 4 + index / 2 % 2 * 8;
}
constexpr uint32_t accumulatorColumn(uint32_t thread, uint32_t index) {
  return index / 4 * 8 + thread % 4 * 2 + index % 2;
}

/// Row and column of element `index` of the A fragment of 16-bit types, 8 elements a thread, two a register
/// (ALayout_64x16).
constexpr uint32_t fragmentRow16(uint32_t thread, uint32_t index) {
  return thread / 32 * 16 + thread % 32 / 4 + index / 2 % 2 * 8;
}
constexpr uint32_t fragmentColumn16(uint32_t thread, uint32_t index) {
  return index / 4 * 8 + thread % 4 * 2 + index % 2;
}

/// The same for tf32, 4 elements a thread, one a register (ALayout_64x8).
constexpr uint32_t fragmentRow32(uint32_t thread, uint32_t index) {
  return thread / 32 * 16 + thread % 32 / 4 + index % 2 * 8;
}
constexpr uint32_t fragmentColumn32(uint32_t thread, uint32_t index) { return index / 2 * 4 + thread % 4; }

} // namespace bpt::emulator
