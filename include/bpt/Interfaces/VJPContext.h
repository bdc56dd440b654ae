// Gradients of one block of code while its backward is being built.
#pragma once

#include "bpt/Interfaces/Interfaces.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"

namespace bpt {
/// Maps values of the forward computation to their cotangents (gradients so far). Rules of DESIGN 3: a gradient op adds into
/// its `outs`, so that a value used several times has one buffer for its gradient.
class VJPContext {
public:
  /// `active`: the values on a path from something differentiated to a result; only these need gradients.
  explicit VJPContext(llvm::DenseSet<mlir::Value> active) : active(std::move(active)) {}

  bool needsGradient(mlir::Value value) const { return active.contains(value); }
  /// The cotangent accumulated for `value`, or null when no gradient flows to it.
  mlir::Value getCotangent(mlir::Value value) const { return gradients.lookup(value); }
  /// The same, or a fresh zero tensor: to be passed as `outs` of an op that adds into it; call setGradient with its result.
  mlir::Value getAccumulator(mlir::OpBuilder &builder, mlir::Value value);
  void setGradient(mlir::Value value, mlir::Value gradient) { gradients[value] = gradient; }
  /// Adds `gradient` elementwise to what is there; takes it as it is when nothing is.
  void addGradient(mlir::OpBuilder &builder, mlir::Value value, mlir::Value gradient);
  /// A zero tensor (tensor.empty, linalg.fill) or scalar of the type and dynamic dims of `like`.
  static mlir::Value createZero(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value like);

private:
  llvm::DenseSet<mlir::Value> active;
  llvm::DenseMap<mlir::Value, mlir::Value> gradients;
};
} // namespace bpt
