// The emulator as a device: kernels run on the CPU, a fiber for each GPU thread.
#pragma once

#include "bpt/Runtime/Device.h"
#include "bpt/Runtime/Emulator.h"
#include "bpt/Runtime/Program.h"
#include <memory>

namespace bpt {

struct EmulatorOptions {
  emulator::Mode mode = emulator::Mode::Eager;
  uint64_t seed = 1;   ///< of Mode::Random
  int hostThreads = 0; ///< blocks that run at a time; 0: one a processor
};

/// `eager`, `random` or `late`; exit 2 naming them for anything else.
Expected<emulator::Mode> parseEmulatorMode(const std::string &name);

/// A device for the kernels of `manifest`, whose rewritten code `resolve` finds. What the emulator reports is the error of the launch
/// (exit 1): nothing of a run is to be trusted then. Errors: a kernel without code.
Expected<std::shared_ptr<Device>> createEmulatorDevice(const Manifest &manifest, const SymbolResolver &resolve,
                                                       const EmulatorOptions &options);

} // namespace bpt
