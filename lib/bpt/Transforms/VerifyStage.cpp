// bpt-verify-stage: names every op that may not be there any more (or not yet) at a stage.
#include "bpt/Transforms/Passes.h"
#include "bpt/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/ADT/StringExtras.h"

namespace bpt {
#define GEN_PASS_DEF_VERIFYSTAGEPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

constexpr StringLiteral stageNames[] = {"graph", "blocks", "step", "tiles", "buffers", "kernels", "llvm"};

/// The stages an op, or every op of a dialect, may be seen at.
struct Lifetime {
  StringLiteral name;
  Stage first, last;
  StringLiteral remover; ///< what ends it
};

/// An op's own entry comes before its dialect's. Dialects that are not here are somebody else's, and may stay until
/// `tiles`.
constexpr Lifetime lifetimes[] = {
    {"bpt.checkpoint", Stage::Blocks, Stage::Step, "bpt-lower-structure"},
    {"bpt.blockwise", Stage::Blocks, Stage::Step, "bpt-lower-structure"},
    {"bpt.yield", Stage::Blocks, Stage::Step, "bpt-lower-structure"},
    {"bpt.barrier", Stage::Step, Stage::Tiles, "one-shot-bufferize"},
    {"bpt.thread_scratch", Stage::Kernels, Stage::Kernels, "bpt-outline-parallel"},
    {"bpt.shared_scratch", Stage::Kernels, Stage::Kernels, "bpt-outline-parallel"},
    {"bpt", Stage::Graph, Stage::Buffers, "convert-bpt-to-vector or convert-bpt-to-linalg"},
    {"linalg", Stage::Graph, Stage::Buffers, "convert-bpt-to-vector or convert-linalg-to-loops"},
    {"tensor", Stage::Graph, Stage::Tiles, "one-shot-bufferize"},
    {"func", Stage::Graph, Stage::Kernels, "convert-func-to-llvm"},
    {"arith", Stage::Graph, Stage::Kernels, "convert-arith-to-llvm"},
    {"math", Stage::Graph, Stage::Kernels, "convert-math-to-llvm"},
    {"index", Stage::Graph, Stage::Kernels, "convert-index-to-llvm"},
    {"scf", Stage::Step, Stage::Kernels, "convert-scf-to-cf"},
    {"affine", Stage::Tiles, Stage::Kernels, "lower-affine"},
    {"memref", Stage::Buffers, Stage::Kernels, "finalize-memref-to-llvm"},
    {"vector", Stage::Kernels, Stage::Kernels, "convert-vector-to-llvm"},
    {"cf", Stage::Kernels, Stage::Kernels, "convert-cf-to-llvm"},
    {"builtin.unrealized_conversion_cast", Stage::Kernels, Stage::Kernels, "reconcile-unrealized-casts"},
    {"builtin", Stage::Graph, Stage::LLVM, ""},
    {"ub", Stage::Graph, Stage::Kernels, "convert-ub-to-llvm"},
    {"llvm", Stage::Kernels, Stage::LLVM, ""},
    {"gpu.memcpy", Stage::Buffers, Stage::Kernels, "bpt-lower-launches"},
    {"gpu.wait", Stage::Buffers, Stage::Kernels, "bpt-lower-launches"},
    {"gpu", Stage::Kernels, Stage::LLVM, ""},
    {"nvvm", Stage::Kernels, Stage::LLVM, ""},
};
constexpr Lifetime foreign = {"", Stage::Graph, Stage::Tiles, "a lowering of its own"};

const Lifetime &getLifetime(Operation *op) {
  for (StringRef name : {op->getName().getStringRef(), op->getName().getDialectNamespace()})
    for (const Lifetime &lifetime : lifetimes)
      if (lifetime.name == name)
        return lifetime;
  return foreign;
}

StringRef getName(Stage stage) { return stageNames[static_cast<int>(stage)]; }

/// Whether a copy moves one whole buffer into another: what bufferization inserts where it found no way in place. A
/// slice's copy comes from a tensor.extract_slice or tensor.insert_slice somebody wrote.
bool copiesWholeBuffer(memref::CopyOp copy) {
  auto isSlice = [](Value value) {
    while (Operation *definition = value.getDefiningOp()) {
      if (isa<memref::SubViewOp>(definition))
        return true;
      if (!isa<memref::CastOp, memref::ExpandShapeOp, memref::CollapseShapeOp, memref::ReinterpretCastOp>(definition))
        return false;
      value = definition->getOperand(0);
    }
    return false;
  };
  return !isSlice(copy.getSource()) && !isSlice(copy.getTarget());
}

/// Scratch on the stack that needs no place in the arena.
bool isSmallAlloca(memref::AllocaOp op) {
  MemRefType type = op.getType();
  return type.hasStaticShape() && type.getElementType().isIntOrFloat() &&
         type.getNumElements() * type.getElementTypeBitWidth() <= 4096 * 8;
}

/// What `stage` refuses in `op`, besides its name: "" for nothing.
std::string refuse(Operation *op, Stage stage) {
  auto refuseType = [&](Type type) -> std::string {
    if (stage >= Stage::Buffers ? isa<TensorType>(type) : isa<BaseMemRefType>(type)) {
      std::string text;
      llvm::raw_string_ostream(text) << "expected no value of type " << type << " at stage '" << getName(stage) << "'";
      return text;
    }
    return "";
  };
  for (Type type : op->getResultTypes())
    if (std::string why = refuseType(type); !why.empty())
      return why;
  for (Region &region : op->getRegions())
    for (Type type : region.getArgumentTypes())
      if (std::string why = refuseType(type); !why.empty())
        return why;
  if (stage != Stage::Buffers)
    return "";
  if (isa<memref::AllocOp, memref::DeallocOp>(op))
    return "expected every buffer to be in the arena at stage 'buffers', but got one outside of it; run "
           "bpt-plan-memory";
  if (auto alloca = dyn_cast<memref::AllocaOp>(op); alloca && !isSmallAlloca(alloca))
    return "expected at most 4096 bytes on the stack at stage 'buffers', but got more; use a tensor before "
           "bufferization";
  if (auto copy = dyn_cast<memref::CopyOp>(op); copy && copiesWholeBuffer(copy))
    return "expected updates in place at stage 'buffers', but got a copy of a whole buffer that bufferization inserted";
  return "";
}

class VerifyStage : public impl::VerifyStagePassBase<VerifyStage> {
  using Base::Base;
  void runOnOperation() override {
    auto found = llvm::find(stageNames, stage.getValue());
    if (found == std::end(stageNames)) {
      getOperation().emitError("expected stage ")
          << llvm::join(llvm::ArrayRef(stageNames).drop_back(), ", ") << " or llvm, but got '" << stage << "'";
      return signalPassFailure();
    }
    if (failed(verifyStage(getOperation(), static_cast<Stage>(found - std::begin(stageNames)))))
      signalPassFailure();
  }
};

} // namespace

LogicalResult verifyStage(ModuleOp module, Stage stage) {
  bool good = true;
  module.walk<WalkOrder::PreOrder>([&](Operation *op) {
    const Lifetime &lifetime = getLifetime(op);
    if (stage < lifetime.first || stage > lifetime.last) {
      InFlightDiagnostic error = op->emitOpError("expected to be seen only from stage '")
                                 << getName(lifetime.first) << "' to '" << getName(lifetime.last)
                                 << "', but got it at stage '" << getName(stage) << "'";
      if (stage > lifetime.last && !lifetime.remover.empty())
        error << "; run " << lifetime.remover;
      good = false;
    } else if (std::string why = refuse(op, stage); !why.empty()) {
      op->emitOpError(why);
      good = false;
    }
    // What is inside an op of another stage is not this stage's matter: one error says it.
    return isa<CheckpointOp, BlockwiseOp>(op) && stage > lifetime.last ? WalkResult::skip() : WalkResult::advance();
  });
  return success(good);
}

} // namespace bpt
