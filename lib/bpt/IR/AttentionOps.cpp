// Attention ops: verifiers and memory effects.
#include "Destination.h"

using namespace mlir;

namespace bpt {

void AttentionOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult AttentionOp::verify() { return success(); }

void AttentionGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult AttentionGradOp::verify() { return success(); }

} // namespace bpt
