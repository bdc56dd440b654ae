// The body of a parallel loop as a function, for whoever runs its items: threads of the CPU, or warps of a GPU.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"

namespace bpt {

/// A loop taken out of its function: body(closure, item, scratch) does one item.
struct ParallelBody {
  mlir::func::FuncOp function;        ///< (!llvm.ptr, i64, !llvm.ptr) -> ()
  mlir::LLVM::LLVMStructType closure; ///< captured values
  mlir::Value closureAddress;         ///< where the caller has filled one, on its stack
  mlir::Value items;                  ///< i64
};

/// Takes loops out of the functions of a module, one after the other.
class ParallelBodies {
public:
  /// `scratchBytes`: what bpt.thread_scratch stands for. Bodies are put at the builder's position, with names from their function.
  ParallelBodies(mlir::ModuleOp module, int64_t scratchBytes);

  /// Makes a body of `loop` at `bodies`, and fills its closure before the loop, which is left to the caller to replace. Fails with
  /// an error at the loop when it has results, lies in another one, or captures values without an LLVM type.
  mlir::FailureOr<ParallelBody> take(mlir::scf::ForallOp loop, mlir::OpBuilder &bodies);

  /// memref<?xi8> of `bytes` bytes over a pointer that the runtime hands out.
  mlir::Value getBytes(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value scratch, int64_t bytes);

private:
  mlir::func::FuncOp createBody(mlir::scf::ForallOp loop, mlir::OpBuilder &builder, llvm::StringRef parent,
                                llvm::ArrayRef<mlir::Value> captures, mlir::LLVM::LLVMStructType closureType,
                                llvm::ArrayRef<mlir::Value> counts);
  mlir::Value fillClosure(mlir::scf::ForallOp loop, llvm::ArrayRef<mlir::Value> captures,
                          mlir::LLVM::LLVMStructType closureType);

  mlir::LLVM::LLVMPointerType pointer;
  mlir::IntegerType i64;
  int64_t scratchBytes;
  unsigned numBodies = 0;
};

} // namespace bpt
