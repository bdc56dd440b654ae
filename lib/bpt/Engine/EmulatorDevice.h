// The emulator as a device: kernels run on the CPU, a fiber for each GPU thread.
#pragma once

#include "bpt/Engine/EmulatorOptions.h"
#include "bpt/Runtime/Device.h"
#include "bpt/Runtime/Program.h"
#include <memory>

namespace bpt {

/// A device for the kernels of `manifest`, whose rewritten code `resolve` finds. What the emulator reports is the error of the launch
/// (exit 1): nothing of a run is to be trusted then. `options` are read at each launch. Errors: a kernel without code.
Expected<std::shared_ptr<Device>> createEmulatorDevice(const Manifest &manifest, const SymbolResolver &resolve,
                                                       std::shared_ptr<const EmulatorOptions> options);

} // namespace bpt
