// The small language the definitions are written in: scalars with operators, tensors with index expressions, loops.
// One overload of `define` per op. Private to BPTToLinalg.
#pragma once

#include "bpt/IR/BPT.h"
#include "mlir/IR/AffineExpr.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace bpt::definition {

/// A scalar in a loop body, or a literal that takes the type of what it meets. Operators emit arith ops: floating-point
/// ones on floats, integer ones (unsigned division) on integers and indices.
class Scalar {
public:
  Scalar(double literal) : literal(literal) {}
  Scalar(mlir::ImplicitLocOpBuilder &builder, mlir::Value value) : builder(&builder), value(value) {}

  mlir::Type getType() const { return value.getType(); }
  mlir::ImplicitLocOpBuilder &getBuilder() const { return *builder; }
  /// The value; a literal becomes a constant of the type of `like`, at the insertion point of its builder.
  mlir::Value get(const Scalar &like) const;
  mlir::Value get() const { return get(*this); }
  bool isLiteral() const { return !value; }
  /// A constant of this scalar's type.
  Scalar constant(double literal) const { return {*builder, Scalar(literal).get(*this)}; }

  /// This float, integer or index as a value of the float type `type` (integers are signed).
  Scalar toFloat(mlir::Type type) const;
  /// This integer or index as an integer or index of type `type`; truncates, or extends the sign.
  Scalar toInteger(mlir::Type type) const;

private:
  mlir::ImplicitLocOpBuilder *builder = nullptr;
  mlir::Value value;
  double literal = 0;
};

Scalar operator+(Scalar a, Scalar b);
Scalar operator-(Scalar a, Scalar b);
Scalar operator*(Scalar a, Scalar b);
Scalar operator/(Scalar a, Scalar b);
/// Remainder of unsigned division.
Scalar operator%(Scalar a, Scalar b);
/// Bitwise, also of truth values.
Scalar operator&(Scalar a, Scalar b);
/// Comparisons give i1; ordered for floats, signed for integers.
Scalar equal(Scalar a, Scalar b);
Scalar notEqual(Scalar a, Scalar b);
Scalar less(Scalar a, Scalar b);
Scalar select(Scalar condition, Scalar yes, Scalar no);
/// NaN where either is NaN.
Scalar maximum(Scalar a, Scalar b);
Scalar minimum(Scalar a, Scalar b);
Scalar exp(Scalar x);
Scalar log(Scalar x);
Scalar tanh(Scalar x);
Scalar erf(Scalar x);
Scalar sqrt(Scalar x);
Scalar sin(Scalar x);
Scalar cos(Scalar x);
Scalar pow(Scalar base, Scalar exponent);

using Indices = llvm::SmallVector<mlir::AffineExpr, 6>;

/// A tensor and the element of it that one iteration of the loops reads or writes.
struct Access {
  mlir::Value tensor;
  Indices indices;
};

/// Builds the definition of one op on tensors. Everything is computed in the accumulator type: bodies see narrower
/// floats extended to it, and what they return is rounded once, to the element type of where it goes.
class Definition {
public:
  Definition(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type element)
      : builder(loc, builder), accumulator(getAccumulatorType(element)) {}

  /// The loop variable number `i`; loops nest in this order.
  mlir::AffineExpr loop(unsigned i) { return mlir::getAffineDimExpr(i, builder.getContext()); }
  /// Loop variables [begin, end).
  Indices loops(unsigned begin, unsigned end);
  /// The constant index 0: a dim of size 1 that is broadcast.
  mlir::AffineExpr zero() { return mlir::getAffineConstantExpr(0, builder.getContext()); }

  mlir::OpFoldResult size(mlir::Value tensor, int64_t dim);
  llvm::SmallVector<mlir::OpFoldResult> sizes(mlir::Value tensor);
  /// An uninitialised tensor of the accumulator type.
  mlir::Value empty(llvm::ArrayRef<mlir::OpFoldResult> shape);
  /// A tensor of the accumulator type with `value` everywhere.
  mlir::Value filled(llvm::ArrayRef<mlir::OpFoldResult> shape, double value);
  /// `tensor` with `value` everywhere, in its own type.
  mlir::Value fill(mlir::Value tensor, double value);

  using Body = llvm::function_ref<llvm::SmallVector<Scalar>(llvm::ArrayRef<Scalar>)>;
  /// For every iteration: outs = body(inputs.., outs..). A loop whose variable no out names alone is a reduction; with
  /// one, an out narrower than the accumulator type is carried in the accumulator type. Returns the new outs.
  llvm::SmallVector<mlir::Value> compute(llvm::ArrayRef<Access> outs, llvm::ArrayRef<Access> inputs, Body body);
  /// The same with one out and a body of one parameter per input, then the out: `compute(out, {x, w}, [](x, w, out)
  /// {..})`.
  template <size_t count, typename Function>
  mlir::Value compute(const Access &out, const Access (&inputs)[count], Function body) {
    return compute({out}, llvm::ArrayRef<Access>(inputs), [&](llvm::ArrayRef<Scalar> arguments) {
      return call(body, arguments, std::make_index_sequence<count + 1>());
    })[0];
  }
  /// The same without inputs: `compute(out, [](out) {..})`.
  template <typename Function> mlir::Value compute(const Access &out, Function body) {
    return compute({out}, llvm::ArrayRef<Access>(), [&](llvm::ArrayRef<Scalar> arguments) {
      return call(body, arguments, std::make_index_sequence<1>());
    })[0];
  }

  /// out += a * b, summed over the loops that `out` does not name.
  mlir::Value contract(const Access &out, const Access &a, const Access &b);
  /// out += a, summed over the loops that `out` does not name.
  mlir::Value accumulate(const Access &out, const Access &a);
  /// `value`, rounded to the element type of `out`, in the place of `out`, which has its shape.
  mlir::Value store(mlir::Value value, mlir::Value out);

  /// Within a body: the value of a loop variable (index).
  Scalar index(mlir::AffineExpr loop);
  /// Within a body: a value from outside as a scalar.
  Scalar scalar(mlir::Value value) { return {*body, value}; }
  /// Within a body: a constant of the accumulator type.
  Scalar constant(double value);
  /// Within a body: the size of a dim as a value of the accumulator type.
  Scalar extent(mlir::Value tensor, int64_t dim);

  mlir::ImplicitLocOpBuilder builder;
  mlir::Type accumulator;

private:
  template <typename Function, size_t... position>
  static llvm::SmallVector<Scalar> call(Function &body, llvm::ArrayRef<Scalar> arguments,
                                        std::index_sequence<position...>) {
    return {body(arguments[position]...)};
  }
  bool isNarrow(mlir::Value tensor);

  mlir::ImplicitLocOpBuilder *body = nullptr;
};

/// Whether an element survives dropout (i1): Philox4x32-10 with the key `seed` (i64) and the counter
/// (column / 8, row, plane, stream); half word column % 8 of the result, >= round(probability * 65536), means kept.
/// `plane`, `row` and `column` are index values.
Scalar keep(Scalar seed, Scalar plane, Scalar row, Scalar column, int64_t stream, double probability);

/// The activation of a feed-forward layer, and its derivative.
Scalar activate(Activation activation, Scalar x);
Scalar activationSlope(Activation activation, Scalar x);

using Results = llvm::FailureOr<llvm::SmallVector<mlir::Value>>;
Results define(mlir::OpBuilder &builder, AttentionOp op);
Results define(mlir::OpBuilder &builder, AttentionGradOp op);
Results define(mlir::OpBuilder &builder, FeedForwardOp op);
Results define(mlir::OpBuilder &builder, FeedForwardGradOp op);
Results define(mlir::OpBuilder &builder, LayerNormOp op);
Results define(mlir::OpBuilder &builder, LayerNormGradOp op);
Results define(mlir::OpBuilder &builder, RMSNormOp op);
Results define(mlir::OpBuilder &builder, RMSNormGradOp op);
Results define(mlir::OpBuilder &builder, RotaryOp op);
Results define(mlir::OpBuilder &builder, DropoutOp op);
Results define(mlir::OpBuilder &builder, EmbeddingOp op);
Results define(mlir::OpBuilder &builder, EmbeddingGradOp op);
Results define(mlir::OpBuilder &builder, LinearCrossEntropyOp op);
Results define(mlir::OpBuilder &builder, LinearCrossEntropyGradOp op);
Results define(mlir::OpBuilder &builder, AdamWOp op);
Results define(mlir::OpBuilder &builder, GlobalNormOp op);

} // namespace bpt::definition
