// One place that registers everything of bpt: used by every tool, the plugin and embedders.
#pragma once

namespace mlir {
class DialectRegistry;
}

namespace bpt {
/// The dialect and the external models of its and of upstream ops (gradients, sequence, costs, bufferization).
void registerDialect(mlir::DialectRegistry &registry);
/// Every pass and pipeline of bpt, for use by name in a pass pipeline.
void registerPasses();
} // namespace bpt
