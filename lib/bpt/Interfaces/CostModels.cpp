// Model FLOPs of the bpt ops that are products.
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/Interfaces.h"
#include "bpt/Interfaces/Register.h"

using namespace mlir;

namespace bpt {
namespace {

/// Product of the dims of a shaped type but the last `dropped`; none when one is dynamic.
std::optional<int64_t> countRows(Type type, unsigned dropped = 1) {
  int64_t rows = 1;
  for (int64_t size : cast<ShapedType>(type).getShape().drop_back(dropped)) {
    if (ShapedType::isDynamic(size))
      return std::nullopt;
    rows *= size;
  }
  return rows;
}

/// Visible pairs of all heads; none when a size is dynamic, or what is visible.
template <typename OpTy> std::optional<int64_t> countPairs(OpTy attention) {
  auto query = cast<ShapedType>(attention.getQuery().getType()), key = cast<ShapedType>(attention.getKey().getType());
  if (!query.hasStaticShape() || !key.hasStaticShape())
    return std::nullopt;
  int64_t offset = 0;
  if (Value given = attention.getQueryOffset()) {
    std::optional<int64_t> constant = getConstantIntValue(given);
    if (!constant && !isa<FullMaskAttr>(attention.getMask()))
      return std::nullopt;
    offset = constant.value_or(0);
  }
  int64_t pairs = attention.getMask().countVisible(query.getDimSize(1), key.getDimSize(1), offset);
  return pairs * query.getDimSize(0) * query.getDimSize(2);
}

struct AttentionCost : CostModelOpInterface::ExternalModel<AttentionCost, AttentionOp> {
  /// 4 D per visible pair and head: one product for the scores, one for the output.
  std::optional<int64_t> getFlops(Operation *op) const {
    auto attention = cast<AttentionOp>(op);
    std::optional<int64_t> pairs = countPairs(attention);
    return pairs ? std::optional(4 * cast<ShapedType>(attention.getQuery().getType()).getDimSize(3) * *pairs) : pairs;
  }
  double getBackwardFactor(Operation *) const { return 2.5; }
};

/// Five products; scores that are computed again are not counted.
struct AttentionGradCost : CostModelOpInterface::ExternalModel<AttentionGradCost, AttentionGradOp> {
  std::optional<int64_t> getFlops(Operation *op) const {
    auto attention = cast<AttentionGradOp>(op);
    std::optional<int64_t> pairs = countPairs(attention);
    return pairs ? std::optional(10 * cast<ShapedType>(attention.getQuery().getType()).getDimSize(3) * *pairs) : pairs;
  }
};

/// `Factor` products of a multiply-add for each weight and row: 2 in the gradient, what is recomputed not counted.
template <typename OpTy, int Factor>
struct FeedForwardCost : CostModelOpInterface::ExternalModel<FeedForwardCost<OpTy, Factor>, OpTy> {
  std::optional<int64_t> getFlops(Operation *op) const {
    auto layer = cast<OpTy>(op);
    std::optional<int64_t> rows = countRows(layer.getInput().getType());
    auto up = cast<ShapedType>(layer.getUpWeight().getType()), down = cast<ShapedType>(layer.getDownWeight().getType());
    if (!rows || !up.hasStaticShape() || !down.hasStaticShape())
      return std::nullopt;
    int64_t weights = up.getNumElements() * (layer.getGateWeight() ? 2 : 1) + down.getNumElements();
    return Factor * 2 * *rows * weights;
  }
};

template <typename OpTy>
struct LinearCrossEntropyCost : CostModelOpInterface::ExternalModel<LinearCrossEntropyCost<OpTy>, OpTy> {
  std::optional<int64_t> getFlops(Operation *op) const {
    auto head = cast<OpTy>(op);
    std::optional<int64_t> rows = countRows(head.getInput().getType());
    auto weight = cast<ShapedType>(head.getWeight().getType());
    if (!rows || !weight.hasStaticShape())
      return std::nullopt;
    int64_t products = 1;
    if constexpr (std::is_same_v<OpTy, LinearCrossEntropyGradOp>)
      products = head.computesLoss() ? 3 : 2;
    return products * 2 * *rows * weight.getNumElements();
  }
};

} // namespace

void registerCostModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, BPTDialect *) {
    AttentionOp::attachInterface<AttentionCost>(*context);
    AttentionGradOp::attachInterface<AttentionGradCost>(*context);
    FeedForwardOp::attachInterface<FeedForwardCost<FeedForwardOp, 1>>(*context);
    FeedForwardGradOp::attachInterface<FeedForwardCost<FeedForwardGradOp, 2>>(*context);
    LinearCrossEntropyOp::attachInterface<LinearCrossEntropyCost<LinearCrossEntropyOp>>(*context);
    LinearCrossEntropyGradOp::attachInterface<LinearCrossEntropyCost<LinearCrossEntropyGradOp>>(*context);
  });
}

} // namespace bpt
