// Registration of the dialect, external models, passes and pipelines.
#include "bpt/Pipelines/Register.h"
#include "bpt/Conversion/Passes.h"
#include "bpt/IR/BPT.h"
#include "bpt/Transforms/Passes.h"

using namespace mlir;

void bpt::registerDialect(DialectRegistry &registry) { registry.insert<BPTDialect>(); }

void bpt::registerPasses() {
}
