// How the emulator runs kernels.
#pragma once

#include "bpt/Runtime/Emulator.h"
#include "bpt/Runtime/Error.h"
#include <string>
#include <vector>

namespace bpt {

struct EmulatorOptions {
  emulator::Mode mode = emulator::Mode::Eager;
  uint64_t seed = 1;      ///< of Mode::Random
  int hostThreads = 0;    ///< blocks that run at a time; 0: one a processor
  bool optimized = false; ///< run kernels as NVPTX's optimiser leaves them, not as they are emitted
};

/// Whether `name`, of `emitted` and `optimized`, is the latter. Exit 2 naming them for anything else.
Expected<bool> parseEmulatorCode(const std::string &name);

/// The mode called `eager`, `random` or `late`; for `all` the three. Exit 2 naming them for anything else.
Expected<std::vector<emulator::Mode>> parseEmulatorModes(const std::string &name);

} // namespace bpt
