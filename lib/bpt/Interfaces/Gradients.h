// What the external models of DifferentiableOpInterface share. Private to lib/bpt/Interfaces.
#pragma once

#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/ReverseMode.h"
#include "bpt/Interfaces/VJPContext.h"
#include "mlir/IR/DialectRegistry.h"

namespace bpt {
// One function per file <Group>Gradient.cpp: attaches the models of the group.
void registerScalarGradients(mlir::DialectRegistry &registry);
void registerLinalgGradients(mlir::DialectRegistry &registry);
void registerTensorGradients(mlir::DialectRegistry &registry);
void registerAttentionGradients(mlir::DialectRegistry &registry);
void registerFeedForwardGradients(mlir::DialectRegistry &registry);
void registerNormGradients(mlir::DialectRegistry &registry);
void registerVocabularyGradients(mlir::DialectRegistry &registry);
void registerCheckpointGradients(mlir::DialectRegistry &registry);
void registerBlockwiseGradients(mlir::DialectRegistry &registry);
void registerCallGradients(mlir::DialectRegistry &registry);

/// A builder at the end of a block that need not be in a region yet.
inline mlir::OpBuilder getBuilderAtEnd(mlir::Block &block, mlir::MLIRContext *context) {
  mlir::OpBuilder builder(context);
  builder.setInsertionPointToEnd(&block);
  return builder;
}

/// A float scalar in another float type; what was just rounded is taken as it was before.
mlir::Value convertFloat(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type, mlir::Value value);

/// Whether there is a rule for the arith or math op.
bool hasScalarRule(mlir::Operation *op);
/// Emits, for each operand for which `isNeeded`, the product of the results' `cotangents` (null: zero) with the derivative of
/// the arith or math op, and hands it to `add`. Works on scalars and vectors. Asserts hasScalarRule.
void buildScalarRule(mlir::OpBuilder &builder, mlir::Operation *op, mlir::ValueRange cotangents,
                     llvm::function_ref<bool(mlir::OpOperand &)> isNeeded,
                     llvm::function_ref<void(mlir::OpOperand &, mlir::Value)> add);

/// The common form of structured linalg ops and of elementwise arith and math ops on tensors: one scalar computation per point
/// of an iteration space, operands and results accessed through affine maps.
struct PointwiseOp {
  mlir::Operation *op; ///< for locations and errors
  llvm::SmallVector<mlir::Value> inputs, inits, results;
  llvm::SmallVector<mlir::AffineMap> inputMaps, resultMaps;
  unsigned loops;
  /// Arguments are the inputs' elements, then the inits'; the terminator's operands are the results' elements.
  mlir::Block *body;
};
/// The VJP of a pointwise op: maps, sums, and maxima and minima over loops.
mlir::LogicalResult buildPointwiseVJP(const PointwiseOp &op, mlir::OpBuilder &builder, VJPContext &context);

/// The VJP of `op`, a call of `callee` with its operands: calls the callee's backward, and replaces `op` by a call that
/// `createCall` makes when the backward needs further results of the forward.
mlir::LogicalResult buildCalleeVJP(mlir::Operation *op, mlir::func::FuncOp callee, Keep keep, mlir::OpBuilder &builder,
                                   VJPContext &context,
                                   llvm::function_ref<mlir::Operation *(mlir::OpBuilder &, mlir::func::FuncOp)> createCall);

/// Forward ops of bpt overwrite their outs: no gradient flows to them.
inline bool isDifferentiableInput(mlir::Operation *op, mlir::OpOperand &operand) {
  return isFloatValue(operand.get()) && !llvm::cast<mlir::DestinationStyleOpInterface>(op).isDpsInit(&operand);
}
/// Base of the external models of bpt's forward ops.
template <typename Model, typename OpTy>
struct DestinationGradientModel : DifferentiableOpInterface::ExternalModel<Model, OpTy> {
  bool isDifferentiableOperand(mlir::Operation *op, mlir::OpOperand &operand) const {
    return isDifferentiableInput(op, operand);
  }
};
/// The cotangent of a result, or zeros for one that has none.
inline mlir::Value getCotangentOrZero(mlir::OpBuilder &builder, VJPContext &context, mlir::Value result) {
  mlir::Value cotangent = context.getCotangent(result);
  return cotangent ? cotangent : VJPContext::createZero(builder, result.getLoc(), result);
}
} // namespace bpt
