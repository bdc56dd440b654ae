// Model FLOPs of a function.
#include "bpt/Analysis/ModelFlops.h"
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/Interfaces.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"

using namespace mlir;

namespace bpt {

static constexpr llvm::StringLiteral modelFlopsAttr = "bpt.model_flops";

/// Two per point of a contraction's iteration space; 0 for what is no contraction.
static std::optional<int64_t> countContraction(linalg::LinalgOp op) {
  if (!linalg::isaContractionOpInterface(op))
    return 0;
  int64_t points = 2;
  for (int64_t range : op.getStaticLoopRanges()) {
    if (ShapedType::isDynamic(range))
      return std::nullopt;
    points *= range;
  }
  return points;
}

std::optional<int64_t> countOpFlops(Operation *op) {
  if (auto model = dyn_cast<CostModelOpInterface>(op))
    return model.getFlops();
  auto structured = dyn_cast<linalg::LinalgOp>(op);
  return structured ? countContraction(structured) : 0;
}

std::optional<ModelFlops> countModelFlops(func::FuncOp function) {
  if (auto recorded = function->getAttrOfType<DenseI64ArrayAttr>(modelFlopsAttr))
    return ModelFlops{recorded[0], recorded[1]};
  ModelFlops total;
  WalkResult walked = function.walk([&](Operation *op) {
    if (isa<CheckpointOp, BlockwiseOp, func::CallOp>(op))
      return WalkResult::interrupt();
    std::optional<int64_t> flops = countOpFlops(op);
    double backwardFactor = 2;
    if (auto model = dyn_cast<CostModelOpInterface>(op))
      backwardFactor = model.getBackwardFactor();
    if (!flops)
      return WalkResult::interrupt();
    total.forward += *flops;
    total.backward += static_cast<int64_t>(backwardFactor * *flops);
    return WalkResult::advance();
  });
  if (walked.wasInterrupted())
    return std::nullopt;
  return total;
}

void recordModelFlops(func::FuncOp function) {
  if (std::optional<ModelFlops> flops = countModelFlops(function))
    function->setAttr(modelFlopsAttr, DenseI64ArrayAttr::get(function.getContext(), {flops->forward, flops->backward}));
}

void setRunFlops(func::FuncOp function, int64_t flops) {
  function->setAttr("bpt.flops", StringAttr::get(function.getContext(), std::to_string(flops)));
}

} // namespace bpt
