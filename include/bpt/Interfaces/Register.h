// Registration of the external models that implement our and upstream interfaces.
#pragma once

namespace mlir {
class DialectRegistry;
}

namespace bpt {
/// DifferentiableOpInterface for bpt, linalg, arith, math, tensor and func ops.
void registerDifferentiableModels(mlir::DialectRegistry &registry);
/// SequenceOpInterface for bpt, linalg, arith and tensor ops.
void registerSequenceModels(mlir::DialectRegistry &registry);
/// CostModelOpInterface for the bpt ops that are products.
void registerCostModels(mlir::DialectRegistry &registry);
/// BufferizableOpInterface for bpt ops.
void registerBufferizationModels(mlir::DialectRegistry &registry);
} // namespace bpt
