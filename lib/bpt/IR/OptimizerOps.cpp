// Optimizer ops: verifiers and memory effects.
#include "Destination.h"
#include "Verify.h"

using namespace mlir;

namespace bpt {

void AdamWOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult AdamWOp::verify() {
  // C1
  if (failed(verifyDestination(*this, 3, 3)))
    return failure();
  Type element = getElement(getOuts()[0]), scalar = getAccumulatorType(element);
  Type gradElement = getElement(getGrad());
  ShapeChecker shapes(*this, element);
  if (failed(shapes.check("param", getOuts()[0], "*")) || failed(shapes.check("m", getOuts()[1], "*")) ||
      failed(shapes.check("v", getOuts()[2], "*")) || failed(shapes.check("grad", getGrad(), "*", gradElement)))
    return failure();
  if (gradElement != element && gradElement.getIntOrFloatBitWidth() >= element.getIntOrFloatBitWidth())
    return emitOpError("expected grad of ") << element << " or a narrower type, but got " << getGrad().getType();
  for (auto [name, value] : {std::pair<StringRef, Value>("lr", getLr()), {"norm", getNorm()}})
    if (value && getElement(value) != scalar)
      return emitOpError("expected ") << name << " of " << scalar << ", but got " << value.getType();
  // C2
  if (failed(verifyNonNegative(*this, "clip", getClip())))
    return failure();
  if (getClip().isNonZero() != bool(getNorm()))
    return emitOpError("expected a norm exactly when clip > 0, but got ")
           << (getNorm() ? "a norm and clip 0" : "clip and no norm");
  // C3
  return success(succeeded(verifyProbability(*this, "beta1", getBeta1())) &&
                 succeeded(verifyProbability(*this, "beta2", getBeta2())) &&
                 succeeded(verifyPositive(*this, "eps", getEps())) &&
                 succeeded(verifyNonNegative(*this, "weight_decay", getWeightDecay())));
}

void GlobalNormOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult GlobalNormOp::verify() {
  if (failed(verifyDestination(*this, 1, 1)))
    return failure();
  // C1
  if (getGrads().empty())
    return emitOpError("expected one gradient or more, but got none");
  Type element = getElement(getGrads()[0]);
  for (Value grad : getGrads())
    if (getElement(grad) != element)
      return emitOpError("expected gradients of ") << element << " as the first one, but got " << grad.getType();
  return ShapeChecker(*this, element).check("norm", getOuts()[0], "", getAccumulatorType(element));
}

} // namespace bpt
