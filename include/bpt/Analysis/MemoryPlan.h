// The memory plan of an entry: lifetimes and sizes of every buffer a call of it needs, callees included.
#pragma once

#include "bpt/Interfaces/SizeFormula.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/MapVector.h"
#include <string>
#include <vector>

namespace bpt {
/// One buffer of an entry's arena. `first` and `last` are positions in the linear time of the entry, callees inlined.
struct PlannedBuffer {
  std::string name; ///< "bpt.feed_forward in layer.vjp"
  std::string kind; ///< activation, gradient, workspace, result
  SizeFormula bytes;
  int64_t first = -1;
  int64_t last = -1;
};

/// Where a function's slots lie: its own allocations first (in order of appearance), then those of each call in turn.
struct FunctionSlots {
  llvm::MapVector<mlir::Operation *, int64_t> allocs; ///< memref.alloc -> slot relative to the function's base
  llvm::MapVector<mlir::Operation *, int64_t> calls;  ///< func.call -> base of the callee relative to the function's
  int64_t total = 0;
};

struct EntryPlan {
  std::vector<PlannedBuffer> slots;
  std::vector<int64_t> resultSlots;     ///< per result: its slot, or -1 when it is an argument updated in place
  std::vector<int64_t> resultArguments; ///< per result: the argument it is, or -1
  std::vector<llvm::SmallVector<SizeFormula>> resultShapes;
};

class MemoryPlanAnalysis {
public:
  explicit MemoryPlanAnalysis(mlir::ModuleOp module) : module(module) {}
  /// The layout of `function`'s slots (computed once per function). Fails with an error on recursion.
  mlir::FailureOr<const FunctionSlots *> getSlots(mlir::func::FuncOp function);
  /// Plans `entry`, whose results are whole allocations or arguments (Transforms/PlanMemory normalises them). Fails with an
  /// error naming the buffer whose size no formula bounds.
  mlir::FailureOr<EntryPlan> plan(mlir::func::FuncOp entry);

private:
  mlir::ModuleOp module;
  llvm::DenseMap<mlir::Operation *, FunctionSlots> slots;
  llvm::DenseSet<mlir::Operation *> visiting;
};
} // namespace bpt
