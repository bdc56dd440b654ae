// Optimizer ops: verifiers and memory effects.
#include "Destination.h"

using namespace mlir;

namespace bpt {

void AdamWOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult AdamWOp::verify() { return success(); }

void GlobalNormOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult GlobalNormOp::verify() { return success(); }

} // namespace bpt
