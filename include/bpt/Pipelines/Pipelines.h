// The lowering pipelines. Each is a straight-line function with typed options; bpt-opt, bpt-compile, bpt-run, the
// plugin and embedders all use the same function.
#pragma once

#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

namespace bpt {

struct LowerOptions : mlir::PassPipelineOptions<LowerOptions> {
  Option<std::string> cpu{*this, "cpu", llvm::cl::desc("native[+amx] | x86-64-v4[+amx] | x86-64-v3 | x86-64 | sm_90a"),
                          llvm::cl::init("native")};
  Option<int64_t> budget{*this, "budget", llvm::cl::desc("bytes the arena may have; 0: any"), llvm::cl::init(0)};
  Option<int64_t> threads{*this, "threads", llvm::cl::desc("threads the plan is held against the budget for"),
                          llvm::cl::init(1)};
  Option<bool> offload{*this, "offload", llvm::cl::desc("what the backward needs much later waits in host memory"),
                       llvm::cl::init(false)};
  Option<bool> profile{*this, "profile", llvm::cl::desc("code reports begin and end of each op"),
                       llvm::cl::init(false)};
  Option<bool> printPlan{*this, "print-plan", llvm::cl::desc("print who is alive at the peak"), llvm::cl::init(false)};
};

/// graph, blocks or step -> tiles for the reference: unblocked definitions in linalg. The oracle for everything else.
void addReferenceTiles(mlir::OpPassManager &manager, const LowerOptions &options);
/// buffers -> kernels for the reference: plain loops.
void addReferenceKernels(mlir::OpPassManager &manager, const LowerOptions &options);

/// graph, blocks or step -> tiles: structure becomes loops, tile sizes are chosen, workspaces exist.
void addTiles(mlir::OpPassManager &manager, const LowerOptions &options);
/// tiles -> buffers: one arena, no allocation left.
void addBuffers(mlir::OpPassManager &manager, const LowerOptions &options);
/// buffers -> kernels: vector code and calls of the runtime.
void addCPUKernels(mlir::OpPassManager &manager, const LowerOptions &options);

/// buffers -> kernels for a GPU (options.cpu = sm_90a): a gpu.module of kernels, and launches.
void addGPUKernels(mlir::OpPassManager &manager, const LowerOptions &options);

/// kernels -> llvm: the LLVM dialect, one C function per entry; in the gpu.module one per kernel.
void addLLVM(mlir::OpPassManager &manager, const LowerOptions &options);

/// `bpt-lower-to-reference`: the whole way to the LLVM dialect by definitions.
void buildReferencePipeline(mlir::OpPassManager &manager, const LowerOptions &options);
/// `bpt-lower-to-cpu`: the whole way to the LLVM dialect by CPU kernels.
void buildCPUPipeline(mlir::OpPassManager &manager, const LowerOptions &options);

/// `bpt-lower-to-nvvm`: the whole way to the LLVM dialect by GPU kernels, in a gpu.module with nvvm ops.
void buildNVVMPipeline(mlir::OpPassManager &manager, const LowerOptions &options);

} // namespace bpt
