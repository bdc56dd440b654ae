// bpt-build-train-step: adds @train_step.
#include "bpt/IR/BPT.h"
#include "bpt/Transforms/Differentiate.h"
#include "bpt/Transforms/EntryInfo.h"
#include "bpt/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

namespace bpt {
#define GEN_PASS_DEF_BUILDTRAINSTEPPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {
struct BuildTrainStep : impl::BuildTrainStepPassBase<BuildTrainStep> {
  using Base::Base;

  void runOnOperation() override {
    if (optimizer != "adamw") {
      getOperation().emitError("expected optimizer=adamw, but got '") << optimizer << "'";
      return signalPassFailure();
    }
    TrainStepOptions options;
    options.beta1 = beta1;
    options.beta2 = beta2;
    options.eps = eps;
    options.weightDecay = weightDecay;
    options.clip = clip;
    options.accumulate = accumulate;
    FailureOr<func::FuncOp> loss = findFunction(getOperation(), function);
    if (failed(loss) || failed(buildTrainStep(*loss, options)))
      signalPassFailure();
  }
};
} // namespace

} // namespace bpt
