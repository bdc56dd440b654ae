// Gradients of straight-line code while its backward is being built.
#pragma once

#include "bpt/Interfaces/Interfaces.h"
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SetVector.h"
#include <optional>

namespace bpt {
class Backward;
class DerivedFunctions;
enum class Keep : uint32_t;

/// Maps values of the forward computation to their gradients so far. Rules of DESIGN 3: a gradient op adds into its `outs`, so
/// that a value used several times, a tied weight say, has one buffer for its gradient.
///
/// The gradient of a *view* (a slice, reshape, cast or barrier of one tensor) has no buffer of its own: its accumulator is the
/// same view of its source's accumulator, and what is set for the view is written back into the source's at once. Slices of a
/// fused weight therefore add into one buffer.
class VJPContext {
public:
  /// `functions`: made for the module so far. `policy`: what the checkpoint around this code keeps; none outside of one.
  VJPContext(DerivedFunctions &functions, std::optional<Keep> policy) : functions(functions), policy(policy) {}

  /// Whether `value` lies on a path from something differentiated to a result; only these need gradients.
  bool needsGradient(mlir::Value value) const { return value && active.contains(value); }
  /// The cotangent accumulated for `value`, or null when no gradient flows to it.
  mlir::Value getCotangent(mlir::Value value) const { return gradients.lookup(value); }
  /// The same, handed over: `value` has none afterwards.
  mlir::Value takeCotangent(mlir::Value value) {
    mlir::Value cotangent = getCotangent(value);
    gradients.erase(value);
    return cotangent;
  }
  /// Whether getAccumulator would return something that may hold gradients already.
  bool hasAccumulator(mlir::Value value) const;
  /// The gradient so far, or a fresh zero: to be passed as `outs` of an op that adds into it; hand its result to setGradient.
  /// For several outs of one op use GradientOuts, which copes with an operand given twice. The element type may be the
  /// accumulator type of the value's.
  mlir::Value getAccumulator(mlir::OpBuilder &builder, mlir::Value value);
  /// Replaces the gradient so far.
  void setGradient(mlir::OpBuilder &builder, mlir::Value value, mlir::Value gradient);
  /// Adds `gradient` elementwise to what is there; takes it as it is when nothing is. Of a wider element type than the
  /// accumulator it is rounded once, of a narrower one extended.
  void addGradient(mlir::OpBuilder &builder, mlir::Value value, mlir::Value gradient);
  /// Whether `gradient` is the gradient of one value only among those still to be differentiated: its buffer may become that of
  /// another gradient.
  bool ownsGradient(mlir::Value gradient) const;
  /// A zero tensor (tensor.empty, linalg.fill) or scalar of the shape of `like`; of `element` if given.
  static mlir::Value createZero(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value like, mlir::Type element = {});
  /// An uninitialised tensor of the shape of `like`; of `element` if given.
  static mlir::Value createEmpty(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value like, mlir::Type element = {});

  /// What the checkpoint around this code keeps; none outside of one, where everything is at hand.
  std::optional<Keep> getPolicy() const { return policy; }
  /// Whether results of the forward are at hand rather than computed again: an op with costly by-products asks before using
  /// them.
  bool keepsAll() const;
  /// Says that a checkpoint that keeps `atLeast` or more should keep `value` rather than compute it again.
  void suggestKeeping(mlir::Value value, Keep atLeast);
  llvm::ArrayRef<mlir::Value> getSuggestions() const { return suggestions.getArrayRef(); }
  /// Forgets an erased value.
  void forget(mlir::Value value);

  /// Replaces the forward op whose VJP is being built by one with further results for the backward; `results` take the place of
  /// its own. Erases `old`.
  void replaceForwardOp(mlir::Operation *old, mlir::Operation *by, mlir::ValueRange results);

  DerivedFunctions &functions;

private:
  friend class Backward;
  friend class PolicyScope;
  mlir::Value getViewSource(mlir::Value value) const;

  std::optional<Keep> policy;
  llvm::DenseSet<mlir::Value> active;
  llvm::DenseMap<mlir::Value, mlir::Value> gradients;
  llvm::SetVector<mlir::Value> suggestions;
  /// The walk that is in a VJP, innermost.
  Backward *walk = nullptr;
};

/// Another policy while the body of a checkpoint is differentiated in place.
class PolicyScope {
public:
  PolicyScope(VJPContext &context, Keep policy) : context(context), outer(context.policy) { context.policy = policy; }
  ~PolicyScope() { context.policy = outer; }

private:
  VJPContext &context;
  std::optional<Keep> outer;
};

/// The outs of one gradient op: `add` each operand in order, build the op with getOuts(), then `finish` with its results.
class GradientOuts {
public:
  GradientOuts(mlir::OpBuilder &builder, VJPContext &context) : builder(builder), context(context) {}

  /// Appends an out for `operand`: its accumulator, or zeros whose sum is thrown away for one that needs no gradient. Nothing
  /// for a null `operand` (an optional one that is absent). With `element`, the out has that element type: where the
  /// accumulator has another, the sum starts at zero and is added to it in the end, rounded once.
  void add(mlir::Value operand, mlir::Type element = {});
  /// All outs; nothing is added afterwards.
  mlir::ValueRange getOuts();
  mlir::TypeRange getTypes() { return getOuts().getTypes(); }
  /// Records `results`, one per out.
  void finish(mlir::ValueRange results);

private:
  /// What becomes of a result: the new gradient, added to it, or not needed.
  enum class Use { Set, Add, Drop };
  struct Out {
    mlir::Value operand;
    mlir::Type element;
    Use use;
  };
  Use chooseUse(unsigned number) const;

  mlir::OpBuilder &builder;
  VJPContext &context;
  llvm::SmallVector<Out> operands;
  llvm::SmallVector<mlir::Value> outs;
};
} // namespace bpt
