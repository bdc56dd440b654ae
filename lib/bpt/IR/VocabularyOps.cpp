// Vocabulary ops: verifiers and memory effects.
#include "Destination.h"

using namespace mlir;

namespace bpt {

void EmbeddingOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult EmbeddingOp::verify() { return success(); }

void EmbeddingGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult EmbeddingGradOp::verify() { return success(); }

void LinearCrossEntropyOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult LinearCrossEntropyOp::verify() { return success(); }

void LinearCrossEntropyGradOp::getEffects(EffectList &effects) { addDestinationEffects(*this, effects); }
LogicalResult LinearCrossEntropyGradOp::verify() { return success(); }

} // namespace bpt
