// VJP of attention.
#include "Gradients.h"

using namespace mlir;

namespace bpt {
namespace {

struct AttentionModel : DestinationGradientModel<AttentionModel, AttentionOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<AttentionOp>(operation);
    Value out = op->getResult(0), lse = op->getResult(1);
    // Scores follow from lse; only what is kept anyway saves computing them again.
    // With keep `input` attention is computed again as it was; where its out is kept, its probabilities follow from lse.
    bool atHand = context.keepsAll() || context.getPolicy() == Keep::Input;
    Value probabilities = op.hasProbabilities() && atHand ? op->getResult(2) : Value();
    if (op.hasProbabilities() && context.getCotangent(op->getResult(2)))
      return op.emitOpError("expected no gradient through the probabilities, but they are on the path of one; use `out`");
    for (Value value : {out, lse})
      context.suggestKeeping(value, Keep::Attention);
    for (Value value : {op.getQuery(), op.getKey(), op.getValue()})
      context.suggestKeeping(value, Keep::QKV);

    GradientOuts outs(builder, context);
    for (Value operand : {op.getQuery(), op.getKey(), op.getValue(), op.getBias()})
      outs.add(operand);
    auto grad = AttentionGradOp::create(
        builder, op.getLoc(), outs.getTypes(), getCotangentOrZero(builder, context, out), context.getCotangent(lse),
        op.getQuery(), op.getKey(), op.getValue(), out, lse, probabilities, op.getBias(), op.getQuerySegments(),
        op.getKeySegments(), op.getQueryOffset(), op.getSeed(), outs.getOuts(), /*workspace=*/Value(), op.getMask(),
        op.getScaleAttr(), op.getSoftcapAttr(), op.getDropoutAttr(), op.getStreamAttr(),
        op.getHeadOffsetAttr(), op.getHeadCountAttr(), /*schedule=*/nullptr);
    outs.finish(grad.getResults());
    return success();
  }
};

} // namespace

void registerAttentionGradients(DialectRegistry &registry) {
  registry.addExtension(
      +[](MLIRContext *context, BPTDialect *) { AttentionOp::attachInterface<AttentionModel>(*context); });
}

} // namespace bpt
