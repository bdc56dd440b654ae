// Norm ops: verifiers and memory effects.
#include "Destination.h"

using namespace mlir;

namespace bpt {

void LayerNormOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult LayerNormOp::verify() { return success(); }

void LayerNormGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult LayerNormGradOp::verify() { return success(); }

void RMSNormOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult RMSNormOp::verify() { return success(); }

void RMSNormGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult RMSNormGradOp::verify() { return success(); }

void RotaryOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult RotaryOp::verify() { return success(); }

void DropoutOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult DropoutOp::verify() { return success(); }

} // namespace bpt
