// From a module for NVPTX to a module for the host whose kernels call the emulator's runtime.
#pragma once
#include "llvm/Support/Error.h"

namespace llvm {
class Module;
class TargetMachine;
} // namespace llvm

namespace bpt {

struct EmulationOptions {
  /// Loads, stores and atomics to shared, global and generic memory call the runtime first. Without it only
  /// asynchronous operations are checked.
  bool checkMemory = true;
};

/// Rewrites `module`, straight from translation or after NVPTX's optimiser, in place:
///  * NVVM intrinsics and inline PTX become calls of EmulatorABI.def; one that is not known is an error that names it
///  and its function;
///  * each kernel `name` gets an entry `void bpt_emulated_<name>(void **arguments)` that runs one GPU thread;
///  * external zero-length arrays in shared memory become the block's dynamic shared memory;
///  * bf16 is rounded by integer arithmetic, and nothing is left that only NVPTX understands.
/// `host` gives triple, data layout and CPU. The module is verified; optimise it with optimizeEmulated.
llvm::Error lowerToEmulator(llvm::Module &module, const llvm::TargetMachine &host,
                            const EmulationOptions &options = {});

/// The host's O2 pipeline.
void optimizeEmulated(llvm::Module &module, llvm::TargetMachine &host);

} // namespace bpt
