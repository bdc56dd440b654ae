// Scalars, loops and accumulation of the definitions.
#include "Definition.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Utils/StructuredOpsUtils.h"

using namespace mlir;

namespace bpt::definition {

//===- Scalars ----------------------------------------------------------------------------------------------------===//

static Value buildConstant(ImplicitLocOpBuilder &builder, Type type, double value) {
  if (isa<FloatType>(type))
    return arith::ConstantOp::create(builder, builder.getFloatAttr(type, value));
  return arith::ConstantOp::create(builder, builder.getIntegerAttr(type, static_cast<int64_t>(value)));
}

Value Scalar::get(const Scalar &like) const {
  return isLiteral() ? buildConstant(like.getBuilder(), like.getType(), literal) : value;
}

Scalar Scalar::toFloat(Type type) const {
  if (auto from = dyn_cast<FloatType>(getType())) {
    unsigned width = from.getWidth(), target = cast<FloatType>(type).getWidth();
    if (width < target)
      return {*builder, arith::ExtFOp::create(*builder, type, value)};
    if (width > target)
      return {*builder, arith::TruncFOp::create(*builder, type, value)};
    return *this;
  }
  Value integer = toInteger(builder->getI64Type()).get();
  return {*builder, arith::SIToFPOp::create(*builder, type, integer)};
}

Scalar Scalar::toInteger(Type type) const {
  if (getType() == type)
    return *this;
  if (getType().isIndex() || type.isIndex())
    return {*builder, arith::IndexCastOp::create(*builder, type, value)};
  if (getType().getIntOrFloatBitWidth() < type.getIntOrFloatBitWidth())
    return {*builder, arith::ExtSIOp::create(*builder, type, value)};
  return {*builder, arith::TruncIOp::create(*builder, type, value)};
}

/// Emits `FloatOp` or `IntegerOp`; the operand that is a literal takes the type of the other.
template <typename FloatOp, typename IntegerOp> static Scalar binary(Scalar a, Scalar b) {
  const Scalar &typed = a.isLiteral() ? b : a;
  ImplicitLocOpBuilder &builder = typed.getBuilder();
  Value left = a.get(typed), right = b.get(typed);
  if (isa<FloatType>(typed.getType()))
    return {builder, FloatOp::create(builder, left, right)};
  return {builder, IntegerOp::create(builder, left, right)};
}

static Scalar compare(arith::CmpFPredicate real, arith::CmpIPredicate integer, Scalar a, Scalar b) {
  const Scalar &typed = a.isLiteral() ? b : a;
  ImplicitLocOpBuilder &builder = typed.getBuilder();
  Value left = a.get(typed), right = b.get(typed);
  if (isa<FloatType>(typed.getType()))
    return {builder, arith::CmpFOp::create(builder, real, left, right)};
  return {builder, arith::CmpIOp::create(builder, integer, left, right)};
}

template <typename Op> static Scalar unary(Scalar x) { return {x.getBuilder(), Op::create(x.getBuilder(), x.get())}; }

Scalar operator+(Scalar a, Scalar b) { return binary<arith::AddFOp, arith::AddIOp>(a, b); }
Scalar operator-(Scalar a, Scalar b) { return binary<arith::SubFOp, arith::SubIOp>(a, b); }
Scalar operator*(Scalar a, Scalar b) { return binary<arith::MulFOp, arith::MulIOp>(a, b); }
Scalar operator/(Scalar a, Scalar b) { return binary<arith::DivFOp, arith::DivUIOp>(a, b); }
Scalar operator%(Scalar a, Scalar b) { return binary<arith::RemFOp, arith::RemUIOp>(a, b); }
Scalar operator&(Scalar a, Scalar b) {
  return {a.getBuilder(), arith::AndIOp::create(a.getBuilder(), a.get(), b.get(a))};
}
Scalar equal(Scalar a, Scalar b) { return compare(arith::CmpFPredicate::OEQ, arith::CmpIPredicate::eq, a, b); }
Scalar notEqual(Scalar a, Scalar b) { return compare(arith::CmpFPredicate::ONE, arith::CmpIPredicate::ne, a, b); }
Scalar less(Scalar a, Scalar b) { return compare(arith::CmpFPredicate::OLT, arith::CmpIPredicate::slt, a, b); }
Scalar maximum(Scalar a, Scalar b) { return binary<arith::MaximumFOp, arith::MaxSIOp>(a, b); }
Scalar minimum(Scalar a, Scalar b) { return binary<arith::MinimumFOp, arith::MinSIOp>(a, b); }
Scalar pow(Scalar base, Scalar exponent) { return binary<math::PowFOp, math::IPowIOp>(base, exponent); }
Scalar exp(Scalar x) { return unary<math::ExpOp>(x); }
Scalar log(Scalar x) { return unary<math::LogOp>(x); }
Scalar tanh(Scalar x) { return unary<math::TanhOp>(x); }
Scalar erf(Scalar x) { return unary<math::ErfOp>(x); }
Scalar sqrt(Scalar x) { return unary<math::SqrtOp>(x); }
Scalar sin(Scalar x) { return unary<math::SinOp>(x); }
Scalar cos(Scalar x) { return unary<math::CosOp>(x); }

Scalar select(Scalar condition, Scalar yes, Scalar no) {
  ImplicitLocOpBuilder &builder = condition.getBuilder();
  const Scalar &typed = yes.isLiteral() ? no : yes;
  return {builder, arith::SelectOp::create(builder, condition.get(), yes.get(typed), no.get(typed))};
}

//===- Tensors ----------------------------------------------------------------------------------------------------===//

Indices Definition::loops(unsigned begin, unsigned end) {
  Indices result;
  for (unsigned i = begin; i < end; ++i)
    result.push_back(loop(i));
  return result;
}

OpFoldResult Definition::size(Value tensor, int64_t dim) {
  return tensor::getMixedSize(builder, builder.getLoc(), tensor, dim);
}

SmallVector<OpFoldResult> Definition::sizes(Value tensor) {
  return tensor::getMixedSizes(builder, builder.getLoc(), tensor);
}

Value Definition::empty(ArrayRef<OpFoldResult> shape) { return tensor::EmptyOp::create(builder, shape, accumulator); }

Value Definition::filled(ArrayRef<OpFoldResult> shape, double value) { return fill(empty(shape), value); }

Value Definition::fill(Value tensor, double value) {
  Value constant = buildConstant(builder, cast<RankedTensorType>(tensor.getType()).getElementType(), value);
  return linalg::FillOp::create(builder, constant, tensor).getResult(0);
}

bool Definition::isNarrow(Value tensor) {
  auto element = dyn_cast<FloatType>(cast<RankedTensorType>(tensor.getType()).getElementType());
  return element && element.getWidth() < cast<FloatType>(accumulator).getWidth();
}

//===- Loops ------------------------------------------------------------------------------------------------------===//

/// Number of loops that `accesses` name.
static unsigned countLoops(ArrayRef<Access> accesses) {
  unsigned count = 0;
  for (const Access &access : accesses)
    for (AffineExpr expr : access.indices)
      expr.walk([&](AffineExpr part) {
        if (auto dim = dyn_cast<AffineDimExpr>(part))
          count = std::max(count, dim.getPosition() + 1);
      });
  return count;
}

SmallVector<Value> Definition::compute(ArrayRef<Access> outs, ArrayRef<Access> inputs, Body buildBody) {
  SmallVector<Access> all(inputs);
  all.append(outs.begin(), outs.end());
  unsigned numLoops = countLoops(all);
  SmallVector<utils::IteratorType> iterators(numLoops, utils::IteratorType::reduction);
  for (const Access &out : outs)
    for (AffineExpr expr : out.indices)
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        iterators[dim.getPosition()] = utils::IteratorType::parallel;
  bool reduces = llvm::is_contained(iterators, utils::IteratorType::reduction);

  // A sum that goes to a narrow type is carried in the accumulator type and rounded once.
  SmallVector<Value> carried;
  for (const Access &out : outs)
    carried.push_back(reduces && isNarrow(out.tensor) ? store(out.tensor, empty(sizes(out.tensor))) : out.tensor);

  SmallVector<Value> inputTensors;
  SmallVector<AffineMap> maps;
  for (const Access &input : inputs)
    inputTensors.push_back(input.tensor);
  for (const Access &access : all)
    maps.push_back(AffineMap::get(numLoops, 0, access.indices, builder.getContext()));

  auto generic = linalg::GenericOp::create(
      builder, TypeRange(ValueRange(carried)), inputTensors, carried, maps, iterators,
      [&](OpBuilder &nested, Location loc, ValueRange arguments) {
        ImplicitLocOpBuilder inner(loc, nested);
        body = &inner;
        SmallVector<Scalar> scalars;
        SmallVector<Operation *> extensions;
        for (Value argument : arguments) {
          auto type = dyn_cast<FloatType>(argument.getType());
          scalars.push_back({inner, argument});
          if (type && type.getWidth() < cast<FloatType>(accumulator).getWidth()) {
            scalars.back() = scalars.back().toFloat(accumulator);
            extensions.push_back(scalars.back().get().getDefiningOp());
          }
        }
        SmallVector<Value> yielded;
        for (auto [result, tensor] : llvm::zip(buildBody(scalars), carried)) {
          Type element = cast<RankedTensorType>(tensor.getType()).getElementType();
          if (result.isLiteral())
            yielded.push_back(result.get(Scalar(inner, buildConstant(inner, element, 0))));
          else
            yielded.push_back(isa<FloatType>(element) ? result.toFloat(element).get() : result.get());
        }
        // An out whose old value the body ignores is not read.
        for (Operation *extension : extensions)
          if (extension->use_empty() && !llvm::is_contained(yielded, extension->getResult(0)))
            extension->erase();
        linalg::YieldOp::create(inner, yielded);
        body = nullptr;
      });

  SmallVector<Value> results;
  for (auto [out, value, result] : llvm::zip(outs, carried, generic.getResults()))
    results.push_back(value == out.tensor ? Value(result) : store(result, out.tensor));
  return results;
}

Value Definition::contract(const Access &out, const Access &a, const Access &b) {
  return compute(out, {a, b}, [](Scalar a, Scalar b, Scalar sum) { return sum + a * b; });
}

Value Definition::accumulate(const Access &out, const Access &a) {
  return compute(out, {a}, [](Scalar a, Scalar sum) { return sum + a; });
}

Value Definition::store(Value value, Value out) {
  Indices all = loops(0, cast<RankedTensorType>(out.getType()).getRank());
  return compute({out, all}, {{value, all}}, [](Scalar value, Scalar) { return value; });
}

Scalar Definition::index(AffineExpr loop) {
  return scalar(linalg::IndexOp::create(*body, cast<AffineDimExpr>(loop).getPosition()));
}

Scalar Definition::constant(double value) { return scalar(buildConstant(*body, accumulator, value)); }

Scalar Definition::extent(Value tensor, int64_t dim) {
  auto type = cast<RankedTensorType>(tensor.getType());
  if (!type.isDynamicDim(dim))
    return constant(static_cast<double>(type.getDimSize(dim)));
  Value position = arith::ConstantIndexOp::create(*body, dim);
  return scalar(tensor::DimOp::create(*body, tensor, position)).toFloat(accumulator);
}

} // namespace bpt::definition
