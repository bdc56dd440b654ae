// bpt.attention and its gradient, with all scores at once.
#include "Definition.h"

#include <limits>

using namespace mlir;

namespace bpt::definition {

namespace {
constexpr double infinity = std::numeric_limits<double>::infinity();

/// What forward and gradient share: scores `[B,H,S,T]`, the mask, dropout.
template <typename Op> class Scores : public Definition {
public:
  Scores(OpBuilder &builder, Op op)
      : Definition(builder, op.getLoc(), getElementTypeOrSelf(op.getQuery().getType())), op(op),
        softcap(op.getSoftcap().convertToDouble()), dropout(op.getDropout().convertToDouble()) {
    b = loop(0), h = loop(1), i = loop(2), j = loop(3), d = loop(4);
    numHeads = cast<ShapedType>(op.getQuery().getType()).getDimSize(2);
    int64_t numGroups = cast<ShapedType>(op.getKey().getType()).getDimSize(2);
    g = numHeads == numGroups ? h : h.floorDiv(numHeads / numGroups);
  }

  Access heads(Value tensor) { return {tensor, {b, i, h, d}}; }
  Access groups(Value tensor) { return {tensor, {b, j, g, d}}; }
  Access rows(Value tensor) { return {tensor, {b, h, i}}; }
  Access pairs(Value tensor) { return {tensor, {b, h, i, j}}; }
  Access bias(Value tensor) {
    Access access = pairs(tensor);
    auto type = cast<RankedTensorType>(tensor.getType());
    for (auto [dim, expr] : llvm::enumerate(access.indices))
      if (type.getDimSize(dim) == 1)
        expr = zero();
    return access;
  }

  SmallVector<OpFoldResult> rowSizes() {
    return {size(op.getQuery(), 0), size(op.getQuery(), 2), size(op.getQuery(), 1)};
  }
  SmallVector<OpFoldResult> pairSizes() {
    SmallVector<OpFoldResult> shape = rowSizes();
    shape.push_back(size(op.getKey(), 1));
    return shape;
  }

  /// sum_d left(b,i,h,d) * right(b,j,g,d)
  Value products(Value left, Value right) {
    return contract(pairs(filled(pairSizes(), 0)), heads(left), groups(right));
  }

  /// softcap(scale * query . key)
  Value cappedScores() {
    double scale = op.getScale().convertToDouble();
    return compute(pairs(products(op.getQuery(), op.getKey())), [&](Scalar score) {
      Scalar scaled = score * scale;
      return softcap > 0 ? softcap * tanh(scaled / softcap) : scaled;
    });
  }

  /// z: the capped scores plus bias, -inf where column j is not visible to row i.
  Value maskedScores(Value capped) {
    Value z = capped;
    if (op.getBias())
      z = compute(pairs(z), {bias(op.getBias())}, [](Scalar bias, Scalar z) { return z + bias; });
    if (op.getQuerySegments())
      z = compute(pairs(z), {{op.getQuerySegments(), {b, i}}, {op.getKeySegments(), {b, j}}},
                  [](Scalar query, Scalar key, Scalar z) { return select(equal(query, key), z, -infinity); });
    if (isa<FullMaskAttr>(op.getMask()))
      return z;
    return compute(pairs(z), [&](Scalar z) {
      Value visible = op.getMask().buildPredicate(z.getBuilder(), z.getBuilder().getLoc(), row().get(), index(j).get());
      return visible ? select(scalar(visible), z, -infinity) : z;
    });
  }

  /// P = exp(z - lse), 0 in rows without a visible column.
  Value probabilities(Value z, Value lse) {
    return compute(pairs(z), {rows(lse)},
                   [](Scalar lse, Scalar z) { return select(equal(lse, -infinity), 0.0, exp(z - lse)); });
  }

  /// `values` where dropout keeps them, scaled by 1 / (1 - dropout), else 0.
  Value applyDropout(Value values) {
    if (dropout == 0)
      return values;
    return compute(pairs(empty(pairSizes())), {pairs(values), {op.getSeed(), {}}},
                   [&](Scalar value, Scalar seed, Scalar) {
                     // h + head_offset of head_count heads
                     int64_t all = op.getHeadCount() > 0 ? op.getHeadCount() : numHeads;
                     Scalar plane = index(h) + index(b) * static_cast<double>(all) + static_cast<double>(op.getHeadOffset());
                     Scalar kept = keep(seed, plane, row(), index(j), op.getStream(), dropout);
                     return select(kept, value * (1 / (1 - dropout)), 0.0);
                   });
  }

  Op op;
  double softcap, dropout;
  int64_t numHeads;
  AffineExpr b, h, i, j, d, g;

private:
  /// The global row, i + query_offset.
  Scalar row() { return op.getQueryOffset() ? index(i) + scalar(op.getQueryOffset()) : index(i); }
};

/// Loops over heads need the number of heads that share a key.
template <typename Op> LogicalResult requireStaticHeads(Op op) {
  auto query = cast<ShapedType>(op.getQuery().getType()), key = cast<ShapedType>(op.getKey().getType());
  if (query.isDynamicDim(2) || key.isDynamicDim(2))
    return op.emitOpError("expected static head counts, but got query ") << query << " and key " << key;
  return success();
}
} // namespace

Results define(OpBuilder &builder, AttentionOp op) {
  if (failed(requireStaticHeads(op)))
    return failure();
  Scores<AttentionOp> t(builder, op);
  Value z = t.maskedScores(t.cappedScores());
  Value largest = t.compute(t.rows(t.filled(t.rowSizes(), -infinity)), {t.pairs(z)},
                            [](Scalar z, Scalar largest) { return maximum(largest, z); });
  Value sum = t.compute(t.rows(t.filled(t.rowSizes(), 0)), {t.pairs(z), t.rows(largest)},
                        [](Scalar z, Scalar largest, Scalar sum) {
                          return sum + select(equal(largest, -infinity), 0.0, exp(z - largest));
                        });
  Value lse = t.compute(t.rows(op.getOuts()[1]), {t.rows(largest), t.rows(sum)},
                        [](Scalar largest, Scalar sum, Scalar) { return largest + log(sum); });
  Value probabilities = t.probabilities(z, lse);
  Value out =
      t.contract(t.heads(t.fill(op.getOuts()[0], 0)), t.pairs(t.applyDropout(probabilities)), t.groups(op.getValue()));
  SmallVector<Value> results = {out, lse};
  if (op.hasProbabilities())
    results.push_back(t.store(probabilities, op.getOuts()[2]));
  return results;
}

Results define(OpBuilder &builder, AttentionGradOp op) {
  if (failed(requireStaticHeads(op)))
    return failure();
  Scores<AttentionGradOp> t(builder, op);
  double scale = op.getScale().convertToDouble();
  Value p = op.getProbabilities();
  if (!p)
    p = t.probabilities(t.maskedScores(t.cappedScores()), op.getLse());

  // delta(b,h,i) = sum_d dout * out - dlse; d is the fourth loop here.
  Indices head = {t.b, t.i, t.h, t.loop(3)};
  Value delta = t.contract(t.rows(t.filled(t.rowSizes(), 0)), {op.getDout(), head}, {op.getOut(), head});
  if (op.getDlse())
    delta = t.compute(t.rows(delta), {t.rows(op.getDlse())}, [](Scalar dlse, Scalar delta) { return delta - dlse; });

  Value dp = t.applyDropout(t.products(op.getDout(), op.getValue()));
  Value dz = t.compute(t.pairs(dp), {t.pairs(p), t.rows(delta)},
                       [](Scalar p, Scalar delta, Scalar dp) { return p * (dp - delta); });
  Value ds = dz;
  if (t.softcap > 0) // c tanh'(x / c) / c = 1 - tanh(x / c)^2
    ds = t.compute(t.pairs(t.empty(t.pairSizes())), {t.pairs(dz), t.pairs(t.cappedScores())},
                   [&](Scalar dz, Scalar capped, Scalar) {
                     Scalar ratio = capped / t.softcap;
                     return dz * (1 - ratio * ratio);
                   });

  auto scaledProduct = [&](Access out, Access other) {
    return t.compute(out, {t.pairs(ds), other},
                     [&](Scalar ds, Scalar other, Scalar sum) { return sum + ds * scale * other; });
  };
  SmallVector<Value> results = {
      scaledProduct(t.heads(op.getOuts()[0]), t.groups(op.getKey())),
      scaledProduct(t.groups(op.getOuts()[1]), t.heads(op.getQuery())),
      t.contract(t.groups(op.getOuts()[2]), t.pairs(t.applyDropout(p)), t.heads(op.getDout()))};
  if (op.getBias())
    results.push_back(t.accumulate(t.bias(op.getOuts()[3]), t.pairs(dz)));
  return results;
}

} // namespace bpt::definition
