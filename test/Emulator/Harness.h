// Kernels from LLVM IR text, rewritten for the emulator, compiled in memory and run.
#pragma once
#include "bpt/Emulator/LowerToEmulator.h"
#include "bpt/Runtime/Emulator.h"
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bpt::test {

/// The error of rewriting `ir` (LLVM IR of a module for NVPTX), "" if there is none.
std::string errorOf(const std::string &ir);

/// A compiled kernel `@kernel` of the module. The text may use `@bpt_shared`; intrinsics need no declaration. Fails
/// the test if anything is wrong.
class Kernel {
public:
  explicit Kernel(const std::string &ir, EmulationOptions options = {});
  ~Kernel();

  /// Runs it with arguments given by the addresses of their values.
  emulator::LaunchResult run(std::vector<void *> arguments, uint32_t threads, uint32_t sharedBytes = 0,
                             emulator::Options options = {}, std::array<uint32_t, 3> grid = {1, 1, 1}) const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

/// The body of `define ptx_kernel void @kernel(parameters)` as a module. `$tid`, `$lane`, `$warp` in the body stand for
/// values that are computed at its beginning.
std::string kernelText(const std::string &parameters, const std::string &body);

/// `count` copies of `text` with `#` replaced by the number.
std::string repeated(int count, const std::string &text);

/// Kinds of the reports, each once, in order: "Deadlock DataRace"; "" if there are none.
std::string kinds(const emulator::LaunchResult &result);
/// All reports as text.
std::string texts(const emulator::LaunchResult &result);

/// Options of a mode, one host thread.
emulator::Options inMode(emulator::Mode mode, uint64_t seed = 1);

/// Numbers as the kernels see them.
uint16_t toBF16(float value);
float fromBF16(uint16_t bits);
uint16_t toF16(float value);

} // namespace bpt::test
