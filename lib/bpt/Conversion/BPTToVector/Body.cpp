// The scalar body of a linalg op evaluated on vectors of accumulators (or on scalars).
#include "Body.h"
#include "VectorMath.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bpt {

void Body::setIndices(ArrayRef<Value> values, int64_t dim) {
  indices.assign(values.begin(), values.end());
  vectorDim = dim;
}

Value Body::toVector(Value value) {
  return isa<VectorType>(value.getType()) ? value : e.broadcast(value);
}

Type Body::convert(Type type, bool vector) {
  if (isa<FloatType>(type))
    type = e.accumulator;
  return vector ? Type(e.vectorOf(type)) : type;
}

Value Body::getIndex(int64_t dim) {
  if (!asVector || dim != vectorDim)
    return indices[dim];
  Value steps = vector::StepOp::create(e, e.vectorOf(e.getIndexType()));
  return arith::AddIOp::create(e, steps, e.broadcast(indices[dim]));
}

/// Functions that are polynomials here.
static Value emitFunction(Emitter &e, Operation *op, ArrayRef<Value> x) {
  auto constant = [&](double value) { return isa<VectorType>(x[0].getType()) ? e.splat(value) : e.scalar(value); };
  return TypeSwitch<Operation *, Value>(op)
      .Case<math::ExpOp>([&](auto) { return emitExp(e, x[0]); })
      .Case<math::Exp2Op>([&](auto) { return emitExp2(e, x[0]); })
      .Case<math::LogOp>([&](auto) { return emitLog(e, x[0]); })
      .Case<math::Log2Op>([&](auto) { return e.mulf(emitLog(e, x[0]), constant(1.4426950408889634)); })
      .Case<math::TanhOp>([&](auto) { return emitTanh(e, x[0]); })
      .Case<math::ErfOp>([&](auto) { return emitErf(e, x[0]); })
      .Case<math::SinOp>([&](auto) { return emitSinCos(e, x[0]).first; })
      .Case<math::CosOp>([&](auto) { return emitSinCos(e, x[0]).second; })
      .Case<math::RsqrtOp>([&](auto) { return e.divf(constant(1), math::SqrtOp::create(e, x[0])); })
      .Case<math::FmaOp>([&](auto) { return e.fma(x[0], x[1], x[2]); })
      .Case<math::PowFOp>([&](auto) {
        // x^y = e^(y log x) for x > 0; 0^0 = 1; negative x has no power here but y = 0.
        Value power = emitExp(e, e.mulf(x[1], emitLog(e, x[0])));
        Value isZero = e.compareFloat(arith::CmpFPredicate::OEQ, x[1], constant(0));
        return arith::SelectOp::create(e, isZero, constant(1), power).getResult();
      })
      .Default([](Operation *) { return Value(); });
}

/// Ops that exist on vectors and need no library.
static bool isPlain(Operation *op) {
  // remf would call a library; the bits of a float are not those of the accumulator that holds it.
  if (isa<arith::RemFOp, arith::BitcastOp>(op))
    return false;
  if (isa<math::MathDialect>(op->getDialect()))
    return isa<math::AbsFOp, math::AbsIOp, math::SqrtOp, math::CopySignOp, math::FloorOp, math::CeilOp, math::RoundEvenOp,
               math::TruncOp>(op);
  return isa<arith::ArithDialect>(op->getDialect()) && op->hasTrait<OpTrait::Elementwise>();
}
static bool isFunction(Operation *op) {
  return isa<math::ExpOp, math::Exp2Op, math::LogOp, math::Log2Op, math::TanhOp, math::ErfOp, math::SinOp, math::CosOp,
             math::RsqrtOp, math::FmaOp, math::PowFOp>(op);
}

LogicalResult Body::check(linalg::LinalgOp op) {
  for (Operation &inner : op.getBlock()->without_terminator()) {
    if (isFunction(&inner) || isPlain(&inner) || isa<arith::ConstantOp, linalg::IndexOp>(inner))
      continue;
    return op->emitError("expected a body of arith and math operations with vector code, but got '") << inner.getName() << "'";
  }
  return success();
}

Value Body::evaluate(Operation *inner, ArrayRef<Value> operands) {
  // Conversions between float types: registers hold accumulators.
  if (isa<arith::ExtFOp, arith::TruncFOp>(inner))
    return operands[0];
  if (auto constant = dyn_cast<arith::ConstantOp>(inner)) {
    if (auto value = dyn_cast<FloatAttr>(constant.getValue()))
      return e.scalar(value.getValueAsDouble());
    return arith::ConstantOp::create(e, constant.getValue());
  }
  if (auto index = dyn_cast<linalg::IndexOp>(inner))
    return getIndex(index.getDim());

  bool vector = llvm::any_of(operands, [](Value v) { return isa<VectorType>(v.getType()); });
  SmallVector<Value> values;
  for (Value operand : operands)
    values.push_back(vector ? toVector(operand) : operand);
  if (Value result = emitFunction(e, inner, values))
    return result;
  SmallVector<Type> types;
  for (Type type : inner->getResultTypes())
    types.push_back(convert(type, vector));
  OperationState state(e.getLoc(), inner->getName(), values, types, inner->getAttrs());
  return e.create(state)->getResult(0);
}

SmallVector<Value> Body::evaluate(ValueRange arguments) {
  Block *block = op.getBlock();
  llvm::DenseMap<Value, Value> values = known;
  for (auto [argument, value] : llvm::zip_equal(block->getArguments(), arguments))
    values[argument] = value;
  auto lookup = [&](Value value) -> Value {
    if (Value result = values.lookup(value))
      return result;
    return values[value] = evaluate(value.getDefiningOp(), {}); // a constant of the surrounding code
  };
  for (Operation &inner : block->without_terminator()) {
    SmallVector<Value> operands = llvm::map_to_vector(inner.getOperands(), lookup);
    values[inner.getResult(0)] = evaluate(&inner, operands);
  }
  return llvm::map_to_vector(block->getTerminator()->getOperands(), lookup);
}

std::string Body::print(linalg::LinalgOp op, SmallVectorImpl<Value> &outside) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  llvm::DenseMap<Value, unsigned> numbers;
  auto number = [&](Value value) { return numbers.try_emplace(value, numbers.size()).first->second; };
  Block *block = op.getBlock();
  for (Value argument : block->getArguments())
    number(argument);
  for (Operation &inner : *block) {
    stream << inner.getName() << inner.getAttrDictionary();
    for (Value operand : inner.getOperands()) {
      Attribute constant;
      if (!numbers.contains(operand)) {
        if (matchPattern(operand, m_Constant(&constant))) {
          stream << " " << constant;
          continue;
        }
        outside.push_back(operand);
      }
      stream << " %" << number(operand);
    }
    for (Value result : inner.getResults())
      stream << " -> %" << number(result) << ":" << result.getType();
    stream << "; ";
  }
  return text;
}

} // namespace bpt
