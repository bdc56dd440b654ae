// bpt-fuse-loss: the gradient of linear + cross-entropy becomes its forward as well.
#include "bpt/Analysis/TileSizes.h"
#include "bpt/Transforms/Passes.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Remarks.h"

namespace bpt {
#define GEN_PASS_DEF_FUSELOSSPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

/// The forward `grad` belongs to, or null.
LinearCrossEntropyOp findForward(LinearCrossEntropyGradOp grad) {
  auto forward = grad.getLse() ? grad.getLse().getDefiningOp<LinearCrossEntropyOp>() : LinearCrossEntropyOp();
  if (!forward || forward.getInput() != grad.getInput() || forward.getWeight() != grad.getWeight() ||
      forward.getTargets() != grad.getTargets() || forward.getValidCount() != grad.getValidCount() ||
      forward.getIgnoreIndex() != grad.getIgnoreIndex() || forward.getWeightsTransposed() != grad.getWeightsTransposed())
    return {};
  return forward;
}

/// Why the two cannot be one; empty when they can.
StringRef findObstacle(LinearCrossEntropyOp forward, LinearCrossEntropyGradOp grad) {
  Type element = getElementTypeOrSelf(grad.getInput().getType());
  if (getAccumulatorType(element) != element)
    return "16-bit gradients would need sums of the whole weight's between blocks of rows";
  if (!fitsWholeLogits(grad))
    return "logits of a block of rows would take more than 8 MiB and half of the weight";
  if (!forward->getResult(1).hasOneUse())
    return "lse has other uses";
  Block *block = grad->getBlock();
  bool inOrder = forward->getBlock() == block && llvm::all_of(forward->getResult(0).getUsers(), [&](Operation *user) {
                   Operation *ancestor = block->findAncestorOpInBlock(*user);
                   return ancestor && grad->isBeforeInBlock(ancestor);
                 });
  return inOrder ? "" : "the loss is used before its gradient is there";
}

void fuse(LinearCrossEntropyOp forward, LinearCrossEntropyGradOp grad) {
  OpBuilder builder(grad);
  SmallVector<Value> outs(grad.getOuts());
  outs.push_back(forward.getOuts()[0]);
  SmallVector<Type> types(grad->getResultTypes());
  types.push_back(forward->getResult(0).getType());
  auto both = LinearCrossEntropyGradOp::create(builder, grad.getLoc(), types, grad.getDloss(), grad.getInput(), grad.getWeight(),
                                               grad.getTargets(), /*lse=*/Value(), grad.getValidCount(), outs, Value(),
                                               grad.getIgnoreIndexAttr(), grad.getWeightsTransposedAttr(), nullptr);
  both->setDiscardableAttrs(llvm::to_vector(grad->getDiscardableAttrs()));
  forward->getResult(0).replaceAllUsesWith(both->getResult(2));
  grad->replaceAllUsesWith(both->getResults().take_front(2));
  grad->erase();
  forward->erase();
}

class FuseLoss : public impl::FuseLossPassBase<FuseLoss> {
  using Base::Base;

  void runOnOperation() override {
    SmallVector<LinearCrossEntropyGradOp> grads;
    getOperation().walk([&](LinearCrossEntropyGradOp grad) { grads.push_back(grad); });
    for (LinearCrossEntropyGradOp grad : grads) {
      LinearCrossEntropyOp forward = findForward(grad);
      if (!forward || !forward.hasPureTensorSemantics())
        continue;
      auto options = remark::RemarkOpts::name("loss").category("bpt-fuse-loss").function(grad->getName().getStringRef());
      if (StringRef why = findObstacle(forward, grad); !why.empty()) {
        remark::missed(grad->getLoc(), options) << ("logits are computed again for the gradients: " + why).str();
        continue;
      }
      remark::passed(grad->getLoc(), options) << "gradients are computed in the loss pass: one product less";
      fuse(forward, grad);
    }
  }
};

} // namespace
} // namespace bpt
