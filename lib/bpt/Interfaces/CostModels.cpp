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

struct AttentionCost : CostModelOpInterface::ExternalModel<AttentionCost, AttentionOp> {
  /// 4 D per visible pair and head: one product for the scores, one for the output.
  std::optional<int64_t> getFlops(Operation *op) const {
    auto attention = cast<AttentionOp>(op);
    auto query = cast<ShapedType>(attention.getQuery().getType()), key = cast<ShapedType>(attention.getKey().getType());
    if (!query.hasStaticShape() || !key.hasStaticShape())
      return std::nullopt;
    int64_t pairs = attention.getMask().countVisible(query.getDimSize(1), key.getDimSize(1), 0);
    return 4 * query.getDimSize(3) * pairs * query.getDimSize(0) * query.getDimSize(2);
  }
  double getBackwardFactor(Operation *) const { return 2.5; }
};

struct FeedForwardCost : CostModelOpInterface::ExternalModel<FeedForwardCost, FeedForwardOp> {
  std::optional<int64_t> getFlops(Operation *op) const {
    auto layer = cast<FeedForwardOp>(op);
    std::optional<int64_t> rows = countRows(layer.getInput().getType());
    auto up = cast<ShapedType>(layer.getUpWeight().getType()), down = cast<ShapedType>(layer.getDownWeight().getType());
    if (!rows || !up.hasStaticShape() || !down.hasStaticShape())
      return std::nullopt;
    int64_t weights = up.getNumElements() * (layer.getGateWeight() ? 2 : 1) + down.getNumElements();
    return 2 * *rows * weights;
  }
};

struct LinearCrossEntropyCost : CostModelOpInterface::ExternalModel<LinearCrossEntropyCost, LinearCrossEntropyOp> {
  std::optional<int64_t> getFlops(Operation *op) const {
    auto head = cast<LinearCrossEntropyOp>(op);
    std::optional<int64_t> rows = countRows(head.getInput().getType());
    auto weight = cast<ShapedType>(head.getWeight().getType());
    if (!rows || !weight.hasStaticShape())
      return std::nullopt;
    return 2 * *rows * weight.getNumElements();
  }
};

} // namespace

void registerCostModels(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, BPTDialect *) {
    AttentionOp::attachInterface<AttentionCost>(*context);
    FeedForwardOp::attachInterface<FeedForwardCost>(*context);
    LinearCrossEntropyOp::attachInterface<LinearCrossEntropyCost>(*context);
  });
}

} // namespace bpt
