// The scalar body of a linalg op evaluated on vectors of accumulators (or on scalars).
#pragma once

#include "Emitter.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace bpt {

/// Evaluates bodies. Every float in registers has the accumulator type; conversions between float types inside the body round
/// nothing, results are rounded when they are stored.
class Body {
public:
  /// `asVector`: values are vectors of lanes, scalars are broadcast as needed.
  Body(Emitter &e, mlir::linalg::LinalgOp op, bool asVector) : e(e), op(op), asVector(asVector) {}

  /// Loop indices for linalg.index; `vectorDim` (or -1) runs along the lanes.
  void setIndices(llvm::ArrayRef<mlir::Value> indices, int64_t vectorDim);
  /// A value of the surrounding code that the body uses; constants need not be set.
  void setOutside(mlir::Value outside, mlir::Value inside) { known[outside] = inside; }
  /// What the terminator yields for these block arguments.
  llvm::SmallVector<mlir::Value> evaluate(mlir::ValueRange arguments);
  /// The result of one op of the body for these operands.
  mlir::Value evaluate(mlir::Operation *inner, llvm::ArrayRef<mlir::Value> operands);

  /// Whether all ops of the body have code; emits an error at the first that has none.
  static mlir::LogicalResult check(mlir::linalg::LinalgOp op);
  /// The body as text, the same for equal bodies; values of the surrounding code that are not constants are appended to
  /// `outside`.
  static std::string print(mlir::linalg::LinalgOp op, llvm::SmallVectorImpl<mlir::Value> &outside);

private:
  mlir::Value toVector(mlir::Value value);
  mlir::Value getIndex(int64_t dim);
  mlir::Type convert(mlir::Type type, bool vector);

  Emitter &e;
  mlir::linalg::LinalgOp op;
  bool asVector;
  llvm::SmallVector<mlir::Value> indices;
  llvm::DenseMap<mlir::Value, mlir::Value> known;
  int64_t vectorDim = -1;
};

} // namespace bpt
