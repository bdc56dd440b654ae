// Row-wise ops: verifiers, memory effects, folds.
#include "Destination.h"
#include "Verify.h"

using namespace mlir;

namespace bpt {

void LayerNormOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult LayerNormOp::verify() {
  ShapeChecker shapes(*this, getElement(getInput()));
  // C1, C2, C3
  return success(succeeded(verifyDestination(*this, 1, 1)) && succeeded(shapes.check("input", getInput(), "*E")) &&
                 succeeded(shapes.check("weight", getWeight(), "E")) &&
                 succeeded(shapes.check("bias", getBias(), "E")) &&
                 succeeded(shapes.check("out", getOuts()[0], "*E")) && succeeded(shapes.checkPositive("E")) &&
                 succeeded(verifyPositive(*this, "eps", getEps())));
}

void LayerNormGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult LayerNormGradOp::verify() {
  ShapeChecker shapes(*this, getElement(getInput()));
  unsigned outs = 1 + bool(getWeight()) + bool(getBias());
  // C1 (dout), C2
  if (failed(verifyDestination(*this, outs, outs)) || failed(shapes.check("input", getInput(), "*E")) ||
      failed(shapes.check("dout", getDout(), "*E")) || failed(shapes.check("weight", getWeight(), "E")) ||
      failed(shapes.check("bias", getBias(), "E")))
    return failure();
  // C1
  if (failed(shapes.checkGradient("dinput", getOuts()[0], "*E")) ||
      (getWeight() && failed(shapes.checkGradient("dweight", getOuts()[1], "E"))) ||
      (getBias() && failed(shapes.checkGradient("dbias", getOuts().back(), "E"))))
    return failure();
  // C3
  return success(succeeded(shapes.checkPositive("E")) && succeeded(verifyPositive(*this, "eps", getEps())));
}

void RMSNormOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult RMSNormOp::verify() {
  ShapeChecker shapes(*this, getElement(getInput()));
  // C1, C2, C3
  return success(succeeded(verifyDestination(*this, 1, 1)) && succeeded(shapes.check("input", getInput(), "*E")) &&
                 succeeded(shapes.check("weight", getWeight(), "E")) &&
                 succeeded(shapes.check("out", getOuts()[0], "*E")) && succeeded(shapes.checkPositive("E")) &&
                 succeeded(verifyPositive(*this, "eps", getEps())));
}

void RMSNormGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult RMSNormGradOp::verify() {
  ShapeChecker shapes(*this, getElement(getInput()));
  unsigned outs = getWeight() ? 2 : 1;
  // C1, C2
  if (failed(verifyDestination(*this, outs, outs)) || failed(shapes.check("input", getInput(), "*E")) ||
      failed(shapes.check("dout", getDout(), "*E")) || failed(shapes.check("weight", getWeight(), "E")) ||
      failed(shapes.checkGradient("dinput", getOuts()[0], "*E")) ||
      (getWeight() && failed(shapes.checkGradient("dweight", getOuts()[1], "E"))))
    return failure();
  // C3
  return success(succeeded(shapes.checkPositive("E")) && succeeded(verifyPositive(*this, "eps", getEps())));
}

void RotaryOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult RotaryOp::verify() {
  ShapeChecker shapes(*this, getElement(getInput()));
  // C1
  if (failed(verifyDestination(*this, 1, 1)) || failed(shapes.check("input", getInput(), "BSHD")) ||
      failed(shapes.check("out", getOuts()[0], "BSHD")) || failed(shapes.checkPositive("D")))
    return failure();
  if (std::optional<int64_t> dim = shapes.getSize('D'); dim && *dim % 2 != 0)
    return emitOpError("expected an even head dim, but got ") << *dim;
  // C2
  return verifyPositive(*this, "theta", getTheta());
}

LogicalResult RotaryOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &results) {
  // Position 0 turns by nothing.
  auto type = cast<ShapedType>(getInput().getType());
  if (getNumResults() != 1 || getPositionOffset() || type.getDimSize(1) != 1 || getInput().getType() != getType(0))
    return failure();
  results.push_back(getInput());
  return success();
}

void DropoutOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult DropoutOp::verify() {
  ShapeChecker shapes(*this, getElement(getInput()));
  // C1
  if (failed(verifyDestination(*this, 1, 1)) || failed(shapes.check("input", getInput(), "*")) ||
      failed(shapes.check("out", getOuts()[0], "*")))
    return failure();
  if (getShape(getInput()).getRank() < 2)
    return emitOpError("expected an input of rank 2 or more, but got ") << getInput().getType();
  // C2
  return verifyProbability(*this, "probability", getProbability());
}

LogicalResult DropoutOp::fold(FoldAdaptor, SmallVectorImpl<OpFoldResult> &results) {
  if (getNumResults() != 1 || getProbability().isNonZero() || getInput().getType() != getType(0))
    return failure();
  results.push_back(getInput());
  return success();
}

} // namespace bpt
