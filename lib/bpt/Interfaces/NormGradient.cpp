// VJPs of row-wise ops: norms, rotary embedding, dropout.
#include "Gradients.h"

using namespace mlir;

namespace bpt {
namespace {

struct LayerNormModel : DestinationGradientModel<LayerNormModel, LayerNormOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<LayerNormOp>(operation);
    GradientOuts outs(builder, context);
    for (Value operand : {op.getInput(), op.getWeight(), op.getBias()})
      outs.add(operand);
    auto grad = LayerNormGradOp::create(builder, op.getLoc(), outs.getTypes(), context.getCotangent(op->getResult(0)),
                                        op.getInput(), op.getWeight(), op.getBias(), outs.getOuts(), /*workspace=*/Value(),
                                        op.getEpsAttr());
    outs.finish(grad.getResults());
    return success();
  }
};

struct RMSNormModel : DestinationGradientModel<RMSNormModel, RMSNormOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<RMSNormOp>(operation);
    GradientOuts outs(builder, context);
    for (Value operand : {op.getInput(), op.getWeight()})
      outs.add(operand);
    auto grad = RMSNormGradOp::create(builder, op.getLoc(), outs.getTypes(), context.getCotangent(op->getResult(0)),
                                      op.getInput(), op.getWeight(), outs.getOuts(), /*workspace=*/Value(), op.getEpsAttr());
    outs.finish(grad.getResults());
    return success();
  }
};

/// A rotation: its gradient turns back.
struct RotaryModel : DestinationGradientModel<RotaryModel, RotaryOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<RotaryOp>(operation);
    Value out = VJPContext::createEmpty(builder, op.getLoc(), op->getResult(0));
    auto back = RotaryOp::create(builder, op.getLoc(), out.getType(), context.getCotangent(op->getResult(0)),
                                 op.getPositionOffset(), out, /*workspace=*/Value(), op.getThetaAttr(),
                                 op.getInverse() ? UnitAttr() : builder.getUnitAttr());
    context.addGradient(builder, op.getInput(), back->getResult(0));
    return success();
  }
};

/// Dropout scales by what it draws: its gradient draws the same.
struct DropoutModel : DestinationGradientModel<DropoutModel, DropoutOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<DropoutOp>(operation);
    Value out = VJPContext::createEmpty(builder, op.getLoc(), op->getResult(0));
    auto same = DropoutOp::create(builder, op.getLoc(), out.getType(), context.getCotangent(op->getResult(0)), op.getSeed(),
                                  op.getPositionOffset(), out, /*workspace=*/Value(), op.getProbabilityAttr(),
                                  op.getStreamAttr());
    context.addGradient(builder, op.getInput(), same->getResult(0));
    return success();
  }
};

} // namespace

void registerNormGradients(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, BPTDialect *) {
    LayerNormOp::attachInterface<LayerNormModel>(*context);
    RMSNormOp::attachInterface<RMSNormModel>(*context);
    RotaryOp::attachInterface<RotaryModel>(*context);
    DropoutOp::attachInterface<DropoutModel>(*context);
  });
}

} // namespace bpt
