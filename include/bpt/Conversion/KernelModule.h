// The module of a program's GPU kernels, and what all kernels have in common.
#pragma once

#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/IR/BuiltinOps.h"

namespace bpt {

/// Name of the gpu.module with the kernels of a program.
inline constexpr llvm::StringLiteral kernelModuleName = "bpt_kernels";

/// Name of the global in it that stands for all dynamic shared memory of a block; kernels know where in it what lies.
inline constexpr llvm::StringLiteral sharedMemoryName = "bpt_shared";

/// The gpu.module of kernels, for sm_90a; created at the begin of `module` when the program has none yet.
mlir::gpu::GPUModuleOp getKernelModule(mlir::ModuleOp module);

/// `@bpt_kernels::@name`, as gpu.launch_func wants it.
mlir::SymbolRefAttr getKernelSymbol(mlir::LLVM::LLVMFuncOp kernel);

/// Makes `function` a kernel whose blocks have `threads` threads. Denormals of f32 are zero in kernels: exp2 would be three
/// instructions otherwise.
void setKernelAttributes(mlir::LLVM::LLVMFuncOp function, int64_t threads);

} // namespace bpt
