// bpt-tile-blocks: tile sizes as schedules, workspaces as tensors, so that the memory plan holds them.
#include "bpt/Analysis/AttentionTiles.h"
#include "bpt/Analysis/HopperChunks.h"
#include "bpt/Analysis/HopperTiles.h"
#include "bpt/Analysis/TileSizes.h"
#include "bpt/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

namespace bpt {
#define GEN_PASS_DEF_TILEBLOCKSPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

/// The dynamic dims of the shaped operands of `op`, in order: the numbering of getWorkspaceBytes.
SmallVector<std::pair<Value, int64_t>> getDynamicDims(Operation *op) {
  SmallVector<std::pair<Value, int64_t>> dims;
  for (Value operand : op->getOperands()) {
    auto type = dyn_cast<ShapedType>(operand.getType());
    if (!type)
      continue;
    for (int64_t i = 0; i < type.getRank(); ++i)
      if (type.isDynamicDim(i))
        dims.push_back({operand, i});
  }
  return dims;
}

/// The value of a formula as index arithmetic before `op`.
Value materialize(OpBuilder &builder, Operation *op, const SizeFormula &formula) {
  Location loc = op->getLoc();
  SmallVector<std::pair<Value, int64_t>> dims = getDynamicDims(op);
  SmallVector<Value> stack;
  SmallVector<StringRef> tokens;
  StringRef(formula.getText()).split(tokens, ' ', -1, false);
  for (StringRef token : tokens) {
    int64_t constant;
    unsigned dim;
    if (!token.getAsInteger(10, constant)) {
      stack.push_back(arith::ConstantIndexOp::create(builder, loc, constant));
      continue;
    }
    if (token.front() == 'd' && !token.drop_front().getAsInteger(10, dim)) {
      stack.push_back(builder.createOrFold<tensor::DimOp>(loc, dims[dim].first, dims[dim].second));
      continue;
    }
    Value b = stack.pop_back_val(), a = stack.pop_back_val();
    stack.push_back(token == "+"         ? builder.createOrFold<arith::AddIOp>(loc, a, b)
                    : token == "-"       ? builder.createOrFold<arith::SubIOp>(loc, a, b)
                    : token == "*"       ? builder.createOrFold<arith::MulIOp>(loc, a, b)
                    : token == "/"       ? builder.createOrFold<arith::DivSIOp>(loc, a, b)
                    : token == "ceildiv" ? builder.createOrFold<arith::CeilDivSIOp>(loc, a, b)
                    : token == "min"     ? builder.createOrFold<arith::MinSIOp>(loc, a, b)
                                         : builder.createOrFold<arith::MaxSIOp>(loc, a, b));
  }
  return stack.back();
}

/// The sizes chosen for `op`, in the words of its schedule; empty when there is nothing to choose.
SmallVector<std::pair<StringRef, int64_t>> chooseSizes(Operation *op, const TargetInfo &target) {
  using Sizes = SmallVector<std::pair<StringRef, int64_t>>;
  return TypeSwitch<Operation *, Sizes>(op)
      .Case<FeedForwardOp, FeedForwardGradOp>([&](auto typed) {
        bool own = target.hasWarps && getHopperRefusal(typed).empty();
        return Sizes{{"rows", own ? getHopperFeedForwardRows(op) : getFeedForwardRows(op, target)}};
      })
      .Case<LinearCrossEntropyOp, LinearCrossEntropyGradOp>([&](auto typed) {
        if (target.hasWarps && getHopperRefusal(typed).empty())
          return Sizes{{"rows", getHopperLogitsRows(op)}};
        LogitsBlock block = getLogitsBlock(op, target);
        return Sizes{{"rows", block.rows}, {"columns", block.columns}};
      })
      .Case([&](AttentionOp attention) {
        if (target.hasWarps && getHopperRefusal(attention).empty())
          return Sizes(); // its kernel knows
        AttentionTiles tiles = AttentionTiles::getForward(attention, target);
        return Sizes{{"q_block", tiles.queryBlock}, {"kv_block", tiles.keyBlock}};
      })
      .Default([](Operation *) { return Sizes(); });
}

/// Why these sizes, for the remark.
StringRef explain(Operation *op) {
  return TypeSwitch<Operation *, StringRef>(op)
      .Case<FeedForwardOp, FeedForwardGradOp>(
          [](auto) { return "rows of the hidden that exist at a time: whole blocks of C within 8 MiB"; })
      .Case([](LinearCrossEntropyOp) {
        return "logits stay in the scratch of a thread, statistics of the rows in the workspace";
      })
      .Case([](LinearCrossEntropyGradOp grad) {
        if (grad.computesLoss())
          return "rows of which all logits exist: within 8 MiB or half of the weight";
        return "block of logits that exists at a time: about square, so that gradients are read and written seldom";
      })
      .Case([](AttentionOp) {
        return "queries of a work item and keys of a step: scores and accumulators stay in the cache";
      })
      .Default([](Operation *) { return ""; });
}

class TileBlocks : public impl::TileBlocksPassBase<TileBlocks> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    std::optional<TargetInfo> target = TargetInfo::get(cpu);
    if (!target) {
      module.emitError("expected cpu to be one of ") << TargetInfo::getKnownNames() << ", but got '" << cpu << "'";
      return signalPassFailure();
    }
    int64_t scratch = 0, shared = 0;
    SmallVector<Operation *> ops;
    module.walk([&](Operation *op) {
      if (isa<DestinationStyleOpInterface>(op))
        ops.push_back(op);
    });
    for (Operation *op : ops) {
      scratch = std::max(scratch, getThreadScratchBytes(op, *target));
      shared = std::max(shared, getSharedScratchBytes(op, *target));
      if (isa<BPTDialect>(op->getDialect()))
        tile(op, *target);
    }
    module->setAttr("bpt.thread_scratch", Builder(module).getI64IntegerAttr(scratch));
    module->setAttr("bpt.shared_scratch", Builder(module).getI64IntegerAttr(shared));
  }

  void tile(Operation *op, const TargetInfo &target) {
    OpBuilder builder(op);
    bool given = op->hasAttr("schedule");
    SmallVector<std::pair<StringRef, int64_t>> sizes = chooseSizes(op, target);
    if (!given && !sizes.empty()) {
      SmallVector<NamedAttribute> entries;
      for (auto [name, size] : sizes)
        entries.push_back(builder.getNamedAttr(name, builder.getI64IntegerAttr(size)));
      op->setAttr("schedule", ScheduleAttr::get(op->getContext(), builder.getDictionaryAttr(entries)));
    }
    SizeFormula bytes = getWorkspaceBytes(op, target);
    if (bytes.getConstant() != 0)
      addWorkspace(builder, op, bytes);

    auto options = remark::RemarkOpts::name("tiles").category("bpt-tile-blocks").function(op->getName().getStringRef());
    std::string text;
    for (auto [name, size] : sizes)
      text += (Twine(name) + " = " + Twine(size) + ", ").str();
    text += (Twine("workspace ") + bytes.getText() + " bytes, scratch of each thread " +
             Twine(getThreadScratchBytes(op, target)) + " bytes")
                .str();
    if (StringRef why = given ? StringRef("as its schedule says") : explain(op); !why.empty())
      text += (Twine(" (") + why + ")").str();
    remark::passed(op->getLoc(), options) << text;
  }

  /// Puts the workspace operand, always the last, in place.
  void addWorkspace(OpBuilder &builder, Operation *op, const SizeFormula &bytes) {
    Value size;
    int64_t shape = ShapedType::kDynamic;
    if (std::optional<int64_t> constant = bytes.getConstant())
      shape = *constant;
    else
      size = materialize(builder, op, bytes);
    Value workspace = tensor::EmptyOp::create(builder, op->getLoc(), ArrayRef<int64_t>{shape}, builder.getI8Type(),
                                              size ? ValueRange(size) : ValueRange());
    TypeSwitch<Operation *>(op)
        .Case<AttentionOp, AttentionGradOp, FeedForwardOp, FeedForwardGradOp, LinearCrossEntropyOp,
              LinearCrossEntropyGradOp, LayerNormOp, LayerNormGradOp, RMSNormOp, RMSNormGradOp, RotaryOp, DropoutOp,
              EmbeddingOp, EmbeddingGradOp, AdamWOp, GlobalNormOp>(
            [&](auto typed) { typed.getWorkspaceMutable().assign(workspace); });
  }
};

} // namespace
} // namespace bpt
