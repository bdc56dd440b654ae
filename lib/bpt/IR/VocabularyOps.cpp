// Embedding, linear cross-entropy and their gradients: verifiers and memory effects.
#include "Destination.h"
#include "Verify.h"

using namespace mlir;

namespace bpt {

void EmbeddingOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult EmbeddingOp::verify() {
  ShapeChecker shapes(*this, getElement(getTable()));
  // C1
  return success(succeeded(verifyDestination(*this, 1, 1)) &&
                 succeeded(shapes.check("ids", getIds(), "BS", getElement(getIds()))) &&
                 succeeded(shapes.check("table", getTable(), "VE")) &&
                 succeeded(shapes.check("out", getOuts()[0], "BSE")) && succeeded(shapes.checkPositive("VE")));
}

void EmbeddingGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult EmbeddingGradOp::verify() {
  ShapeChecker shapes(*this, getElement(getDout()));
  // C1
  return success(succeeded(verifyDestination(*this, 1, 1)) &&
                 succeeded(shapes.check("ids", getIds(), "BS", getElement(getIds()))) &&
                 succeeded(shapes.check("dout", getDout(), "BSE")) &&
                 succeeded(shapes.checkGradient("dtable", getOuts()[0], "VE")) && succeeded(shapes.checkPositive("VE")));
}

/// C1 and C2 (targets) of bpt.linear_cross_entropy.
template <typename CrossEntropyLike>
static LogicalResult verifyCrossEntropy(CrossEntropyLike op, ShapeChecker &shapes) {
  Type i32 = IntegerType::get(op.getContext(), 32);
  return success(succeeded(shapes.check("input", op.getInput(), "*E")) &&
                 succeeded(shapes.check("weight", op.getWeight(), op.getWeightsTransposed() ? "VE" : "EV")) &&
                 succeeded(shapes.check("targets", op.getTargets(), "*", i32)) &&
                 succeeded(shapes.checkPositive("VE")));
}

void LinearCrossEntropyOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult LinearCrossEntropyOp::verify() {
  Type element = getElement(getInput()), accumulator = getAccumulatorType(element);
  ShapeChecker shapes(*this, element);
  // C1, C2
  if (failed(verifyDestination(*this, 2, 2)) || failed(verifyCrossEntropy(*this, shapes)))
    return failure();
  // C2, C3
  return success(succeeded(shapes.check("loss", getOuts()[0], "", accumulator)) &&
                 succeeded(shapes.check("lse", getOuts()[1], "*", accumulator)));
}

void LinearCrossEntropyGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult LinearCrossEntropyGradOp::verify() {
  Type element = getElement(getInput()), accumulator = getAccumulatorType(element);
  ShapeChecker shapes(*this, element);
  // C2, C3
  unsigned outs = computesLoss() ? 3 : 2;
  if (failed(verifyDestination(*this, outs, outs)) || failed(verifyCrossEntropy(*this, shapes)) ||
      failed(shapes.check("lse", getLse(), "*", accumulator)) ||
      (computesLoss() && failed(shapes.check("loss", getOuts()[2], "", accumulator))) ||
      failed(shapes.check("dloss", getDloss(), "", accumulator)))
    return failure();
  // C1
  return success(succeeded(shapes.checkGradient("dinput", getOuts()[0], "*E")) &&
                 succeeded(shapes.checkGradient("dweight", getOuts()[1], getWeightsTransposed() ? "VE" : "EV")));
}

} // namespace bpt
