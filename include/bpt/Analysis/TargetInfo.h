// What code generation has to know about a CPU.
#pragma once

#include "mlir/IR/Types.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>
#include <string>

namespace bpt {
/// A CPU as the code generator sees it. Only tile sizes that do not change results may depend on the cache sizes: the bits of
/// a result are a function of the instruction set, never of the machine.
struct TargetInfo {
  /// LLVM's name of the CPU, e.g. `sapphirerapids`, and its feature string, e.g. `+avx512f,+fma`.
  std::string cpu, features;
  int64_t vectorBits = 128, vectorRegisters = 16;
  int64_t l1Bytes = 32 << 10, l2Bytes = 256 << 10;
  bool hasFma = false, hasF16c = false, hasAvx512 = false, hasAvx512Bf16 = false;

  /// `native`, `x86-64-v4`, `x86-64-v3` or `x86-64`; nothing for another name.
  static std::optional<TargetInfo> get(llvm::StringRef name);
  /// The names `get` knows, for diagnostics.
  static llvm::StringRef getKnownNames();

  /// Elements of `type` in one vector register.
  int64_t getLanes(mlir::Type type) const { return vectorBits / static_cast<int64_t>(type.getIntOrFloatBitWidth()); }
};
} // namespace bpt
