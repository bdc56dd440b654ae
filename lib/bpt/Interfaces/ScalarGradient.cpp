// Derivatives of arith and math ops: on scalars and vectors as they are, on tensors as pointwise ops.
#include "Gradients.h"
#include "mlir/Dialect/Math/IR/Math.h"

#include <cmath>

using namespace mlir;

namespace bpt {
namespace {

/// Values with operators, so that the rules below read like the formulas.
struct Term {
  OpBuilder *builder;
  Location loc;
  Value value;

  Term with(Value other) const { return {builder, loc, other}; }
  Term constant(double number) const {
    Type type = value.getType();
    TypedAttr attribute = builder->getFloatAttr(getElementTypeOrSelf(type), number);
    if (auto shaped = dyn_cast<ShapedType>(type))
      attribute = DenseElementsAttr::get(shaped, cast<FloatAttr>(attribute).getValue());
    return with(arith::ConstantOp::create(*builder, loc, attribute));
  }
  template <typename OpTy>
  Term unary() const {
    return with(OpTy::create(*builder, loc, value));
  }
  Term operator+(Term other) const { return with(arith::AddFOp::create(*builder, loc, value, other.value)); }
  Term operator-(Term other) const { return with(arith::SubFOp::create(*builder, loc, value, other.value)); }
  Term operator*(Term other) const { return with(arith::MulFOp::create(*builder, loc, value, other.value)); }
  Term operator/(Term other) const { return with(arith::DivFOp::create(*builder, loc, value, other.value)); }
  Term operator+(double number) const { return *this + constant(number); }
  Term operator*(double number) const { return *this * constant(number); }
  Term operator-() const { return unary<arith::NegFOp>(); }
  Value compare(arith::CmpFPredicate predicate, Term other) const {
    return arith::CmpFOp::create(*builder, loc, predicate, value, other.value);
  }
};
Term operator-(double number, Term term) { return term.constant(number) - term; }

Term select(Value condition, Term yes, Term no) {
  return yes.with(arith::SelectOp::create(*yes.builder, yes.loc, condition, yes.value, no.value));
}
Term pow(Term base, Term exponent) {
  return base.with(math::PowFOp::create(*base.builder, base.loc, base.value, exponent.value));
}

/// g where a beats b, half of it where they are equal, else 0.
Term winner(Term g, arith::CmpFPredicate beats, Term a, Term b) {
  Term half = select(a.compare(arith::CmpFPredicate::OEQ, b), g * 0.5, g.constant(0));
  return select(a.compare(beats, b), g, half);
}

/// g with the sign of s; 0 where s is 0.
Term withSign(Term g, Term s) {
  Term zero = s.constant(0);
  Term negative = select(s.compare(arith::CmpFPredicate::OLT, zero), -g, g.constant(0));
  return select(s.compare(arith::CmpFPredicate::OGT, zero), g, negative);
}

/// What a rule sees: the op's operands and results, the cotangent of its first result, and where gradients go.
struct Rule {
  OpBuilder &builder;
  Operation *op;
  ValueRange cotangents;
  function_ref<bool(OpOperand &)> isNeeded;
  function_ref<void(OpOperand &, Value)> add;

  Term term(Value value) const { return {&builder, op->getLoc(), value}; }
  Term x(unsigned operand = 0) const { return term(op->getOperand(operand)); }
  Term y() const { return term(op->getResult(0)); }
  Term g() const { return term(cotangents[0]); }
  /// The gradient of an operand; `build` runs only when it is needed.
  template <typename Build>
  void set(unsigned operand, Build build) const {
    OpOperand &target = op->getOpOperand(operand);
    if (isNeeded(target))
      add(target, Term(build()).value);
  }
};

} // namespace

/// One-operand functions y = f(x): g f'(x).
static bool buildUnaryRule(const Rule &r) {
  auto set = [&](auto build) {
    r.set(0, build);
    return true;
  };
  return llvm::TypeSwitch<Operation *, bool>(r.op)
      .Case([&](arith::NegFOp) { return set([&] { return -r.g(); }); })
      .Case<arith::ExtFOp>([&](Operation *op) {
        return set([&] { return r.term(arith::TruncFOp::create(r.builder, op->getLoc(), r.x().value.getType(), r.g().value)); });
      })
      .Case<arith::TruncFOp>([&](Operation *op) {
        return set([&] { return r.term(arith::ExtFOp::create(r.builder, op->getLoc(), r.x().value.getType(), r.g().value)); });
      })
      .Case([&](math::AbsFOp) { return set([&] { return withSign(r.g(), r.x()); }); })
      .Case([&](math::ExpOp) { return set([&] { return r.g() * r.y(); }); })
      .Case([&](math::Exp2Op) { return set([&] { return r.g() * r.y() * M_LN2; }); })
      .Case([&](math::ExpM1Op) { return set([&] { return r.g() * (r.y() + 1); }); })
      .Case([&](math::LogOp) { return set([&] { return r.g() / r.x(); }); })
      .Case([&](math::Log2Op) { return set([&] { return r.g() / (r.x() * M_LN2); }); })
      .Case([&](math::Log10Op) { return set([&] { return r.g() / (r.x() * M_LN10); }); })
      .Case([&](math::Log1pOp) { return set([&] { return r.g() / (r.x() + 1); }); })
      .Case([&](math::SqrtOp) { return set([&] { return r.g() * 0.5 / r.y(); }); })
      .Case([&](math::RsqrtOp) { return set([&] { return r.g() * r.y() * r.y() * r.y() * -0.5; }); })
      .Case([&](math::CbrtOp) { return set([&] { return r.g() / (r.y() * r.y() * 3); }); })
      .Case([&](math::SinOp) { return set([&] { return r.g() * r.x().unary<math::CosOp>(); }); })
      .Case([&](math::CosOp) { return set([&] { return -(r.g() * r.x().unary<math::SinOp>()); }); })
      .Case([&](math::TanOp) { return set([&] { return r.g() * (r.y() * r.y() + 1); }); })
      .Case([&](math::AsinOp) { return set([&] { return r.g() / (1 - r.x() * r.x()).unary<math::SqrtOp>(); }); })
      .Case([&](math::AcosOp) { return set([&] { return -(r.g() / (1 - r.x() * r.x()).unary<math::SqrtOp>()); }); })
      .Case([&](math::AtanOp) { return set([&] { return r.g() / (r.x() * r.x() + 1); }); })
      .Case([&](math::SinhOp) { return set([&] { return r.g() * r.x().unary<math::CoshOp>(); }); })
      .Case([&](math::CoshOp) { return set([&] { return r.g() * r.x().unary<math::SinhOp>(); }); })
      .Case([&](math::TanhOp) { return set([&] { return r.g() * (1 - r.y() * r.y()); }); })
      .Case([&](math::AsinhOp) { return set([&] { return r.g() / (r.x() * r.x() + 1).unary<math::SqrtOp>(); }); })
      .Case([&](math::AcoshOp) { return set([&] { return r.g() / (r.x() * r.x() + -1).unary<math::SqrtOp>(); }); })
      .Case([&](math::AtanhOp) { return set([&] { return r.g() / (1 - r.x() * r.x()); }); })
      .Case([&](math::ErfOp) {
        return set([&] { return r.g() * (-(r.x() * r.x())).unary<math::ExpOp>() * M_2_SQRTPI; });
      })
      .Case([&](math::ErfcOp) {
        return set([&] { return r.g() * (-(r.x() * r.x())).unary<math::ExpOp>() * -M_2_SQRTPI; });
      })
      // Piecewise constant.
      .Case<math::CeilOp, math::FloorOp, math::RoundOp, math::RoundEvenOp, math::TruncOp>([](Operation *) { return true; })
      .Default([](Operation *) { return false; });
}

/// base^exponent as PyTorch has it: nothing flows to the exponent where base is 0, nor to the base where the exponent is.
static void buildPowRule(const Rule &r) {
  r.set(0, [&] {
    Term zero = r.x(1).constant(0);
    return select(r.x(1).compare(arith::CmpFPredicate::OEQ, zero), zero, r.g() * r.x(1) * pow(r.x(0), r.x(1) + -1));
  });
  r.set(1, [&] {
    Term zero = r.x(0).constant(0);
    return select(r.x(0).compare(arith::CmpFPredicate::OEQ, zero), zero, r.g() * r.y() * r.x(0).unary<math::LogOp>());
  });
}

static void buildFPowIRule(const Rule &r) {
  r.set(0, [&] {
    Location loc = r.op->getLoc();
    Value exponent = r.op->getOperand(1);
    Value one = arith::ConstantOp::create(r.builder, loc, r.builder.getOneAttr(exponent.getType()));
    Value less = arith::SubIOp::create(r.builder, loc, exponent, one);
    Term power = r.term(math::FPowIOp::create(r.builder, loc, r.x().value, less));
    Term factor = r.term(arith::SIToFPOp::create(r.builder, loc, r.x().value.getType(), exponent));
    // x^0 is constant, also at 0, where the power of -1 is not finite.
    Value zero = arith::ConstantOp::create(r.builder, loc, r.builder.getZeroAttr(exponent.getType()));
    Value constant = arith::CmpIOp::create(r.builder, loc, arith::CmpIPredicate::eq, exponent, zero);
    return select(constant, r.g().constant(0), r.g() * factor * power);
  });
}

/// Functions of several operands or with several results.
static bool buildOtherRule(const Rule &r) {
  using P = arith::CmpFPredicate;
  auto extremum = [&](P beats) {
    r.set(0, [&] { return winner(r.g(), beats, r.x(0), r.x(1)); });
    r.set(1, [&] { return winner(r.g(), beats, r.x(1), r.x(0)); });
  };
  bool known = true;
  llvm::TypeSwitch<Operation *>(r.op)
      .Case([&](arith::AddFOp) {
        r.set(0, [&] { return r.g(); });
        r.set(1, [&] { return r.g(); });
      })
      .Case([&](arith::SubFOp) {
        r.set(0, [&] { return r.g(); });
        r.set(1, [&] { return -r.g(); });
      })
      .Case([&](arith::MulFOp) {
        r.set(0, [&] { return r.g() * r.x(1); });
        r.set(1, [&] { return r.g() * r.x(0); });
      })
      .Case([&](arith::DivFOp) {
        r.set(0, [&] { return r.g() / r.x(1); });
        r.set(1, [&] { return -(r.g() / r.x(1) * r.y()); });
      })
      .Case<arith::MaximumFOp, arith::MaxNumFOp>([&](Operation *) { extremum(P::OGT); })
      .Case<arith::MinimumFOp, arith::MinNumFOp>([&](Operation *) { extremum(P::OLT); })
      .Case([&](arith::SelectOp op) {
        r.set(1, [&] { return select(op.getCondition(), r.g(), r.g().constant(0)); });
        r.set(2, [&] { return select(op.getCondition(), r.g().constant(0), r.g()); });
      })
      .Case([&](math::FmaOp) {
        r.set(0, [&] { return r.g() * r.x(1); });
        r.set(1, [&] { return r.g() * r.x(0); });
        r.set(2, [&] { return r.g(); });
      })
      .Case([&](math::PowFOp) { buildPowRule(r); })
      .Case([&](math::FPowIOp) { buildFPowIRule(r); })
      .Case([&](math::Atan2Op) {
        auto norm = [&] { return r.x(0) * r.x(0) + r.x(1) * r.x(1); };
        r.set(0, [&] { return r.g() * r.x(1) / norm(); });
        r.set(1, [&] { return -(r.g() * r.x(0) / norm()); });
      })
      .Case([&](math::CopySignOp) {
        // |x| with the sign of s: slope sign(x) sign(s); s only selects.
        r.set(0, [&] { return withSign(withSign(r.g(), r.x()), r.y()); });
      })
      .Case([&](math::ClampFOp) {
        // Value, lower and upper bound: whichever the result is.
        r.set(0, [&] {
          Term inside = select(r.x(0).compare(P::OGT, r.x(2)), r.g().constant(0), r.g());
          return select(r.x(0).compare(P::OLT, r.x(1)), r.g().constant(0), inside);
        });
        r.set(1, [&] { return select(r.x(0).compare(P::OLT, r.x(1)), r.g(), r.g().constant(0)); });
        r.set(2, [&] { return select(r.x(0).compare(P::OGT, r.x(2)), r.g(), r.g().constant(0)); });
      })
      .Case([&](math::SincosOp op) {
        r.set(0, [&] {
          Value ds = r.cotangents[0], dc = r.cotangents[1];
          Term fromSin = ds ? r.term(ds) * r.term(op.getCos()) : r.x().constant(0);
          return dc ? fromSin - r.term(dc) * r.term(op.getSin()) : fromSin;
        });
      })
      .Default([&](Operation *) { known = false; });
  return known;
}

static bool buildRule(const Rule &rule) { return buildUnaryRule(rule) || buildOtherRule(rule); }

bool hasScalarRule(Operation *op) {
  OpBuilder builder(op->getContext());
  SmallVector<Value> cotangents(op->getNumResults());
  return buildRule({builder, op, cotangents, [](OpOperand &) { return false; }, [](OpOperand &, Value) {}});
}

void buildScalarRule(OpBuilder &builder, Operation *op, ValueRange cotangents, function_ref<bool(OpOperand &)> isNeeded,
                     function_ref<void(OpOperand &, Value)> add) {
  [[maybe_unused]] bool known = buildRule({builder, op, cotangents, isNeeded, add});
  assert(known && "no rule");
}

//===----------------------------------------------------------------------===//
// External models
//===----------------------------------------------------------------------===//

/// An elementwise op on tensors is the pointwise op with identity maps; a scalar among its operands is seen by every point.
static LogicalResult buildElementwiseVJP(Operation *op, OpBuilder &builder, VJPContext &context) {
  int64_t rank = cast<RankedTensorType>(op->getResult(0).getType()).getRank();
  PointwiseOp pointwise{op, SmallVector<Value>(op->getOperands()), {}, SmallVector<Value>(op->getResults()), {}, {},
                        static_cast<unsigned>(rank), nullptr};
  AffineMap identity = builder.getMultiDimIdentityMap(rank);
  Block body;
  IRMapping mapping;
  SmallVector<Type> resultTypes;
  for (Value operand : op->getOperands()) {
    bool isTensor = isa<RankedTensorType>(operand.getType());
    pointwise.inputMaps.push_back(isTensor ? identity : AffineMap::get(rank, 0, builder.getContext()));
    mapping.map(operand, body.addArgument(getElementTypeOrSelf(operand.getType()), op->getLoc()));
  }
  for (Value result : op->getResults()) {
    pointwise.resultMaps.push_back(identity);
    pointwise.inits.push_back(VJPContext::createEmpty(builder, op->getLoc(), result));
    body.addArgument(getElementTypeOrSelf(result.getType()), op->getLoc());
    resultTypes.push_back(getElementTypeOrSelf(result.getType()));
  }
  OpBuilder inner = getBuilderAtEnd(body, builder.getContext());
  OperationState scalar(op->getLoc(), op->getName());
  for (auto [i, operand] : llvm::enumerate(op->getOperands()))
    scalar.operands.push_back(body.getArgument(i));
  scalar.addTypes(resultTypes);
  scalar.addAttributes(op->getDiscardableAttrDictionary().getValue());
  scalar.propertiesAttr = op->getPropertiesAsAttribute();
  linalg::YieldOp::create(inner, op->getLoc(), inner.create(scalar)->getResults());
  pointwise.body = &body;
  return buildPointwiseVJP(pointwise, builder, context);
}

static LogicalResult buildArithVJP(Operation *op, OpBuilder &builder, VJPContext &context) {
  if (isa<RankedTensorType>(op->getResult(0).getType()))
    return buildElementwiseVJP(op, builder, context);
  SmallVector<Value> cotangents;
  for (Value result : op->getResults())
    cotangents.push_back(context.getCotangent(result));
  buildScalarRule(
      builder, op, cotangents, [&](OpOperand &operand) { return context.needsGradient(operand.get()); },
      [&](OpOperand &operand, Value gradient) { context.addGradient(builder, operand.get(), gradient); });
  return success();
}

namespace {
template <typename OpTy>
struct ScalarModel : DifferentiableOpInterface::ExternalModel<ScalarModel<OpTy>, OpTy> {
  LogicalResult buildVJP(Operation *op, OpBuilder &builder, VJPContext &context) const {
    return buildArithVJP(op, builder, context);
  }
};
template <typename... Ops>
void attachScalarModels(MLIRContext *context) {
  (Ops::template attachInterface<ScalarModel<Ops>>(*context), ...);
}
} // namespace

void registerScalarGradients(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, arith::ArithDialect *) {
    attachScalarModels<arith::AddFOp, arith::SubFOp, arith::MulFOp, arith::DivFOp, arith::NegFOp, arith::MaximumFOp,
                       arith::MaxNumFOp, arith::MinimumFOp, arith::MinNumFOp, arith::SelectOp, arith::ExtFOp,
                       arith::TruncFOp>(context);
  });
  registry.addExtension(+[](MLIRContext *context, math::MathDialect *) {
    attachScalarModels<math::AbsFOp, math::ExpOp, math::Exp2Op, math::ExpM1Op, math::LogOp, math::Log2Op, math::Log10Op,
                       math::Log1pOp, math::SqrtOp, math::RsqrtOp, math::CbrtOp, math::SinOp, math::CosOp, math::TanOp,
                       math::AsinOp, math::AcosOp, math::AtanOp, math::SinhOp, math::CoshOp, math::TanhOp, math::AsinhOp,
                       math::AcoshOp, math::AtanhOp, math::ErfOp, math::ErfcOp, math::CeilOp, math::FloorOp, math::RoundOp,
                       math::RoundEvenOp, math::TruncOp, math::FmaOp, math::PowFOp, math::FPowIOp, math::Atan2Op,
                       math::CopySignOp, math::ClampFOp, math::SincosOp>(context);
  });
}

} // namespace bpt
