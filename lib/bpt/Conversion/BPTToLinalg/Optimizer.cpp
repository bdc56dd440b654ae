// bpt.adamw and bpt.global_norm.
#include "Definition.h"

using namespace mlir;

namespace bpt::definition {

Results define(OpBuilder &builder, AdamWOp op) {
  Value param = op.getOuts()[0], m = op.getOuts()[1], v = op.getOuts()[2];
  Definition t(builder, op.getLoc(), getElementTypeOrSelf(param.getType()));
  double beta1 = op.getBeta1().convertToDouble(), beta2 = op.getBeta2().convertToDouble();
  double eps = op.getEps().convertToDouble(), decay = op.getWeightDecay().convertToDouble();
  double clip = op.getClip().convertToDouble();

  // 1 - beta^step, in f64: with beta near 1 the difference of f32 values has few right digits.
  auto correction = [&](double beta) {
    return t.compute({t.empty({}), {}}, {{op.getStep(), {}}},
                     [&](Scalar step, Scalar) { return 1 - pow(beta, step.toFloat(t.builder.getF64Type())); });
  };
  // The factor that clips gradients, min(1, clip / (norm + 1e-6)).
  Value factor;
  if (clip > 0)
    factor = t.compute({t.empty({}), {}}, {{op.getNorm(), {}}},
                       [&](Scalar norm, Scalar) { return minimum(clip / (norm + 1e-6), 1); });
  else
    factor = t.filled({}, 1);

  Indices all = t.loops(0, cast<ShapedType>(param.getType()).getRank());
  return t.compute(
      {{param, all}, {m, all}, {v, all}},
      {{op.getGrad(), all}, {factor, {}}, {correction(beta1), {}}, {correction(beta2), {}}, {op.getLr(), {}}},
      [&](ArrayRef<Scalar> a) {
        Scalar grad = a[0], factor = a[1], correction1 = a[2], correction2 = a[3], lr = a[4];
        Scalar param = a[5], m = a[6], v = a[7];
        Scalar g = grad * factor;
        m = beta1 * m + (1 - beta1) * g;
        v = beta2 * v + (1 - beta2) * g * g;
        Scalar update = m / correction1 / (sqrt(v / correction2) + eps) + decay * param;
        return SmallVector<Scalar>{param - lr * update, m, v};
      });
}

Results define(OpBuilder &builder, GlobalNormOp op) {
  Value norm = op.getOuts()[0];
  Definition t(builder, op.getLoc(), getElementTypeOrSelf(norm.getType()));
  norm = t.fill(norm, 0);
  for (Value grad : op.getGrads()) {
    Indices all = t.loops(0, cast<ShapedType>(grad.getType()).getRank());
    norm = t.compute({norm, {}}, {{grad, all}}, [](Scalar g, Scalar sum) { return sum + g * g; });
  }
  return SmallVector<Value>{t.compute({norm, {}}, [](Scalar sum) { return sqrt(sum); })};
}

} // namespace bpt::definition
