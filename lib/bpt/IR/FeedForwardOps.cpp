// Feed-forward layer and its gradient: verifiers, memory effects, canonicalisation.
#include "Destination.h"
#include "Verify.h"
#include "mlir/IR/PatternMatch.h"

using namespace mlir;

namespace bpt {

/// C1 to C3 of bpt.feed_forward, for its operands; defines K, the columns of hidden.
template <typename FeedForwardLike> static LogicalResult verifyFeedForward(FeedForwardLike op, ShapeChecker &shapes) {
  bool transposed = op.getWeightsTransposed();
  StringRef up = transposed ? "FE" : "EF", down = transposed ? "NF" : "FN";
  // C1, C2
  if (failed(shapes.check("input", op.getInput(), "*E")) || failed(shapes.check("up weight", op.getUpWeight(), up)) ||
      failed(shapes.check("gate weight", op.getGateWeight(), up)) ||
      failed(shapes.check("down weight", op.getDownWeight(), down)) || failed(shapes.checkPositive("EFN")))
    return failure();
  // C1, C3
  if (op.getGateBias() && !op.getGateWeight())
    return op.emitOpError("expected a gate weight with the gate bias, but got none");
  if (failed(shapes.check("up bias", op.getUpBias(), "F")) ||
      failed(shapes.check("gate bias", op.getGateBias(), "F")) ||
      failed(shapes.check("down bias", op.getDownBias(), "N")))
    return failure();
  std::optional<int64_t> hidden = shapes.getSize('F');
  if (hidden && op.getGateWeight())
    hidden = 2 * *hidden; // fits: verifyDestination bounds F elements of 2 bytes or more
  shapes.define('K', hidden, op.getGateWeight() ? "the columns of up and gate weight" : "the columns of up weight");
  return success();
}

void FeedForwardOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult FeedForwardOp::verify() {
  ShapeChecker shapes(*this, getElement(getInput()));
  // C4 (count)
  if (failed(verifyDestination(*this, 1, 2)) || failed(verifyFeedForward(*this, shapes)))
    return failure();
  // C1, C2
  if (failed(shapes.check("out", getOuts()[0], "*N")))
    return failure();
  // C4
  return hasHidden() ? shapes.check("hidden", getOuts()[1], "*K") : success();
}

/// A hidden that nobody uses is a [.., F] tensor for nothing.
LogicalResult FeedForwardOp::canonicalize(FeedForwardOp op, PatternRewriter &rewriter) {
  if (op.getNumResults() != 2 || !op.getResult(1).use_empty())
    return rewriter.notifyMatchFailure(op, "no hidden, or it is used");
  dropLastOut(op, rewriter);
  return success();
}

void FeedForwardGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }

LogicalResult FeedForwardGradOp::verify() {
  std::pair<StringRef, Value> operands[] = {{"input", getInput()},        {"up weight", getUpWeight()},
                                            {"up bias", getUpBias()},     {"gate weight", getGateWeight()},
                                            {"gate bias", getGateBias()}, {"down weight", getDownWeight()},
                                            {"down bias", getDownBias()}};
  unsigned count = llvm::count_if(operands, [](auto &operand) { return bool(operand.second); });
  ShapeChecker shapes(*this, getElement(getInput()));
  // C1 (count), C2
  if (failed(verifyDestination(*this, count, count)) || failed(verifyFeedForward(*this, shapes)) ||
      failed(shapes.check("dout", getDout(), "*N")) || failed(shapes.check("hidden", getHidden(), "*K")))
    return failure();
  // C1
  unsigned next = 0;
  for (auto [name, operand] : operands)
    if (operand && failed(verifyGradient(*this, ("gradient of " + name).str(), getOuts()[next++], name, operand)))
      return failure();
  return success();
}

} // namespace bpt
