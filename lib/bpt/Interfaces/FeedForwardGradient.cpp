// VJP of the feed-forward layer.
#include "Gradients.h"

using namespace mlir;

namespace bpt {
namespace {

struct FeedForwardModel : DestinationGradientModel<FeedForwardModel, FeedForwardOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<FeedForwardOp>(operation);
    if (op.hasHidden() && context.getCotangent(op->getResult(1)))
      return op.emitOpError("expected no gradient through hidden, but it is on the path of one; use `out`");
    // The gradient op computes the hidden for one block at a time; a whole one is used only where it is kept.
    Value hidden = op.hasHidden() && context.keepsAll() ? op->getResult(1) : Value();

    GradientOuts outs(builder, context);
    for (Value operand : {op.getInput(), op.getUpWeight(), op.getUpBias(), op.getGateWeight(), op.getGateBias(),
                          op.getDownWeight(), op.getDownBias()})
      outs.add(operand);
    auto grad = FeedForwardGradOp::create(
        builder, op.getLoc(), outs.getTypes(), context.getCotangent(op->getResult(0)), op.getInput(), op.getUpWeight(),
        op.getUpBias(), op.getGateWeight(), op.getGateBias(), op.getDownWeight(), op.getDownBias(), hidden, outs.getOuts(),
        /*workspace=*/Value(), op.getActivation(), op.getWeightsTransposed(), /*schedule=*/nullptr);
    outs.finish(grad.getResults());
    return success();
  }
};

} // namespace

void registerFeedForwardGradients(DialectRegistry &registry) {
  registry.addExtension(
      +[](MLIRContext *context, BPTDialect *) { FeedForwardOp::attachInterface<FeedForwardModel>(*context); });
}

} // namespace bpt
