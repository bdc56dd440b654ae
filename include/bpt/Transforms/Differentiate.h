// From a function to its gradient, and from a loss to a training step.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace bpt {
/// step: adds the function @f.grad after `function`, which stays as it is. Arguments: those of @f, then one cotangent,
/// `<result>.cotangent`, per floating-point result; none when @f has one result that is a floating-point scalar, whose
/// cotangent is 1. Results: those of @f, then for each floating-point argument, or each of those named in `wrt`, in the order of
/// the arguments, its gradient `<argument>.grad`. Asks for one block of ops on tensors (stages graph, blocks). Fails after an
/// error on an unknown name, or an op without a gradient on the way.
mlir::FailureOr<mlir::func::FuncOp> differentiate(mlir::func::FuncOp function, mlir::ArrayRef<std::string> wrt = {});

struct TrainStepOptions {
  double beta1 = 0.9, beta2 = 0.95, eps = 1e-8;
  double weightDecay = 0.1; ///< of parameters with bpt.decay = true
  double clip = 1;          ///< largest norm of all gradients together; 0: no clipping
  int64_t accumulate = 1;   ///< micro-steps a step
};
/// step: adds @train_step, which computes `loss`, its gradients and AdamW in one function. Arguments: the parameters (arguments
/// of `loss` with bpt.init; narrower than f32 they are f32 here), `<p>.m` and `<p>.v` of each, `step` (i64, from 1), `lr` (f32),
/// then the other arguments of `loss`, 0-d integers (the seed) first. Results: `loss`, `grad_norm` before clipping, parameters,
/// `<p>.m`, `<p>.v`, the last three updated in place (`bpt.inplace`). With `accumulate` > 1 the data arguments have that leading
/// dim; gradients are summed in f32 (f64 for f64), the loss is that of all micro-steps together: bpt.linear_cross_entropy
/// divides by the valid targets of all of them, any other loss is averaged. Asks for and fails as `differentiate`.
mlir::FailureOr<mlir::func::FuncOp> buildTrainStep(mlir::func::FuncOp loss, const TrainStepOptions &options);

/// " (did you mean 'x'?)" for the name nearest to `wanted`, empty when none is near.
std::string suggestName(llvm::StringRef wanted, mlir::ArrayRef<std::string> names);
/// The function `name`, or an error at the module that shows the nearest name.
mlir::FailureOr<mlir::func::FuncOp> findFunction(mlir::ModuleOp module, llvm::StringRef name);
} // namespace bpt
