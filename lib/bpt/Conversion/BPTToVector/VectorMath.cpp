// Elementary functions as polynomials. Coefficients without a source are weighted minimax fits (Lawson iteration in 50 digits)
// on the interval that the comment names.
#include "VectorMath.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

using namespace mlir;
using arith::CmpFPredicate;

namespace bpt {
namespace {

/// Arithmetic on values of one shape, f32 or f64, and on the integers with their bits.
struct Real {
  Emitter &e;
  Type type, integers;
  bool isDouble;

  Real(Emitter &e, Value like) : e(e), type(like.getType()), isDouble(e.accumulator.isF64()) {
    Type bits = e.getIntegerType(isDouble ? 64 : 32);
    auto vector = dyn_cast<VectorType>(type);
    integers = vector ? Type(vector.clone(bits)) : bits;
  }

  Value constant(double value) const {
    FloatAttr attr = e.getFloatAttr(e.accumulator, value);
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(e, DenseElementsAttr::get(vector, attr.getValue()));
    return arith::ConstantOp::create(e, attr);
  }
  Value integer(int64_t value) const {
    unsigned width = isDouble ? 64 : 32;
    if (auto vector = dyn_cast<VectorType>(integers))
      return arith::ConstantOp::create(e, DenseElementsAttr::get(vector, APInt(width, value, true, true)));
    return arith::ConstantOp::create(e, e.getIntegerAttr(integers, APInt(width, value, true, true)));
  }
  Value bits(Value x) const { return arith::BitcastOp::create(e, integers, x); }
  Value fromBits(Value x) const { return arith::BitcastOp::create(e, type, x); }
  Value select(Value c, Value a, Value b) const { return arith::SelectOp::create(e, c, a, b); }
  Value is(CmpFPredicate predicate, Value a, double b) const { return e.compareFloat(predicate, a, constant(b)); }
  Value abs(Value x) const { return math::AbsFOp::create(e, x); }
  Value copySign(Value magnitude, Value sign) const { return math::CopySignOp::create(e, magnitude, sign); }
  Value fma(Value a, Value b, Value c) const { return e.fma(a, b, c); }
  /// c[0] + x c[1] + x^2 c[2] + ..
  Value polynomial(Value x, ArrayRef<double> c) const {
    Value sum = constant(c.back());
    for (double next : llvm::reverse(c.drop_back()))
      sum = fma(sum, x, constant(next));
    return sum;
  }

  /// round(x) in the lowest bits of the result: adding 1.5 * 2^23 (2^52) leaves no room for a fraction.
  Value magic() const { return constant(isDouble ? 6755399441055744.0 : 12582912.0); }
  int64_t fractionBits() const { return isDouble ? 52 : 23; }
  /// p * 2^n, n in the lowest bits of `shifted` (see magic); the result is a normal number.
  Value scale(Value p, Value shifted) const {
    Value exponent = arith::ShLIOp::create(e, bits(shifted), integer(fractionBits()));
    return fromBits(arith::AddIOp::create(e, bits(p), exponent));
  }
};

} // namespace

static constexpr double log2e = 1.4426950408889634, infinity = std::numeric_limits<double>::infinity();

//===--- exponentials --------------------------------------------------------------------------------------------------===//

/// exp2 by AVX-512's instructions for the fraction above floor(x) and for scaling by 2^floor(x) (VREDUCEPS, VSCALEFPS):
/// four instructions less. Infinities and NaN come out right by themselves; results that would not be normal numbers
/// are 0.
static Value emitExp2ByScaling(Emitter &e, const Real &r, Value x) {
  auto call = [&](StringRef name, ValueRange operands) -> Value {
    return LLVM::CallIntrinsicOp::create(e, r.type, e.getStringAttr(name), operands).getResults();
  };
  auto integer = [&](Type type, int64_t value) -> Value {
    return arith::ConstantOp::create(e, e.getIntegerAttr(type, value));
  };
  Value allLanes = integer(e.getI16Type(), -1), sameRounding = integer(e.getI32Type(), 4),
        down = integer(e.getI32Type(), 1);
  Value fraction = call("llvm.x86.avx512.mask.reduce.ps.512", {x, down, x, allLanes, sameRounding});
  Value p = r.polynomial(fraction, {1.000000002, 0.6931469838, 0.2402298363, 0.05548334198, 0.009678841007,
                                    0.001243968775, 0.0002170225568});
  Value result = call("llvm.x86.avx512.mask.scalef.ps.512", {p, x, p, allLanes, sameRounding});
  return r.select(r.is(CmpFPredicate::OLT, x, -126), r.constant(0), result);
}

Value emitExp2(Emitter &e, Value x, ExpRange range) {
  Real r(e, x);
  if (range == ExpRange::Saturating) // NaN stays
    x = e.minf(r.constant(r.isDouble ? 1023 : 127), x);
  if (e.target.hasAvx512 && r.type == e.vectorType && !r.isDouble)
    return emitExp2ByScaling(e, r, x);
  Value shifted = e.addf(x, r.magic());
  Value rest = e.subf(x, e.subf(shifted, r.magic()));
  Value p = r.polynomial(
      rest, r.isDouble ? ArrayRef<double>{1, 0.69314718055994533, 0.24022650695910131, 0.055504108664820081,
                                          0.0096181291075940906, 0.0013333558146774936, 0.00015403530457152186,
                                          1.5252733492917351e-5, 1.3215435260990134e-6, 1.0178199622646612e-7,
                                          7.0737871209477322e-9, 4.434768870027915e-10}
                       : ArrayRef<double>{1.000000001, 0.6931472058, 0.2402264689, 0.05550328745, 0.009618489195,
                                          0.001339994422, 0.0001534577513});
  Value result = r.scale(p, shifted);
  result = r.select(r.is(CmpFPredicate::OLT, x, r.isDouble ? -1022 : -126), r.constant(0), result);
  if (range != ExpRange::Any)
    return result;
  result = r.select(r.is(CmpFPredicate::OGE, x, r.isDouble ? 1024 : 128), r.constant(infinity), result);
  return r.select(e.compareFloat(CmpFPredicate::UNO, x, x), x, result);
}

Value emitExp(Emitter &e, Value x) {
  Real r(e, x);
  // n ln 2 in two parts (Cody and Waite 1980; constants of fdlibm), the first exact for every n.
  Value shifted = r.fma(x, r.constant(log2e), r.magic());
  Value n = e.negf(e.subf(shifted, r.magic()));
  Value rest = r.fma(n, r.constant(r.isDouble ? 6.93147180369123816490e-01 : 0.693145751953125), x);
  rest = r.fma(n, r.constant(r.isDouble ? 1.90821492927058770002e-10 : 1.42860682030941723212e-6), rest);
  // 1 + x + x^2 q(x) on [-ln2 / 2, ln2 / 2].
  Value q = r.isDouble ? r.polynomial(rest, {0.5, 0.16666666666666683, 0.041666666666666094, 0.0083333333333170324,
                                             0.0013888888889115706, 0.0001984126989638776, 2.4801586926522126e-5,
                                             2.7557234858468997e-6, 2.7557581919376858e-7, 2.5112037905045852e-8,
                                             2.0826610243326218e-9})
                       : r.polynomial(rest, {0.4999999345, 0.1666652062, 0.04166838831, 0.008368718067, 0.001381458604});
  Value p = e.addf(r.fma(e.mulf(rest, rest), q, rest), r.constant(1));
  Value result = r.scale(p, shifted);
  result = r.select(r.is(CmpFPredicate::OLT, x, r.isDouble ? -708.3964185322641 : -87.33654475), r.constant(0), result);
  result = r.select(r.is(CmpFPredicate::OGT, x, r.isDouble ? 709.782712893384 : 88.7228317), r.constant(infinity), result);
  return r.select(e.compareFloat(CmpFPredicate::UNO, x, x), x, result);
}

Value emitSigmoid(Emitter &e, Value x) {
  Real r(e, x);
  return e.divf(r.constant(1), e.addf(r.constant(1), emitExp(e, e.negf(x))));
}

//===--- logarithm -----------------------------------------------------------------------------------------------------===//

Value emitLog(Emitter &e, Value x) {
  Real r(e, x);
  // x = 2^k m with m in [sqrt(1/2), sqrt(2)); log m by the series in s = (m - 1) / (m + 1) (fdlibm, e_log.c).
  int64_t root = r.isDouble ? 0x3fe6a09e667f3bcd : 0x3f3504f3;
  Value offset = arith::SubIOp::create(e, r.bits(x), r.integer(root));
  Value k = arith::ShRSIOp::create(e, offset, r.integer(r.fractionBits()));
  Value fraction = arith::AndIOp::create(e, offset, r.integer((int64_t(1) << r.fractionBits()) - 1));
  Value m = r.fromBits(arith::AddIOp::create(e, fraction, r.integer(root)));
  Value exponent = arith::SIToFPOp::create(e, r.type, k);
  Value f = e.subf(m, r.constant(1));
  Value s = e.divf(f, e.addf(f, r.constant(2))), z = e.mulf(s, s);
  Value series = e.mulf(z, r.isDouble ? r.polynomial(z, {6.666666666666735130e-01, 3.999999999940941908e-01,
                                                         2.857142874366239149e-01, 2.222219843214978396e-01,
                                                         1.818357216161805012e-01, 1.531383769920937332e-01,
                                                         1.479819860511658591e-01})
                                      : r.polynomial(z, {0.66666662693, 0.40000972152, 0.28498786688, 0.24279078841}));
  Value half = e.mulf(e.mulf(f, f), r.constant(0.5));
  Value low = r.fma(exponent, r.constant(r.isDouble ? 1.90821492927058770002e-10 : 9.0580006145e-06),
                    e.mulf(s, e.addf(half, series)));
  Value result = e.subf(low, e.subf(half, f));
  result = r.fma(exponent, r.constant(r.isDouble ? 6.93147180369123816490e-01 : 6.9313812256e-01), result);
  Value smallest = r.constant(r.isDouble ? std::numeric_limits<double>::min() : std::numeric_limits<float>::min());
  result = r.select(e.compareFloat(CmpFPredicate::OLT, x, smallest), r.constant(-infinity), result);
  result = r.select(r.is(CmpFPredicate::OLT, x, 0), r.constant(std::numeric_limits<double>::quiet_NaN()), result);
  // Infinity and NaN stay what they are.
  return r.select(r.is(CmpFPredicate::ULT, x, infinity), r.select(e.compareFloat(CmpFPredicate::UNO, x, x), x, result), x);
}

//===--- tanh and erf --------------------------------------------------------------------------------------------------===//

Value emitTanh(Emitter &e, Value x) {
  Real r(e, x);
  // Below 0.625 a polynomial (f64: a rational function), above 1 - 2 / (e^2x + 1) (Cephes, tanhf.c and tanh.c).
  Value magnitude = r.abs(x), z = e.mulf(x, x);
  Value q = r.isDouble
                ? e.divf(r.polynomial(z, {-1.61468768441708447952e3, -9.92877231001918586564e1, -9.64399179425052238628e-1}),
                         r.polynomial(z, {4.84406305325125486048e3, 2.23548839060100448583e3, 1.12811678491632931402e2, 1}))
                : r.polynomial(z, {-3.33332819422e-1, 1.33314422036e-1, -5.37397155531e-2, 2.06390887954e-2, -5.70498872745e-3});
  Value small = r.fma(e.mulf(x, z), q, x);
  Value exponential = emitExp(e, e.addf(magnitude, magnitude));
  Value large = e.subf(r.constant(1), e.divf(r.constant(2), e.addf(exponential, r.constant(1))));
  return r.select(r.is(CmpFPredicate::OLT, magnitude, 0.625), small, r.copySign(large, x));
}

Value emitErf(Emitter &e, Value x) {
  Real r(e, x);
  Value t = r.abs(x), s = e.mulf(x, x), small, exponent;
  double border = r.isDouble ? 1 : 0.927734375;
  if (r.isDouble) {
    small = r.polynomial(s, {0.12837916709551257, -0.37612638903183748, 0.11283791670954857, -0.026866170645072887,
                             0.0052239776247807903, -0.00085483269787378902, 0.00012055331036744946,
                             -1.4925593503236804e-5, 1.6460972759435009e-6, -1.63500246229737e-7, 1.4657875882301242e-8,
                             -1.1365650940962098e-9, 5.9452368218687812e-11});
    // log(erfc(t)) in u = (t - 3.5) / 2.5 for t in [1, 6]; beyond 6, erf is 1.
    Value u = r.fma(e.minf(t, r.constant(6)), r.constant(0.4), r.constant(-1.4));
    exponent = r.polynomial(u, {-14.11243740214819, -18.165248970913726, -6.0422065921435485, -0.081650909651953708,
                                0.034128411928831778, -0.014384545922108376, 0.0059536938970293837, -0.0023740845856298378,
                                0.00089339980312913345, -0.00030755635091072799, 9.2847601248938242e-5,
                                -1.5143862761636838e-5, -2.1344750244114811e-6, -7.1145978900939378e-6,
                                -2.2400153164477374e-5, -6.6399705391067442e-6, 1.363782236764048e-5,
                                2.8721418595952074e-5, 2.2597142145843056e-5, 9.5829244521557356e-6,
                                1.7692794544335351e-6});
  } else {
    // Coefficients: N. Juffa, "Faithfully rounded erff" (max. error 1 ulp).
    small = r.polynomial(s, {1.28379166e-1, -3.76125336e-1, 1.12819925e-1, -2.67681349e-2, 4.99119423e-3, -5.96761703e-4});
    Value high = r.fma(r.constant(-1.72853470e-5), t, r.constant(3.83197126e-4));
    Value low = r.fma(r.constant(-3.88396438e-3), t, r.constant(2.42546219e-2));
    Value p = r.fma(high, s, low);
    for (double c : {-1.06777877e-1, -6.34846687e-1, -1.28717512e-1})
      p = r.fma(p, t, r.constant(c));
    exponent = r.fma(p, t, e.negf(t));
  }
  Value large = e.subf(r.constant(1), emitExp(e, exponent));
  Value result = r.select(r.is(CmpFPredicate::OLT, t, border), r.fma(small, x, x), r.copySign(large, x));
  return r.select(e.compareFloat(CmpFPredicate::UNO, x, x), x, result);
}

//===--- sine and cosine -----------------------------------------------------------------------------------------------===//

std::pair<Value, Value> emitSinCos(Emitter &e, Value x) {
  Real r(e, x);
  // Reduction to [-pi/4, pi/4] in f64: pi/2 in three parts of 33 bits (fdlibm, e_rem_pio2.c).
  Type wide = e.getF64Type();
  if (auto vector = dyn_cast<VectorType>(r.type))
    wide = vector.clone(e.getF64Type());
  auto constant = [&](double value) -> Value {
    if (auto vector = dyn_cast<VectorType>(wide))
      return arith::ConstantOp::create(e, DenseElementsAttr::get(vector, APFloat(value)));
    return arith::ConstantOp::create(e, e.getF64FloatAttr(value));
  };
  Value y = r.isDouble ? x : arith::ExtFOp::create(e, wide, x).getResult();
  Value shifted = e.addf(e.mulf(y, constant(0.63661977236758134308)), constant(6755399441055744.0));
  Value n = e.subf(shifted, constant(6755399441055744.0));
  Value rest = e.subf(y, e.mulf(n, constant(1.57079632673412561417e+00)));
  rest = e.subf(rest, e.mulf(n, constant(6.07710050630396597660e-11)));
  rest = e.subf(rest, e.mulf(n, constant(2.02226624879595063154e-21)));
  Type wideBits = e.getI64Type();
  if (auto vector = dyn_cast<VectorType>(wide))
    wideBits = vector.clone(e.getI64Type());
  Value quadrant = arith::BitcastOp::create(e, wideBits, shifted);
  if (!r.isDouble) {
    rest = arith::TruncFOp::create(e, r.type, rest);
    quadrant = arith::TruncIOp::create(e, r.integers, quadrant);
  }
  Value z = e.mulf(rest, rest);
  // Minimax polynomials of fdlibm (k_sin.c, k_cos.c) and Cephes (sinf.c).
  Value sine = r.polynomial(
      z, r.isDouble ? ArrayRef<double>{-1.66666666666666324348e-01, 8.33333333332248946124e-03, -1.98412698298579493134e-04,
                                       2.75573137070700676789e-06, -2.50507602534068634195e-08, 1.58969099521155010221e-10}
                    : ArrayRef<double>{-1.6666654611e-1, 8.3321608736e-3, -1.9515295891e-4});
  sine = r.fma(e.mulf(rest, z), sine, rest);
  Value cosine = r.polynomial(
      z, r.isDouble ? ArrayRef<double>{-0.5, 4.16666666666666019037e-02, -1.38888888888741095749e-03,
                                       2.48015872894767294178e-05, -2.75573143513906633035e-07, 2.08757232129817482790e-09,
                                       -1.13596475577881948265e-11}
                    : ArrayRef<double>{-0.5, 4.166664568298827e-2, -1.388731625493765e-3, 2.443315711809948e-5});
  cosine = r.fma(z, cosine, r.constant(1));
  auto bit = [&](int64_t mask, Value of) -> Value {
    Value masked = arith::AndIOp::create(e, of, r.integer(mask));
    return arith::CmpIOp::create(e, arith::CmpIPredicate::ne, masked, r.integer(0));
  };
  Value swap = bit(1, quadrant);
  Value next = arith::AddIOp::create(e, quadrant, r.integer(1));
  Value s = r.select(swap, cosine, sine), c = r.select(swap, sine, cosine);
  return {r.select(bit(2, quadrant), e.negf(s), s), r.select(bit(2, next), e.negf(c), c)};
}

//===--- activations ---------------------------------------------------------------------------------------------------===//

// GELU, tanh form: x sigmoid(2u) with u = sqrt(2 / pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016).
static constexpr double geluScale = 2 * 0.79788456080286535588, geluCubic = 0.044715;
static constexpr double rootHalf = 0.70710678118654752440, normalDensity = 0.39894228040143267794;

static Value emitGeluSigmoid(Emitter &e, const Real &r, Value x) {
  Value inner = r.fma(e.mulf(x, x), r.constant(geluScale * geluCubic), r.constant(geluScale));
  return emitSigmoid(e, e.mulf(x, inner));
}
static Value emitNormalDistribution(Emitter &e, const Real &r, Value x) {
  Value erf = emitErf(e, e.mulf(x, r.constant(rootHalf)));
  return r.fma(erf, r.constant(0.5), r.constant(0.5));
}

Value emitActivation(Emitter &e, Activation activation, Value x) {
  Real r(e, x);
  switch (activation) {
  case Activation::GeluTanh:
    return e.mulf(x, emitGeluSigmoid(e, r, x));
  case Activation::GeluErf:
    return e.mulf(x, emitNormalDistribution(e, r, x));
  case Activation::Relu:
    // The second operand is taken when x is NaN.
    return e.maxf(r.constant(0), x);
  case Activation::Silu:
    return e.mulf(x, emitSigmoid(e, x));
  case Activation::Identity:
    return x;
  }
  return x;
}

std::pair<Value, Value> emitActivationGrad(Emitter &e, Activation activation, Value x) {
  Real r(e, x);
  Value one = r.constant(1);
  switch (activation) {
  case Activation::GeluTanh: {
    Value s = emitGeluSigmoid(e, r, x);
    Value slope = r.fma(e.mulf(x, x), r.constant(3 * geluScale * geluCubic), r.constant(geluScale));
    Value value = e.mulf(x, s);
    return {value, r.fma(e.mulf(value, e.subf(one, s)), slope, s)};
  }
  case Activation::GeluErf: {
    Value p = emitNormalDistribution(e, r, x);
    Value density = e.mulf(r.constant(normalDensity), emitExp(e, e.mulf(e.mulf(x, x), r.constant(-0.5))));
    return {e.mulf(x, p), r.fma(x, density, p)};
  }
  case Activation::Relu: {
    Value positive = r.is(CmpFPredicate::OGT, x, 0);
    return {e.maxf(r.constant(0), x), r.select(positive, one, r.constant(0))};
  }
  case Activation::Silu: {
    Value s = emitSigmoid(e, x), value = e.mulf(x, s);
    return {value, r.fma(value, e.subf(one, s), s)};
  }
  case Activation::Identity:
    return {x, one};
  }
  return {x, one};
}

} // namespace bpt
