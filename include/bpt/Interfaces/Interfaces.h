// Our op interfaces and the types their methods use.
#pragma once

#include "bpt/Interfaces/SizeFormula.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"

namespace bpt {
class VJPContext;
/// Whether `value` is a float, or a tensor or memref of floats.
bool isFloatValue(mlir::Value value);
} // namespace bpt

#include "bpt/Interfaces/CostModel.h.inc"
#include "bpt/Interfaces/Differentiable.h.inc"
#include "bpt/Interfaces/SequenceInterface.h.inc"
