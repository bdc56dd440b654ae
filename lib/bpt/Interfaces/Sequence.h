// What the models of SequenceOpInterface share. Private to lib/bpt/Interfaces.
#pragma once

#include "bpt/Interfaces/Interfaces.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/MLIRContext.h"

namespace bpt {
/// `op` cloned with `operands` in place of its own, one by one (two operands of one value may differ), and `types` as the
/// types of its results.
mlir::Operation *cloneWithOperands(mlir::OpBuilder &builder, mlir::Operation *op, mlir::ValueRange operands,
                                   mlir::TypeRange types);
/// The same for a destination-style op: results have the types of its inits.
mlir::Operation *cloneDestinationOp(mlir::OpBuilder &builder, mlir::Operation *op, mlir::ValueRange operands);
/// `type` with `size` for dim `dim`.
mlir::RankedTensorType withDim(mlir::RankedTensorType type, int64_t dim, int64_t size);

void attachLinalgSequenceModels(mlir::MLIRContext &context);
void attachTensorSequenceModels(mlir::MLIRContext &context);
void attachArithSequenceModels(mlir::MLIRContext &context);
void attachMathSequenceModels(mlir::MLIRContext &context);
} // namespace bpt
