// convert-bpt-to-linalg: every op becomes its unblocked definition; the oracle for all other lowerings.
#include "bpt/Conversion/BPTToLinalg.h"
#include "Accumulation.h"
#include "Definition.h"
#include "bpt/Conversion/Passes.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bpt {
#define GEN_PASS_DEF_CONVERTBPTTOLINALGPASS
#include "bpt/Conversion/Passes.h.inc"

template <typename Op> static LogicalResult replaceByDefinition(Op op) {
  if (!op.hasPureTensorSemantics())
    return op.emitOpError("expected tensors, but got buffers; convert-bpt-to-linalg runs before bufferization");
  OpBuilder builder(op);
  FailureOr<SmallVector<Value>> results = definition::define(builder, op);
  if (failed(results))
    return failure();
  op->replaceAllUsesWith(*results);
  op->erase();
  return success();
}

static LogicalResult replaceByDefinition(Operation *op) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case<AttentionOp, AttentionGradOp, FeedForwardOp, FeedForwardGradOp, LayerNormOp, LayerNormGradOp, RMSNormOp,
            RMSNormGradOp, RotaryOp, DropoutOp, EmbeddingOp, EmbeddingGradOp, LinearCrossEntropyOp,
            LinearCrossEntropyGradOp, AdamWOp, GlobalNormOp>([](auto op) { return replaceByDefinition(op); })
      .Default([](Operation *) { return success(); });
}

LogicalResult convertBPTToLinalg(Operation *root) {
  SmallVector<Operation *> ops;
  root->walk([&](Operation *op) {
    if (isa<BPTDialect>(op->getDialect()))
      ops.push_back(op);
  });
  for (Operation *op : ops)
    if (failed(replaceByDefinition(op)))
      return failure();
  return accumulateInWideType(root);
}

namespace {
struct ConvertBPTToLinalgPass : impl::ConvertBPTToLinalgPassBase<ConvertBPTToLinalgPass> {
  void runOnOperation() override {
    if (failed(convertBPTToLinalg(getOperation())))
      signalPassFailure();
  }
};
} // namespace
} // namespace bpt
