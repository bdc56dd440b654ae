// C declarations of EmulatorABI.def and the numbers that emulated kernels and the emulator's runtime share.
#pragma once
#include <cstdint>

extern "C" {
#define BPT_EMULATOR_FUNCTION(name, result, parameters) result name parameters;
#include "bpt/Runtime/EmulatorABI.def"
}

namespace bpt::emulator {

struct Symbol {
  const char *name;
  void *address;
};
/// The functions of EmulatorABI.def with their addresses, ended by a null name: what a JIT binds.
const Symbol *symbols();

/// Special registers of PTX ISA 8.7, section 10, as far as kernels may read them.
enum class SpecialRegister : uint32_t {
  TidX,
  TidY,
  TidZ,
  NtidX,
  NtidY,
  NtidZ,
  CtaidX,
  CtaidY,
  CtaidZ,
  NctaidX,
  NctaidY,
  NctaidZ,
  LaneId,
  WarpId,
  NwarpId,
  SmId,
  NsmId,
  GridId,
  LanemaskEq,
  LanemaskLe,
  LanemaskLt,
  LanemaskGe,
  LanemaskGt,
  Clock,
  Clock64,
  GlobalTimer,
  ClusterRank,
  ClusterSize,
  DynamicSharedSize,
  TotalSharedSize
};

enum class ShuffleMode : uint32_t { Up, Down, Butterfly, Index };
enum class VoteMode : uint32_t { All, Any, Uniform, Ballot };
enum class ReduxOperation : uint32_t { Add, Min, Max, UnsignedMin, UnsignedMax, And, Or, Xor };
/// What a bulk store does with the destination; `None` overwrites it.
enum class Reduction : uint32_t { None, Add, Min, Max, And, Or, Xor, Inc, Dec };

/// Operand types of wgmma with f32 accumulators.
enum class WgmmaType : uint32_t { BF16, F16, TF32 };

/// The static part of a wgmma.mma_async (PTX ISA 8.7, 9.7.15.5.2).
struct WgmmaShape {
  uint32_t n = 0;
  WgmmaType type = WgmmaType::BF16;
  bool scaleD = true; ///< false: D = A*B
  bool negateA = false, negateB = false;
  bool transposeA = false, transposeB = false; ///< MN-major operand in shared memory
};

/// WgmmaShape as the number that goes through the ABI.
constexpr uint64_t packWgmma(const WgmmaShape &shape) {
  return uint64_t(shape.n) | uint64_t(shape.type) << 16 | uint64_t(shape.scaleD) << 24 | uint64_t(shape.negateA) << 25 |
         uint64_t(shape.negateB) << 26 | uint64_t(shape.transposeA) << 27 | uint64_t(shape.transposeB) << 28;
}
constexpr WgmmaShape unpackWgmma(uint64_t packed) {
  WgmmaShape shape;
  shape.n = uint32_t(packed & 0xffff);
  shape.type = WgmmaType(packed >> 16 & 0xff);
  shape.scaleD = packed >> 24 & 1;
  shape.negateA = packed >> 25 & 1;
  shape.negateB = packed >> 26 & 1;
  shape.transposeA = packed >> 27 & 1;
  shape.transposeB = packed >> 28 & 1;
  return shape;
}

} // namespace bpt::emulator
