// Passes of include/bpt/Conversion/Passes.td: constructors, options, registration.
#pragma once

#include "mlir/Pass/Pass.h"

namespace mlir {
class ModuleOp;
}

namespace bpt {
#define GEN_PASS_DECL
#include "bpt/Conversion/Passes.h.inc"
} // namespace bpt
