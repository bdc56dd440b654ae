// The kernels of a module: one private function for each distinct signature, called from where the op was.
#pragma once

#include "Emitter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/StringMap.h"

namespace bpt {

/// An operand of a kernel. The first `dynamicDims` dims become dynamic in the kernel's argument, with their strides, so that
/// ops that differ only in lengths share a kernel; the other dims stay as static as they are. A null value is an optional
/// operand that is not there.
struct KernelOperand {
  mlir::Value value;
  int64_t dynamicDims = 0;
};

class KernelCache {
public:
  /// `profile`: calls are marked as regions of a profile.
  KernelCache(mlir::ModuleOp module, const TargetInfo &target, bool profile);

  const TargetInfo &getTarget() const { return target; }
  /// What bpt-tile-blocks planned for all threads of a kernel together; kernels take no more of it.
  int64_t getSharedScratchBytes() const { return sharedScratchBytes; }

  /// Calls the kernel `name` before `op` and erases `op`. `body` emits the kernel the first time a signature is seen: its
  /// arguments are those of `operands` in order, null where the operand is. The signature is the name, the op's attributes (but
  /// its schedule stays in), `key`, and the types of the arguments. Fails, after an error at `op`, when the body takes more
  /// scratch than `getThreadScratchBytes` announced.
  using Body = llvm::function_ref<mlir::LogicalResult(Emitter &e, llvm::ArrayRef<mlir::Value> args)>;
  mlir::LogicalResult replace(mlir::Operation *op, llvm::StringRef name, mlir::Type accumulator,
                              llvm::ArrayRef<KernelOperand> operands, Body body, llvm::StringRef key = "");

  /// A private function that kernels share (packing, register tiles). `body` emits it when it is new, and returns its results.
  using HelperBody = llvm::function_ref<llvm::SmallVector<mlir::Value>(Emitter &e, mlir::ValueRange args)>;
  mlir::func::FuncOp getHelper(llvm::StringRef name, mlir::Type accumulator, mlir::TypeRange arguments,
                               mlir::TypeRange results, HelperBody body);
  /// Calls it; arguments are cast to the parameters' memref types. The helper's name has its argument types in it: `name` need
  /// only say what types do not.
  mlir::ValueRange callHelper(Emitter &e, llvm::StringRef name, mlir::ValueRange arguments, mlir::TypeRange argumentTypes,
                              mlir::TypeRange results, HelperBody body);

  /// Largest scratch of all kernels so far.
  int64_t getScratchBytes() const { return scratchBytes; }

  /// Records the regions on the module, if there are any.
  void attachRegions();

private:
  void markRegion(mlir::func::CallOp call, mlir::Operation *op);
  mlir::func::FuncOp createFunction(llvm::StringRef name, mlir::Location loc, mlir::TypeRange arguments,
                                    mlir::TypeRange results);
  mlir::ModuleOp module;
  const TargetInfo &target;
  llvm::StringMap<mlir::func::FuncOp> functions;
  llvm::StringMap<unsigned> names;
  int64_t scratchBytes = 0, sharedScratchBytes = 0;
  bool profile;
  llvm::SmallVector<mlir::Attribute> regions;
};

/// The kernel's type for an operand: see KernelOperand.
mlir::Type getKernelType(mlir::Type type, int64_t dynamicDims);

/// What kernels of bpt ops ask of their operands: memrefs whose rows are contiguous, and the workspace that bpt-tile-blocks adds if
/// the op `needsWorkspace`. Emits an error at the op.
mlir::LogicalResult checkOperands(mlir::Operation *op, mlir::Value workspace, bool needsWorkspace);

/// Rank 2 or less where the leading dims of `memref` are contiguous (identity layout): rows x last dim; unchanged otherwise, and
/// rows are then addressed through Emitter::rowIndices.
mlir::Value collapseRows(Emitter &e, mlir::Value memref);

} // namespace bpt
