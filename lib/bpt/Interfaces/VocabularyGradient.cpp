// VJPs of both ends of a language model: embedding and linear + cross-entropy.
#include "Gradients.h"

using namespace mlir;

namespace bpt {
namespace {

struct EmbeddingModel : DestinationGradientModel<EmbeddingModel, EmbeddingOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<EmbeddingOp>(operation);
    GradientOuts outs(builder, context);
    outs.add(op.getTable());
    auto grad = EmbeddingGradOp::create(builder, op.getLoc(), outs.getTypes(), context.getCotangent(op->getResult(0)),
                                        op.getIds(), outs.getOuts(), /*workspace=*/Value());
    outs.finish(grad.getResults());
    return success();
  }
};

struct LinearCrossEntropyModel : DestinationGradientModel<LinearCrossEntropyModel, LinearCrossEntropyOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<LinearCrossEntropyOp>(operation);
    if (context.getCotangent(op->getResult(1)))
      return op.emitOpError("expected no gradient through lse, but it is on the path of one; use the loss");
    GradientOuts outs(builder, context);
    outs.add(op.getInput());
    outs.add(op.getWeight());
    auto grad = LinearCrossEntropyGradOp::create(
        builder, op.getLoc(), outs.getTypes(), context.getCotangent(op->getResult(0)), op.getInput(), op.getWeight(),
        op.getTargets(), op->getResult(1), op.getValidCount(), outs.getOuts(), /*workspace=*/Value(),
        op.getIgnoreIndexAttr(), op.getWeightsTransposedAttr(), /*schedule=*/nullptr);
    outs.finish(grad.getResults());
    return success();
  }
};

} // namespace

void registerVocabularyGradients(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, BPTDialect *) {
    EmbeddingOp::attachInterface<EmbeddingModel>(*context);
    LinearCrossEntropyOp::attachInterface<LinearCrossEntropyModel>(*context);
  });
}

} // namespace bpt
