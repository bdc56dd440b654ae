// bpt.rotary: each position's sines and cosines once, for all its heads.
#include "Lowerings.h"
#include "RowWise.h"
#include "VectorMath.h"
#include <cmath>

using namespace mlir;

namespace bpt {

/// The angle modulo 2 pi, in f64 on the way: positions of a million and more stay as exact as the f32 angle itself. f64
/// angles are left to emitSinCos.
static Value reduceAngle(Emitter &e, Value angle) {
  if (e.accumulator.isF64())
    return angle;
  VectorType wide = e.vectorOf(e.getF64Type());
  auto constant = [&](double value) -> Value {
    return arith::ConstantOp::create(e, DenseElementsAttr::get(wide, APFloat(value)));
  };
  Value x = arith::ExtFOp::create(e, wide, angle);
  // Adding 1.5 * 2^52 leaves the nearest integer; no call of roundeven on targets without it.
  Value magic = constant(6755399441055744.0);
  Value turns = e.subf(e.addf(e.mulf(x, constant(1 / (2 * M_PI))), magic), magic);
  Value rest = e.subf(x, e.mulf(turns, constant(2 * M_PI)));
  return arith::TruncFOp::create(e, e.vectorType, rest);
}

/// theta^(-2k/D) for the lanes from `k`, in f64 rounded once.
static Value frequencies(Emitter &e, double theta, int64_t dim, int64_t k) {
  SmallVector<Attribute> values;
  for (int64_t lane = 0; lane < e.lanes; ++lane) {
    double exponent = -2.0 * static_cast<double>(std::min(k + lane, dim / 2 - 1)) / static_cast<double>(dim);
    values.push_back(e.getFloatAttr(e.accumulator, std::pow(theta, exponent)));
  }
  return arith::ConstantOp::create(e, DenseElementsAttr::get(e.vectorType, values));
}

static void emitRotary(Emitter &e, double theta, bool inverse, Value input, Value offset, Value out) {
  int64_t dim = cast<MemRefType>(input.getType()).getDimSize(3), half = dim / 2;
  Value length = e.dim(input, 1), heads = e.dim(input, 2);
  parallelRows(e, e.rows(input, 2), e.mul(heads, dim), [&](Value row) {
    Value batch = e.div(row, length), s = e.rem(row, length);
    Value position = offset ? e.add(s, offset) : s;
    Value p =
        e.broadcast(arith::SIToFPOp::create(e, e.accumulator, arith::IndexCastOp::create(e, e.getI64Type(), position)));
    for (int64_t k = 0; k < half; k += e.lanes) {
      Value mask = half - k < e.lanes ? e.maskFirst(e.index(half - k)) : Value();
      auto [sine, cosine] = emitSinCos(e, reduceAngle(e, e.mulf(p, frequencies(e, theta, dim, k))));
      if (inverse)
        sine = e.negf(sine);
      e.loop(e.index(0), heads, 1, [&, sine = sine, cosine = cosine](Value head) {
        Value low[] = {batch, s, head, e.index(k)}, high[] = {batch, s, head, e.index(k + half)};
        Value x = e.load(input, low, mask), y = e.load(input, high, mask);
        e.store(e.subf(e.mulf(x, cosine), e.mulf(y, sine)), out, low, mask);
        e.store(e.addf(e.mulf(y, cosine), e.mulf(x, sine)), out, high, mask);
      });
    }
  });
}

LogicalResult lowerRotary(RotaryOp op, KernelCache &kernels) {
  auto type = cast<MemRefType>(op.getInput().getType());
  if (type.isDynamicDim(3))
    return op.emitOpError("expected a static head dim, but got ") << type;
  KernelOperand operands[] = {{op.getInput(), 3}, {op.getPositionOffset(), 0}, {op.getOuts()[0], 3}};
  double theta = op.getTheta().convertToDouble();
  return kernels.replace(op, "rotary", getAccumulatorType(type.getElementType()), operands,
                         [&](Emitter &e, ArrayRef<Value> args) {
                           emitRotary(e, theta, op.getInverse(), args[0], args[1], args[2]);
                           return success();
                         });
}

} // namespace bpt
