// The kernels of a program, from the gpu.module to code.
#pragma once

#include "bpt/Engine/Compiler.h"
#include "llvm/Target/TargetMachine.h"

namespace bpt {

/// Takes the gpu.module out of a module in the LLVM dialect and translates it for NVPTX (sm_90a), not optimised. Null when there is none.
Expected<std::unique_ptr<llvm::Module>> takeKernels(mlir::ModuleOp module, llvm::LLVMContext &context);

/// The kernels as code of this machine that calls the emulator: an object file with `bpt_emulated_<kernel>` for each.
Expected<std::string> emitEmulatedObject(llvm::Module &kernels, const CompileOptions &options);

/// PTX of the kernels.
Expected<std::string> emitPTX(llvm::Module &kernels);

} // namespace bpt
