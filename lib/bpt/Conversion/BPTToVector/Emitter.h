// Emits the body of a CPU kernel: index arithmetic, loops, vectors of accumulators from and to storage types, scratch.
#pragma once

#include "bpt/Analysis/TargetInfo.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"

namespace bpt {

class Emitter;
/// The same memory as integers where elements are 16-bit floats: LLVM would emulate masked and selected vectors of them
/// with library calls.
mlir::Value asBits(Emitter &e, mlir::Value memref);
/// Elements of a cache line.
inline int64_t getLineElements(mlir::Type element) { return 64 * 8 / element.getIntOrFloatBitWidth(); }

/// A builder for one kernel. Floating-point values in registers always have the accumulator type (f32, or f64 for f64);
/// storage types exist in memory only. Index arithmetic folds constants, so static shapes give static loops.
/// Floating-point addition is never reassociated: what is emitted is the order of the sums.
class Emitter : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;
  using Values = llvm::SmallVector<mlir::Value>;

  Emitter(mlir::Location loc, mlir::OpBuilder builder, const TargetInfo &target, mlir::Type accumulator)
      : ImplicitLocOpBuilder(loc, builder), target(target), accumulator(accumulator),
        lanes(target.getLanes(accumulator)), vectorType(mlir::VectorType::get(lanes, accumulator)) {}

  const TargetInfo &target;
  /// f32 or f64; every vector of the kernel has `lanes` lanes, whatever its element type.
  const mlir::Type accumulator;
  const int64_t lanes;
  const mlir::VectorType vectorType;

  //===--- index arithmetic (non-negative operands) ------------------------------------------------------------------===//
  Value index(int64_t value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b) { return add(a, index(b)); }
  Value sub(Value a, Value b);
  Value sub(Value a, int64_t b) { return sub(a, index(b)); }
  Value mul(Value a, Value b);
  Value mul(Value a, int64_t b) { return mul(a, index(b)); }
  Value div(Value a, Value b);
  Value div(Value a, int64_t b) { return div(a, index(b)); }
  Value rem(Value a, Value b);
  Value ceilDiv(Value a, Value b);
  Value ceilDiv(Value a, int64_t b) { return ceilDiv(a, index(b)); }
  /// The smallest multiple of b that is not below a.
  Value roundUp(Value a, int64_t b) { return mul(ceilDiv(a, b), b); }
  Value min(Value a, Value b);
  Value min(Value a, int64_t b) { return min(a, index(b)); }
  Value max(Value a, Value b);
  Value max(Value a, int64_t b) { return max(a, index(b)); }
  Value select(Value condition, Value a, Value b);
  /// A constant i1.
  Value bit(bool value) { return mlir::arith::ConstantOp::create(*this, getBoolAttr(value)); }
  /// i1 from two index values, e.g. compare(slt, a, b).
  Value compare(mlir::arith::CmpIPredicate predicate, Value a, Value b);
  Value less(Value a, Value b) { return compare(mlir::arith::CmpIPredicate::slt, a, b); }
  Value equal(Value a, Value b) { return compare(mlir::arith::CmpIPredicate::eq, a, b); }

  //===--- memrefs ---------------------------------------------------------------------------------------------------===//
  /// Size of dim `dim`: a constant when static.
  Value dim(Value memref, int64_t dim);
  /// Product of all dims but the last `inner`.
  Value rows(Value memref, int64_t inner = 1);
  /// Indices into the leading dims (all but the last `inner`) of the row-major position `row`. With one leading dim: the row.
  Values rowIndices(Value memref, Value row, int64_t inner = 1);

  /// The part of a matrix of these sizes that begins at `from`.
  Value slice(Value matrix, llvm::ArrayRef<Value> from, llvm::ArrayRef<Value> sizes);

  //===--- control flow ----------------------------------------------------------------------------------------------===//
  /// for (i = begin; i < end; i += step) body(i)
  void loop(Value begin, Value end, int64_t step, llvm::function_ref<void(Value i)> body);
  /// The same with values carried from iteration to iteration; returns the last ones.
  Values loop(Value begin, Value end, int64_t step, ValueRange init,
              llvm::function_ref<Values(Value i, ValueRange carried)> body);
  /// if (condition) then(); a constant condition leaves no branch.
  void ifThen(Value condition, llvm::function_ref<void()> then, llvm::function_ref<void()> otherwise = {});
  /// The same with values; both must return as many.
  Values choose(Value condition, llvm::function_ref<Values()> then, llvm::function_ref<Values()> otherwise);
  /// switch (value) case 0 .. count - 1: body(case): one copy of `body` for each; other values do nothing.
  void switchCase(Value value, int64_t count, llvm::function_ref<void(int64_t)> body);
  /// One parallel phase of a kernel: items 0 .. n - 1, in any order, on any thread. `n` is a function of shapes only.
  void parallel(Value n, llvm::function_ref<void(Value item)> body);

  //===--- scratch ---------------------------------------------------------------------------------------------------===//
  /// Begins a new layout of the thread's scratch; called by `parallel`.
  void beginScratch();
  /// A piece of the thread's scratch, aligned to 64 bytes; only inside `parallel`. Static shape.
  Value scratch(llvm::ArrayRef<int64_t> shape, mlir::Type element);
  /// Gives back what was taken since the mark: for parts of a body that do not live at once.
  int64_t markScratch() const { return scratchOffset; }
  void releaseScratch(int64_t mark) { scratchOffset = mark; }
  /// The most bytes any phase took so far.
  int64_t getScratchBytes() const { return scratchBytesUsed; }
  /// A view of `bytes` (memref<?xi8>) from byte `offset`, dims as given (dynamic where `shape` says so).
  Value view(Value bytes, Value offset, llvm::ArrayRef<int64_t> shape, ValueRange dynamic, mlir::Type element);

  //===--- scalars and vectors ---------------------------------------------------------------------------------------===//
  /// Type of `lanes` lanes of `element`.
  mlir::VectorType vectorOf(mlir::Type element) const { return mlir::VectorType::get(lanes, element); }
  /// Constants of the accumulator type.
  Value scalar(double value);
  Value splat(double value);
  /// i32 lanes (i64 for f64): the integers with the bits of a vector of accumulators.
  Value splatInt(int64_t value);
  Value broadcast(Value scalar);
  /// First `count` lanes (index; may be more than `lanes`).
  Value maskFirst(Value count);
  /// Lanes from memory, converted to the accumulator type (integers stay what they are). Lanes outside `mask` (null: none) are
  /// zero and are not read. The last dim of `memref` has stride 1.
  Value load(Value memref, ValueRange indices, Value mask = {});
  /// Lanes to memory, rounded to the storage type.
  void store(Value vector, Value memref, ValueRange indices, Value mask = {});
  /// The same past the caches, to an address that is a multiple of the stored vector's bytes.
  void stream(Value vector, Value memref, ValueRange indices);
  /// One element, converted as above.
  Value loadScalar(Value memref, ValueRange indices);
  void storeScalar(Value scalar, Value memref, ValueRange indices);
  /// Conversion between a storage type and the accumulator type, scalars or vectors, without calls into a C library.
  Value expand(Value stored);
  Value round(Value value, mlir::Type storage);

  /// Visits columns [0, n) a vector at a time: body(column, mask), mask null for full vectors. The tail is emitted only when
  /// `n` may not be a multiple of the lanes.
  void columns(Value n, llvm::function_ref<void(Value column, Value mask)> body);
  /// The same with carried values.
  Values columns(Value n, ValueRange init, llvm::function_ref<Values(Value column, Value mask, ValueRange carried)> body);

  // Floating point on scalars or vectors of accumulators.
  Value addf(Value a, Value b) { return mlir::arith::AddFOp::create(*this, a, b); }
  Value subf(Value a, Value b) { return mlir::arith::SubFOp::create(*this, a, b); }
  Value mulf(Value a, Value b) { return mlir::arith::MulFOp::create(*this, a, b); }
  Value divf(Value a, Value b) { return mlir::arith::DivFOp::create(*this, a, b); }
  Value negf(Value a) { return mlir::arith::NegFOp::create(*this, a); }
  /// a * b + c; two roundings on targets without FMA (no call of fmaf).
  Value fma(Value a, Value b, Value c);
  /// Larger / smaller, one instruction: gives b when either is NaN.
  Value maxf(Value a, Value b);
  Value minf(Value a, Value b);
  Value compareFloat(mlir::arith::CmpFPredicate predicate, Value a, Value b) {
    return mlir::arith::CmpFOp::create(*this, predicate, a, b);
  }
  /// Sum and maximum of the lanes as a scalar: halves are combined until one lane is left, a fixed order.
  Value sumLanes(Value vector);
  Value maxLanes(Value vector);

private:
  Value combineLanes(Value vector, llvm::function_ref<Value(Value, Value)> combine);
  Value scratchBase;
  int64_t scratchOffset = 0, scratchBytesUsed = 0;
};

} // namespace bpt
