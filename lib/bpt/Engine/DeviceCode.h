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

/// NVIDIA's assembler on the path, or where its toolkit is usually installed.
std::optional<std::string> findPtxas();

/// The cubin that ptxas makes of `ptx`. `messages` (may be null): what it says with -v. Exit 1 when there is none or it refuses.
Expected<std::string> assembleKernels(const std::string &ptx, std::string *messages = nullptr);

/// What a CUDA device loads: a cubin where there is a ptxas, else PTX with a zero at its end, which the driver compiles.
Expected<std::string> emitCudaImage(llvm::Module &kernels);

/// Adds `image` as the data symbols `bpt_device_code` and `bpt_device_code_size`.
void embedDeviceCode(llvm::Module &module, llvm::StringRef image);

} // namespace bpt
