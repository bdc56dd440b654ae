// Row-wise ops: layer and RMS norm with gradients, rotary embedding, dropout.
#include "Definition.h"

using namespace mlir;

namespace bpt::definition {

namespace {
/// What the norms share: rows of length E, statistics `[..]`.
template <typename Op> class Rows : public Definition {
public:
  Rows(OpBuilder &builder, Op op)
      : Definition(builder, op.getLoc(), getElementTypeOrSelf(op.getInput().getType())), op(op),
        eps(op.getEps().convertToDouble()) {
    rank = cast<ShapedType>(op.getInput().getType()).getRank();
  }

  Access full(Value tensor) { return {tensor, loops(0, rank)}; }
  Access row(Value tensor) { return {tensor, loops(0, rank - 1)}; }
  Access column(Value tensor) { return {tensor, {loop(rank - 1)}}; }

  Value newFull() { return empty(sizes(op.getInput())); }
  Value zeroRows() { return filled(ArrayRef(sizes(op.getInput())).drop_back(), 0); }

  /// The mean over each row of `body` of the elements.
  template <size_t count, typename Function> Value mean(const Access (&inputs)[count], Function body) {
    Value sum = compute({row(zeroRows())}, ArrayRef<Access>(inputs),
                        [&](ArrayRef<Scalar> a) { return SmallVector<Scalar>{a.back() + body(a)}; })[0];
    return compute(row(sum), [&](Scalar sum) { return sum / extent(op.getInput(), rank - 1); });
  }
  /// 1 / sqrt(square + eps)
  Value inverseRoot(Value square) {
    return compute(row(square), [&](Scalar square) { return 1 / sqrt(square + eps); });
  }
  Value multiply(Value tensor, Value weight) {
    if (!weight)
      return tensor;
    return compute(full(tensor), {column(weight)}, [](Scalar weight, Scalar x) { return x * weight; });
  }
  /// c = dout * weight
  Value weighted(Value dout, Value weight) { return multiply(store(dout, newFull()), weight); }
  Value meanOf(Value tensor) {
    return mean({full(tensor)}, [](ArrayRef<Scalar> a) { return a[0]; });
  }
  Value meanOfProduct(Value a, Value b) {
    return mean({full(a), full(b)}, [](ArrayRef<Scalar> a) { return a[0] * a[1]; });
  }
  /// out += sum over rows of dout * n
  Value weightGradient(Value out, Value dout, Value n) { return contract(column(out), full(dout), full(n)); }

  Op op;
  double eps;
  unsigned rank;
};

/// n = (x - mean) * r, and r = 1 / sqrt(var + eps).
template <typename Op> std::pair<Value, Value> standardise(Rows<Op> &t) {
  Value mean = t.meanOf(t.op.getInput());
  Value centred = t.compute(t.full(t.newFull()), {t.full(t.op.getInput()), t.row(mean)},
                            [](Scalar x, Scalar mean, Scalar) { return x - mean; });
  Value r = t.inverseRoot(t.meanOfProduct(centred, centred));
  return {t.compute(t.full(centred), {t.row(r)}, [](Scalar r, Scalar x) { return x * r; }), r};
}

/// n = x * r, and r = 1 / sqrt(mean(x^2) + eps).
template <typename Op> std::pair<Value, Value> normalise(Rows<Op> &t) {
  Value r = t.inverseRoot(t.meanOfProduct(t.op.getInput(), t.op.getInput()));
  return {t.compute(t.full(t.newFull()), {t.full(t.op.getInput()), t.row(r)},
                    [](Scalar x, Scalar r, Scalar) { return x * r; }),
          r};
}
} // namespace

Results define(OpBuilder &builder, LayerNormOp op) {
  Rows<LayerNormOp> t(builder, op);
  Value y = t.multiply(standardise(t).first, op.getWeight());
  if (op.getBias())
    y = t.accumulate(t.full(y), t.column(op.getBias()));
  return SmallVector<Value>{t.store(y, op.getOuts()[0])};
}

Results define(OpBuilder &builder, LayerNormGradOp op) {
  Rows<LayerNormGradOp> t(builder, op);
  auto [n, r] = standardise(t);
  Value c = t.weighted(op.getDout(), op.getWeight());
  Value meanC = t.meanOf(c), meanCN = t.meanOfProduct(c, n);
  SmallVector<Value> results;
  auto nextOut = [&]() { return op.getOuts()[results.size()]; };
  results.push_back(t.compute(t.full(nextOut()), {t.full(c), t.full(n), t.row(r), t.row(meanC), t.row(meanCN)},
                              [](Scalar c, Scalar n, Scalar r, Scalar meanC, Scalar meanCN, Scalar dinput) {
                                return dinput + r * (c - meanC - n * meanCN);
                              }));
  if (op.getWeight())
    results.push_back(t.weightGradient(nextOut(), op.getDout(), n));
  if (op.getBias())
    results.push_back(t.accumulate(t.column(nextOut()), t.full(op.getDout())));
  return results;
}

Results define(OpBuilder &builder, RMSNormOp op) {
  Rows<RMSNormOp> t(builder, op);
  return SmallVector<Value>{t.store(t.multiply(normalise(t).first, op.getWeight()), op.getOuts()[0])};
}

Results define(OpBuilder &builder, RMSNormGradOp op) {
  Rows<RMSNormGradOp> t(builder, op);
  auto [n, r] = normalise(t);
  Value c = t.weighted(op.getDout(), op.getWeight());
  Value meanCN = t.meanOfProduct(c, n);
  SmallVector<Value> results = {t.compute(
      t.full(op.getOuts()[0]), {t.full(c), t.full(n), t.row(r), t.row(meanCN)},
      [](Scalar c, Scalar n, Scalar r, Scalar meanCN, Scalar dinput) { return dinput + r * (c - n * meanCN); })};
  if (op.getWeight())
    results.push_back(t.weightGradient(op.getOuts()[1], op.getDout(), n));
  return results;
}

Results define(OpBuilder &builder, RotaryOp op) {
  Definition t(builder, op.getLoc(), getElementTypeOrSelf(op.getInput().getType()));
  int64_t dim = cast<ShapedType>(op.getInput().getType()).getDimSize(3);
  if (ShapedType::isDynamic(dim))
    return op.emitOpError("expected a static head dim, but got ") << op.getInput().getType();

  // Angles p * theta^(-2k/D) `[S, D/2]`.
  double direction = op.getInverse() ? -1 : 1, theta = op.getTheta().convertToDouble();
  AffineExpr s = t.loop(0), k = t.loop(1);
  Value angles = t.compute({t.empty({t.size(op.getInput(), 1), t.builder.getIndexAttr(dim / 2)}), {s, k}}, [&](Scalar) {
    Scalar position = t.index(s);
    if (op.getPositionOffset())
      position = position + t.scalar(op.getPositionOffset());
    Scalar exponent = t.index(k).toFloat(t.accumulator) * -2.0 / static_cast<double>(dim);
    return direction * position.toFloat(t.accumulator) * pow(theta, exponent);
  });
  // Element d turns with its partner, D/2 away: the first half takes -sin, the second +sin.
  Indices all = t.loops(0, 4);
  Indices partner = {all[0], all[1], all[2], (all[3] + dim / 2) % dim};
  Indices angle = {all[1], all[3] % (dim / 2)};
  return SmallVector<Value>{
      t.compute({op.getOuts()[0], all}, {{op.getInput(), all}, {op.getInput(), partner}, {angles, angle}},
                [&](Scalar x, Scalar other, Scalar angle, Scalar) {
                  Scalar sine = select(less(t.index(all[3]), static_cast<double>(dim / 2)), 0 - sin(angle), sin(angle));
                  return x * cos(angle) + other * sine;
                })};
}

Results define(OpBuilder &builder, DropoutOp op) {
  Definition t(builder, op.getLoc(), getElementTypeOrSelf(op.getInput().getType()));
  double probability = op.getProbability().convertToDouble();
  unsigned rank = cast<ShapedType>(op.getInput().getType()).getRank();
  Indices all = t.loops(0, rank);
  return SmallVector<Value>{
      t.compute({op.getOuts()[0], all}, {{op.getInput(), all}, {op.getSeed(), {}}}, [&](Scalar x, Scalar seed, Scalar) {
        Scalar position = t.index(all[1]);
        if (op.getPositionOffset())
          position = position + t.scalar(op.getPositionOffset());
        // The flattened index of the trailing dims.
        Scalar column = t.scalar(arith::ConstantIndexOp::create(x.getBuilder(), 0));
        for (unsigned dim = 2; dim < rank; ++dim)
          column = column * t.scalar(tensor::DimOp::create(x.getBuilder(), op.getInput(), dim)) + t.index(all[dim]);
        Scalar kept = keep(seed, t.index(all[0]), position, column, op.getStream(), probability);
        return select(kept, x * (1 / (1 - probability)), 0.0);
      })};
}

} // namespace bpt::definition
