// bpt-outline-parallel: the body of each parallel loop becomes a function; the loop a call of bpt_parallel_for.
#include "ParallelBody.h"
#include "RuntimeCalls.h"
#include "bpt/Conversion/Passes.h"
#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

namespace bpt {
#define GEN_PASS_DEF_OUTLINEPARALLELPASS
#include "bpt/Conversion/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

constexpr llvm::StringLiteral regionAttr = "bpt.region";

class OutlineParallel : public impl::OutlineParallelPassBase<OutlineParallel> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    addContextArguments(module, [](Operation *op) {
      return isa<scf::ForallOp, SharedScratchOp>(op) || op->hasAttr(regionAttr);
    });
    reportRegions(module);
    auto scratch = module->getAttrOfType<IntegerAttr>("bpt.thread_scratch");
    auto shared = module->getAttrOfType<IntegerAttr>("bpt.shared_scratch");
    ParallelBodies bodies(module, scratch ? scratch.getInt() : 0);
    SmallVector<SharedScratchOp> sharedOps;
    module.walk([&](SharedScratchOp op) { sharedOps.push_back(op); });
    for (SharedScratchOp op : sharedOps)
      replace(op, bodies, shared ? shared.getInt() : 0);
    SmallVector<scf::ForallOp> loops;
    module.walk([&](scf::ForallOp loop) { loops.push_back(loop); });
    for (scf::ForallOp loop : loops)
      if (failed(outline(loop, bodies)))
        return signalPassFailure();
    module.walk([&](ThreadScratchOp op) {
      if (op->getParentOfType<func::FuncOp>()) {
        op.emitOpError("expected to be in the body of a parallel loop");
        signalPassFailure();
      }
    });
  }

  LogicalResult outline(scf::ForallOp loop, ParallelBodies &bodies) {
    OpBuilder before(loop->getParentOfType<func::FuncOp>());
    FailureOr<ParallelBody> body = bodies.take(loop, before);
    if (failed(body))
      return failure();
    OpBuilder builder(loop);
    Location loc = loop.getLoc();
    Value function =
        func::ConstantOp::create(builder, loc, body->function.getFunctionType(), body->function.getName());
    function = castTo(builder, loc, function, LLVM::LLVMPointerType::get(&getContext()));
    callRuntime(builder, loc, "bpt_parallel_for", {function, body->closureAddress, body->items});
    loop.erase();
    return success();
  }

  /// The shared scratch: asked of the runtime once.
  void replace(SharedScratchOp op, ParallelBodies &bodies, int64_t bytes) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    Type pointer = LLVM::LLVMPointerType::get(&getContext());
    Value scratch = callRuntime(builder, loc, "bpt_shared_scratch", {}, pointer).getResult(0);
    Value null = LLVM::ZeroOp::create(builder, loc, pointer);
    op.getAvailable().replaceAllUsesWith(
        LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::ne, scratch, null).getResult());
    op.getBytes().replaceAllUsesWith(bodies.getBytes(builder, loc, scratch, bytes));
    op.erase();
  }

  /// Tells the runtime when each region begins and ends.
  static void reportRegions(ModuleOp module) {
    SmallVector<func::CallOp> calls;
    module.walk([&](func::CallOp call) {
      if (call->hasAttr(regionAttr))
        calls.push_back(call);
    });
    for (func::CallOp call : calls) {
      OpBuilder builder(call);
      Location loc = call.getLoc();
      Value region = LLVM::ConstantOp::create(builder, loc, builder.getI64Type(), call->getAttr(regionAttr));
      for (int begins : {1, 0}) {
        Value flag =
            LLVM::ConstantOp::create(builder, loc, builder.getI32Type(), builder.getI32IntegerAttr(begins));
        callRuntime(builder, loc, "bpt_profile", {region, flag});
        builder.setInsertionPointAfter(call);
      }
      call->removeAttr(regionAttr);
    }
  }
};

} // namespace
} // namespace bpt
