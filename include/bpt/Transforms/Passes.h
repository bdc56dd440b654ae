// Passes of include/bpt/Transforms/Passes.td: constructors, options, registration.
#pragma once

#include "mlir/Pass/Pass.h"

namespace mlir {
class ModuleOp;
}

namespace bpt {
#define GEN_PASS_DECL
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt
