// bpt.feed_forward and its gradient, with the whole hidden at once.
#include "Definition.h"

#include <cmath>

using namespace mlir;

namespace bpt::definition {

static Scalar sigmoid(Scalar x) { return 1 / (1 + exp(0 - x)); }

Scalar activate(Activation activation, Scalar x) {
  switch (activation) {
  case Activation::GeluTanh:
    return 0.5 * x * (1 + tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
  case Activation::GeluErf:
    return 0.5 * x * (1 + erf(x * M_SQRT1_2));
  case Activation::Relu:
    return maximum(x, 0);
  case Activation::Silu:
    return x * sigmoid(x);
  case Activation::Identity:
    return x;
  }
  llvm_unreachable("activation without a definition");
}

Scalar activationSlope(Activation activation, Scalar x) {
  switch (activation) {
  case Activation::GeluTanh: {
    Scalar t = tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x));
    return 0.5 * (1 + t) + 0.5 * x * (1 - t * t) * (std::sqrt(2 / M_PI) * (1 + 3 * 0.044715 * x * x));
  }
  case Activation::GeluErf:
    return 0.5 * (1 + erf(x * M_SQRT1_2)) + x * exp(-0.5 * x * x) * (1 / std::sqrt(2 * M_PI));
  case Activation::Relu:
    return select(less(0, x), x.constant(1), x.constant(0));
  case Activation::Silu: {
    Scalar s = sigmoid(x);
    return s * (1 + x * (1 - s));
  }
  case Activation::Identity:
    return x.constant(1);
  }
  llvm_unreachable("activation without a definition");
}

namespace {
/// What forward and gradient share: the pre-activations u and g `[.., F]`, the activated hidden.
template <typename Op> class Layer : public Definition {
public:
  Layer(OpBuilder &builder, Op op)
      : Definition(builder, op.getLoc(), getElementTypeOrSelf(op.getInput().getType())), op(op) {
    rank = cast<ShapedType>(op.getInput().getType()).getRank() - 1;
  }

  /// Loops are the rows, then two inner ones, of which `column` names one.
  Access rowwise(Value tensor, AffineExpr column) {
    Access access{tensor, loops(0, rank)};
    access.indices.push_back(column);
    return access;
  }
  AffineExpr inner(unsigned number) { return loop(rank + number); }
  /// A weight by its input and output column, whatever its layout.
  Access weight(Value tensor, AffineExpr in, AffineExpr out) {
    return op.getWeightsTransposed() ? Access{tensor, {out, in}} : Access{tensor, {in, out}};
  }
  int64_t outDim() { return op.getWeightsTransposed() ? 0 : 1; }

  SmallVector<OpFoldResult> hiddenSizes() {
    SmallVector<OpFoldResult> shape = sizes(op.getInput());
    shape.back() = size(op.getUpWeight(), outDim());
    return shape;
  }
  /// out += input . weight
  Value multiply(Value out, Value input, Value tensor) {
    return contract(rowwise(out, inner(1)), rowwise(input, inner(0)), weight(tensor, inner(0), inner(1)));
  }
  /// out += input . weight^T
  Value multiplyTransposed(Value out, Value input, Value tensor) {
    return contract(rowwise(out, inner(1)), rowwise(input, inner(0)), weight(tensor, inner(1), inner(0)));
  }
  Value addBias(Value tensor, Value bias) {
    if (!bias)
      return tensor;
    return accumulate(rowwise(tensor, inner(0)), {bias, {inner(0)}});
  }
  Value project(Value weight, Value bias) {
    return addBias(multiply(filled(hiddenSizes(), 0), op.getInput(), weight), bias);
  }
  Value up() { return project(op.getUpWeight(), op.getUpBias()); }
  Value gate() { return project(op.getGateWeight(), op.getGateBias()); }

  /// An elementwise function of u, and g with a gate, in a new tensor of the element type of `like`.
  template <typename Function> Value elementwise(ArrayRef<Value> inputs, Value out, Function body) {
    SmallVector<Access> accesses;
    for (Value input : inputs)
      accesses.push_back(rowwise(input, inner(0)));
    return compute({rowwise(out, inner(0))}, accesses,
                   [&](ArrayRef<Scalar> a) { return SmallVector<Scalar>{body(a)}; })[0];
  }
  /// act(u), or act(g) * u, in the storage type.
  Value activated(Value u, Value g) {
    Value storage = tensor::EmptyOp::create(builder, hiddenSizes(), getElementTypeOrSelf(op.getInput().getType()));
    if (!g)
      return elementwise({u}, storage, [&](ArrayRef<Scalar> a) { return activate(op.getActivation(), a[0]); });
    return elementwise({u, g}, storage, [&](ArrayRef<Scalar> a) { return activate(op.getActivation(), a[1]) * a[0]; });
  }
  /// Half `number` of a kept hidden `[.., 2F]`.
  Value half(Value hidden, unsigned number) {
    SmallVector<OpFoldResult> shape = hiddenSizes();
    SmallVector<OpFoldResult> offsets(shape.size(), builder.getIndexAttr(0)),
        strides(shape.size(), builder.getIndexAttr(1));
    if (number == 1)
      offsets.back() = shape.back();
    return tensor::ExtractSliceOp::create(builder, hidden, offsets, shape, strides);
  }
  /// `[.., 2F]`: g, then u.
  Value joinHalves(Value g, Value u, Value hidden) {
    return compute(rowwise(hidden, inner(0)), [&](Scalar old) {
      ImplicitLocOpBuilder &b = old.getBuilder();
      Scalar column = index(inner(0)), width = scalar(tensor::DimOp::create(b, g, rank));
      Scalar first = less(column, width);
      SmallVector<Value> position;
      for (AffineExpr row : loops(0, rank))
        position.push_back(index(row).get());
      position.push_back(select(first, column, column - width).get());
      return select(first, scalar(tensor::ExtractOp::create(b, g, position)),
                    scalar(tensor::ExtractOp::create(b, u, position)));
    });
  }

  Op op;
  unsigned rank;
};
} // namespace

Results define(OpBuilder &builder, FeedForwardOp op) {
  Layer<FeedForwardOp> t(builder, op);
  Value u = t.up(), g = op.getGateWeight() ? t.gate() : Value();
  Value a = t.activated(u, g);
  SmallVector<OpFoldResult> shape = t.sizes(op.getOuts()[0]);
  Value product = t.addBias(t.multiply(t.filled(shape, 0), a, op.getDownWeight()), op.getDownBias());
  SmallVector<Value> results = {t.store(product, op.getOuts()[0])};
  if (!op.hasHidden())
    return results;

  Value hidden = op.getOuts()[1];
  results.push_back(g ? t.joinHalves(g, u, hidden) : t.store(u, hidden));
  return results;
}

Results define(OpBuilder &builder, FeedForwardGradOp op) {
  Layer<FeedForwardGradOp> t(builder, op);
  bool gated = static_cast<bool>(op.getGateWeight());
  Value u, g;
  if (Value hidden = op.getHidden()) {
    u = gated ? t.half(hidden, 1) : hidden;
    g = gated ? t.half(hidden, 0) : Value();
  } else {
    u = t.up();
    g = gated ? t.gate() : Value();
  }
  Activation activation = op.getActivation();
  Value a = t.activated(u, g);
  Value da = t.multiplyTransposed(t.filled(t.hiddenSizes(), 0), op.getDout(), op.getDownWeight());
  Value du, dg;
  if (!gated) {
    du = t.elementwise({u, da}, t.empty(t.hiddenSizes()),
                       [&](ArrayRef<Scalar> x) { return x[1] * activationSlope(activation, x[0]); });
  } else {
    du = t.elementwise({g, da}, t.empty(t.hiddenSizes()),
                       [&](ArrayRef<Scalar> x) { return x[1] * activate(activation, x[0]); });
    dg = t.elementwise({u, g, da}, t.empty(t.hiddenSizes()),
                       [&](ArrayRef<Scalar> x) { return x[2] * x[0] * activationSlope(activation, x[1]); });
  }

  // outs: each present exactly when its operand is.
  SmallVector<Value> results;
  auto nextOut = [&]() { return op.getOuts()[results.size()]; };
  auto pushWeight = [&](Value input, Value dproduct) {
    results.push_back(t.contract(t.weight(nextOut(), t.inner(0), t.inner(1)), t.rowwise(input, t.inner(0)),
                                 t.rowwise(dproduct, t.inner(1))));
  };
  auto pushBias = [&](Value bias, Value dproduct) {
    if (bias)
      results.push_back(t.accumulate({nextOut(), {t.inner(0)}}, t.rowwise(dproduct, t.inner(0))));
  };
  Value dinput = t.store(nextOut(), t.empty(t.sizes(nextOut())));
  dinput = t.multiplyTransposed(dinput, du, op.getUpWeight());
  if (gated)
    dinput = t.multiplyTransposed(dinput, dg, op.getGateWeight());
  results.push_back(t.store(dinput, nextOut()));
  pushWeight(op.getInput(), du);
  pushBias(op.getUpBias(), du);
  if (gated) {
    pushWeight(op.getInput(), dg);
    pushBias(op.getGateBias(), dg);
  }
  pushWeight(a, op.getDout());
  pushBias(op.getDownBias(), op.getDout());
  return results;
}

} // namespace bpt::definition
