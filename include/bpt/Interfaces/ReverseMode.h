// Reverse mode over straight-line code, and the functions it makes for callees.
#pragma once

#include "bpt/Interfaces/VJPContext.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/SymbolTable.h"
#include <map>

namespace bpt {
/// Forward and backward functions made for the callees of one module: one pair per distinct callee, policy and set of
/// gradients, so that a layer is differentiated once however often it is used.
class DerivedFunctions {
public:
  explicit DerivedFunctions(mlir::ModuleOp module) : symbols(module) {}

  /// What is asked of a callee.
  struct Request {
    mlir::func::FuncOp callee;
    Keep keep;
    /// Type of the accumulator of each argument; null: no gradient is needed, or there is nothing to add it to.
    llvm::SmallVector<mlir::Type> accumulators;
    /// Arguments whose gradient is there only once it is returned: it may take the buffer of a cotangent.
    llvm::SmallVector<bool> fresh;
    /// Which results have cotangents.
    llvm::SmallVector<bool> cotangents;
  };
  /// `forward` is the callee, perhaps with further results. `backward`: (arguments, results of `forward`, cotangents,
  /// accumulators) -> gradients in the order of the arguments, added to the accumulators that are there, where arguments and
  /// results are only those it uses.
  struct Pair {
    mlir::func::FuncOp forward, backward;
    llvm::SmallVector<unsigned> arguments, results;
  };
  /// Makes the pair, or finds it. Emits an error and fails when the callee has no gradient.
  mlir::FailureOr<Pair> getPair(mlir::Location loc, const Request &request);

  mlir::SymbolTable symbols;

private:
  mlir::FailureOr<Pair> createPair(const Request &request);
  using Key = std::tuple<mlir::Operation *, Keep, std::vector<const void *>, std::vector<bool>, std::vector<bool>>;
  std::map<Key, Pair> pairs;
  llvm::DenseSet<mlir::Operation *> inProgress;
};

/// A backward under construction, of forward ops that lie in one block, at a place that dominates the insertion points used
/// below.
class Backward {
public:
  /// `operations` in order; `results`: what the forward computes.
  Backward(VJPContext &context, llvm::SmallVector<mlir::Operation *> operations, llvm::SmallVector<mlir::Value> results)
      : context(context), operations(std::move(operations)), results(std::move(results)) {}
  /// The forward is a clone of `block`, at the insertion point; its results are the operands of the terminator.
  Backward(VJPContext &context, mlir::OpBuilder &builder, mlir::Block &block, mlir::IRMapping &mapping);

  /// Finds the values that need gradients: those on a path from `sources` to the results with `cotangents` (null: none). Fails
  /// after an error where a path leaves the tensors.
  mlir::LogicalResult analyze(mlir::ValueRange sources, mlir::ArrayRef<mlir::Value> cotangents);
  /// Adds the cotangents to the gradients of the results, then emits the VJPs of the ops in reverse order. Fails after an error
  /// that names the op without a gradient.
  mlir::LogicalResult build(mlir::OpBuilder &builder, mlir::ArrayRef<mlir::Value> cotangents);

  /// The forward ops and results; changed by VJPContext::replaceForwardOp.
  llvm::ArrayRef<mlir::Operation *> getOperations() const { return operations; }
  llvm::ArrayRef<mlir::Value> getResults() const { return results; }

  /// For a recomputed forward whose backward is complete: the values that a checkpoint with `policy` keeps, in program order;
  /// only those for which `canKeep`.
  llvm::SmallVector<mlir::Value> chooseKept(
      Keep policy, llvm::function_ref<bool(mlir::Value)> canKeep = [](mlir::Value) { return true; });
  /// Clones the forward ops to the insertion point, then returns what stands for the results and after them for those of `kept`
  /// that are not results; `numbers` says where among these each kept value is.
  llvm::SmallVector<mlir::Value> cloneKeeping(mlir::OpBuilder &builder, mlir::IRMapping &mapping,
                                              llvm::ArrayRef<mlir::Value> kept, llvm::SmallVectorImpl<unsigned> &numbers) const;
  /// Erases unused ops of a block that holds this backward alone; not the forward ops.
  void eraseUnused(mlir::Block &block);
  /// For a recomputed forward: erases what nobody uses, and moves the rest to right before its first use, so that little is
  /// alive at once.
  void minimizeRecomputation();

private:
  friend class VJPContext;
  void renewDestinations();

  VJPContext &context;
  llvm::SmallVector<mlir::Operation *> operations;
  llvm::SmallVector<mlir::Value> results;
};
} // namespace bpt
