// convert-bpt-to-nvvm: ops on memrefs become launches of Hopper kernels.
#include "../Contractions.h"
#include "Lowerings.h"
#include "bpt/Analysis/HopperTiles.h"
#include "bpt/Conversion/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bpt {
#define GEN_PASS_DEF_CONVERTBPTTONVVMPASS
#include "bpt/Conversion/Passes.h.inc"

template <typename Op>
static LogicalResult lowerUnlessRefused(Op op, hopper::KernelLibrary &kernels,
                                        LogicalResult (*lower)(Op, hopper::KernelLibrary &)) {
  if (op->getNumResults())
    return op.emitOpError("expected memrefs; bufferize before convert-bpt-to-nvvm");
  if (std::string reason = getHopperRefusal(op); !reason.empty()) {
    auto options = remark::RemarkOpts::name("fallback").category("convert-bpt-to-nvvm").function(op->getName().getStringRef());
    remark::missed(op.getLoc(), options) << "left to convert-bpt-to-vector: " << reason;
    return success();
  }
  return lower(op, kernels);
}

/// Ops for which other passes have kernels, too: what this one does not take stays, and a remark says why.
template <typename Op>
static LogicalResult lowerIfPossible(Op op, hopper::KernelLibrary &kernels,
                                     std::string (*lower)(Op, hopper::KernelLibrary &)) {
  if (op->getNumResults())
    return op.emitOpError("expected memrefs; bufferize before convert-bpt-to-nvvm");
  Location loc = op->getLoc();
  auto options =
      remark::RemarkOpts::name("kernel").category("convert-bpt-to-nvvm").function(op->getName().getStringRef());
  if (std::string reason = lower(op, kernels); !reason.empty())
    remark::missed(loc, options) << ("no products of warpgroups: " + reason);
  return success();
}

namespace {
struct ConvertBPTToNVVMPass : impl::ConvertBPTToNVVMPassBase<ConvertBPTToNVVMPass> {
  using ConvertBPTToNVVMPassBase::ConvertBPTToNVVMPassBase;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    hopper::KernelLibrary kernels(module);
    SmallVector<Operation *> ops;
    module.walk([&](Operation *op) { ops.push_back(op); });
    for (Operation *op : ops) {
      LogicalResult lowered =
          TypeSwitch<Operation *, LogicalResult>(op)
              .Case([&](AttentionOp typed) { return lowerUnlessRefused(typed, kernels, hopper::lowerAttention); })
              .Case(
                  [&](AttentionGradOp typed) { return lowerUnlessRefused(typed, kernels, hopper::lowerAttentionGrad); })
              .Case([&](FeedForwardOp typed) { return lowerIfPossible(typed, kernels, hopper::lowerFeedForward); })
              .Case([&](FeedForwardGradOp typed) {
                return lowerIfPossible(typed, kernels, hopper::lowerFeedForwardGrad);
              })
              .Case([&](LinearCrossEntropyOp typed) {
                return lowerIfPossible(typed, kernels, hopper::lowerLinearCrossEntropy);
              })
              .Case([&](LinearCrossEntropyGradOp typed) {
                return lowerIfPossible(typed, kernels, hopper::lowerLinearCrossEntropyGrad);
              })
              .Case([&](linalg::LinalgOp typed) {
                return isContraction(typed) ? lowerIfPossible(typed, kernels, hopper::lowerContraction) : success();
              })
              .Default([](Operation *) { return success(); });
      if (failed(lowered))
        return signalPassFailure();
    }
  }
};
} // namespace

} // namespace bpt
