// convert-bpt-to-vector: every op on memrefs becomes the call of a CPU kernel.
#include "../Contractions.h"
#include "Lowerings.h"
#include "bpt/Conversion/Passes.h"
#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bpt {
#define GEN_PASS_DEF_CONVERTBPTTOVECTORPASS
#include "bpt/Conversion/Passes.h.inc"

static LogicalResult lower(Operation *op, KernelCache &kernels) {
  if (isa<BPTDialect>(op->getDialect()) && op->getNumResults())
    return op->emitError("expected memrefs; bufferize before convert-bpt-to-vector");
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](AttentionOp typed) { return lowerAttention(typed, kernels); })
      .Case([&](AttentionGradOp typed) { return lowerAttentionGrad(typed, kernels); })
      .Case([&](FeedForwardOp typed) { return lowerFeedForward(typed, kernels); })
      .Case([&](FeedForwardGradOp typed) { return lowerFeedForwardGrad(typed, kernels); })
      .Case([&](LinearCrossEntropyOp typed) { return lowerLinearCrossEntropy(typed, kernels); })
      .Case([&](LinearCrossEntropyGradOp typed) { return lowerLinearCrossEntropyGrad(typed, kernels); })
      .Case([&](LayerNormOp typed) { return lowerLayerNorm(typed, kernels); })
      .Case([&](LayerNormGradOp typed) { return lowerLayerNormGrad(typed, kernels); })
      .Case([&](RMSNormOp typed) { return lowerRMSNorm(typed, kernels); })
      .Case([&](RMSNormGradOp typed) { return lowerRMSNormGrad(typed, kernels); })
      .Case([&](RotaryOp typed) { return lowerRotary(typed, kernels); })
      .Case([&](DropoutOp typed) { return lowerDropout(typed, kernels); })
      .Case([&](EmbeddingOp typed) { return lowerEmbedding(typed, kernels); })
      .Case([&](EmbeddingGradOp typed) { return lowerEmbeddingGrad(typed, kernels); })
      .Case([&](AdamWOp typed) { return lowerAdamW(typed, kernels); })
      .Case([&](GlobalNormOp typed) { return lowerGlobalNorm(typed, kernels); })
      .Case([&](memref::CopyOp typed) { return lowerCopy(typed, kernels); })
      .Case([&](linalg::LinalgOp typed) {
        return isContraction(typed) ? lowerContraction(typed, kernels) : lowerElementwise(typed, kernels);
      })
      .Default([](Operation *) { return success(); });
}

/// Kernels appear while ops are lowered: what is to be lowered is collected first.
static LogicalResult lowerAll(ModuleOp module, KernelCache &kernels, function_ref<bool(Operation *)> filter) {
  SmallVector<Operation *> ops;
  module.walk([&](Operation *op) {
    if (filter(op))
      ops.push_back(op);
  });
  for (Operation *op : ops)
    if (failed(lower(op, kernels)))
      return failure();
  return success();
}

namespace {
struct ConvertBPTToVectorPass : impl::ConvertBPTToVectorPassBase<ConvertBPTToVectorPass> {
  using ConvertBPTToVectorPassBase::ConvertBPTToVectorPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    std::optional<TargetInfo> target = TargetInfo::get(cpu);
    if (!target) {
      module.emitError("expected cpu to be one of ") << TargetInfo::getKnownNames() << ", but got '" << cpu << "'";
      return signalPassFailure();
    }
    // Contractions first: they take the fills before them along.
    KernelCache kernels(module, *target, profile);
    auto isOurs = [](Operation *op) {
      return !isa<ThreadScratchOp, SharedScratchOp>(op) && (isa<BPTDialect>(op->getDialect()) || isa<linalg::LinalgOp, memref::CopyOp>(op));
    };
    auto isProduct = [](Operation *op) {
      auto linalgOp = dyn_cast<linalg::LinalgOp>(op);
      return linalgOp && isContraction(linalgOp);
    };
    if (failed(lowerAll(module, kernels, isProduct)) || failed(lowerAll(module, kernels, isOurs)))
      return signalPassFailure();
    kernels.attachRegions();
    module->setAttr("bpt.thread_scratch", Builder(module).getI64IntegerAttr(kernels.getScratchBytes()));
  }
};
} // namespace

} // namespace bpt
