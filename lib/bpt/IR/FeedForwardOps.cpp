// FeedForward ops: verifiers and memory effects.
#include "Destination.h"

using namespace mlir;

namespace bpt {

void FeedForwardOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult FeedForwardOp::verify() { return success(); }

void FeedForwardGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult FeedForwardGradOp::verify() { return success(); }

} // namespace bpt
