// Definitions generated for our op interfaces.
#include "bpt/Interfaces/Interfaces.h"
#include "bpt/Interfaces/VJPContext.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;

bool bpt::isFloatValue(Value value) { return isa<FloatType>(getElementTypeOrSelf(value.getType())); }

#include "bpt/Interfaces/CostModel.cpp.inc"
#include "bpt/Interfaces/Differentiable.cpp.inc"
#include "bpt/Interfaces/SequenceInterface.cpp.inc"
