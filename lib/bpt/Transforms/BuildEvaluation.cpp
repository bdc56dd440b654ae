// bpt-build-evaluation: the loss of the whole network, without dropout: what validation measures.
#include "bpt/IR/BPT.h"
#include "bpt/Transforms/Passes.h"
#include "bpt/Transforms/Transforms.h"

namespace bpt {
#define GEN_PASS_DEF_BUILDEVALUATIONPASS
#include "bpt/Transforms/Passes.h.inc"

using namespace mlir;

void removeDropout(func::FuncOp function) {
  function.walk([](Operation *op) {
    if (auto dropout = dyn_cast<DropoutOp>(op)) {
      op->getResult(0).replaceAllUsesWith(dropout.getInput());
      op->erase();
    } else if (auto attention = dyn_cast<AttentionOp>(op)) {
      attention.getSeedMutable().clear();
      attention.setDropout(APFloat(0.0));
    }
  });
}

void eraseUnusedData(func::FuncOp function) {
  for (int i = function.getNumArguments() - 1; i >= 0; --i)
    if (function.getArgument(i).use_empty() && !function.getArgAttr(i, "bpt.init"))
      (void)function.eraseArgument(i);
}

namespace {
class BuildEvaluation : public impl::BuildEvaluationPassBase<BuildEvaluation> {
  using Base::Base;

  void runOnOperation() override {
    auto loss = getOperation().lookupSymbol<func::FuncOp>(function);
    if (!loss || loss.isExternal()) {
      getOperation().emitError("expected a function `") << function << "` with a body, but got none; name it with function=";
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    auto evaluation = cast<func::FuncOp>(builder.clone(*loss));
    evaluation.setName(function + ".evaluation");
    removeDropout(evaluation);
    eraseUnusedData(evaluation);
  }
};
} // namespace

} // namespace bpt
