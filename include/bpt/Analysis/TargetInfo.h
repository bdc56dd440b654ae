// What code generation has to know about a machine: a CPU, or a GPU whose warps are taken for vectors.
#pragma once

#include "mlir/IR/Types.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>
#include <string>

namespace bpt {
/// A machine as the code generator of `convert-bpt-to-vector` sees it. Only tile sizes that do not change results may depend on the cache sizes: the bits of
/// a result are a function of the instruction set, never of the machine.
struct TargetInfo {
  /// LLVM's name of the CPU, e.g. `sapphirerapids`, and its feature string, e.g. `+avx512f,+fma`.
  std::string cpu, features;
  int64_t vectorBits = 128, vectorRegisters = 16;
  int64_t l1Bytes = 32 << 10, l2Bytes = 256 << 10;
  bool hasFma = false, hasAvx512 = false;
  /// Conversions between f32 and f16, and from f32 to bf16, are instructions.
  bool convertsHalf = false, roundsBfloat = false;
  /// Products of bf16 matrices are made by AMX: tiles of 16 rows of 64 bytes, sums in f32.
  bool hasMatrixTiles = false;
  /// A GPU: a vector is what the lanes of a warp hold, one element each, whatever its type; a thread of the CPU is a warp.
  bool hasWarps = false;

  /// `native`, `x86-64-v4`, `x86-64-v3`, `x86-64` or `sm_90a`; nothing for another name. `native+amx` and
  /// `x86-64-v4+amx` have matrix tiles, no name without the suffix has (`-amx` says so explicitly): a program that uses
  /// them has to ask the operating system first.
  static std::optional<TargetInfo> get(llvm::StringRef name);
  /// The names `get` knows, for diagnostics.
  static llvm::StringRef getKnownNames();

  /// Lanes of a warp.
  static constexpr int64_t warpLanes = 32;
  /// Elements of `type` in one vector.
  int64_t getLanes(mlir::Type type) const {
    return hasWarps ? warpLanes : vectorBits / static_cast<int64_t>(type.getIntOrFloatBitWidth());
  }
};
} // namespace bpt
