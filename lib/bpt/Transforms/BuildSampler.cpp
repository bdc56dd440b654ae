// bpt-build-sampler: from a loss graph the function that gives the logits of the next token, for sampling with the weights
// in training. Found by data flow: whatever feeds the linear + cross-entropy is what the logits are made of.
#include "bpt/IR/BPT.h"
#include "bpt/Transforms/Passes.h"
#include "bpt/Transforms/Transforms.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

namespace bpt {
#define GEN_PASS_DEF_BUILDSAMPLERPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace {

/// logits = row `position` of sequence 0 of `head`'s input times its weight, in the accumulator's type. `[V]`.
Value buildLogits(OpBuilder &builder, bpt::LinearCrossEntropyOp head, Value position) {
  Location loc = head.getLoc();
  Value input = head.getInput(), weight = head.getWeight();
  auto inputType = cast<RankedTensorType>(input.getType());
  Value row = tensor::ExtractOp::create(builder, loc, position, ValueRange{});
  row = arith::IndexCastOp::create(builder, loc, builder.getIndexType(), row);
  int64_t rank = inputType.getRank();
  SmallVector<OpFoldResult> offsets(rank, builder.getIndexAttr(0)), sizes(rank, builder.getIndexAttr(1)),
      strides(rank, builder.getIndexAttr(1));
  offsets[rank - 2] = row;
  sizes[rank - 1] = tensor::getMixedSize(builder, loc, input, rank - 1);
  auto rowType = RankedTensorType::get({inputType.getDimSize(rank - 1)}, inputType.getElementType());
  Value hidden = tensor::ExtractSliceOp::create(builder, loc, rowType, input, offsets, sizes, strides);
  int64_t vocabularyDim = head.getWeightsTransposed() ? 0 : 1;
  Type accumulator = bpt::getAccumulatorType(inputType.getElementType());
  Value empty = tensor::EmptyOp::create(builder, loc, {tensor::getMixedSize(builder, loc, weight, vocabularyDim)}, accumulator);
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(accumulator));
  Value init = linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
  MLIRContext *context = builder.getContext();
  AffineExpr v = getAffineDimExpr(0, context), e = getAffineDimExpr(1, context);
  SmallVector<AffineMap> maps = {AffineMap::get(2, 0, {e}, context),
                                 AffineMap::get(2, 0, vocabularyDim == 0 ? ArrayRef<AffineExpr>{v, e} : ArrayRef<AffineExpr>{e, v}, context),
                                 AffineMap::get(2, 0, {v}, context)};
  return linalg::ContractOp::create(builder, loc, init.getType(), ValueRange{hidden, weight}, ValueRange{init},
                                    builder.getAffineMapArrayAttr(maps))
      ->getResult(0);
}

class BuildSampler : public bpt::impl::BuildSamplerPassBase<BuildSampler> {
  using Base::Base;

  void runOnOperation() override {
    auto loss = getOperation().lookupSymbol<func::FuncOp>(function);
    if (!loss) {
      getOperation().emitError("expected a function `") << function << "`, but got none";
      return signalPassFailure();
    }
    OpBuilder builder = OpBuilder::atBlockEnd(getOperation().getBody());
    auto sampler = cast<func::FuncOp>(builder.clone(*loss));
    sampler.setName("next_logits");
    SmallVector<bpt::LinearCrossEntropyOp> heads(sampler.getOps<bpt::LinearCrossEntropyOp>());
    if (heads.size() != 1) {
      sampler.erase();
      loss.emitError("expected one bpt.linear_cross_entropy to take the logits from, but got ") << heads.size();
      return signalPassFailure();
    }
    build(sampler, heads.front());
  }

  void build(func::FuncOp sampler, bpt::LinearCrossEntropyOp head) {
    OpBuilder builder(head);
    unsigned index = sampler.getNumArguments();
    auto attributes = builder.getDictionaryAttr(builder.getNamedAttr("bpt.name", builder.getStringAttr("position")));
    (void)sampler.insertArgument(index, RankedTensorType::get({}, builder.getI64Type()), attributes, sampler.getLoc());
    Value logits = buildLogits(builder, head, sampler.getArgument(index));
    Operation *terminator = sampler.getBody().front().getTerminator();
    terminator->setOperands(logits);
    // What only the loss needs goes, from the end to the front.
    SmallVector<Operation *> ops = llvm::to_vector(llvm::make_pointer_range(sampler.getBody().front().without_terminator()));
    for (Operation *op : llvm::reverse(ops))
      if (isOpTriviallyDead(op))
        op->erase();
    sampler.setFunctionType(builder.getFunctionType(sampler.getArgumentTypes(), logits.getType()));
    sampler.setResAttrsAttr(builder.getArrayAttr(
        builder.getDictionaryAttr(builder.getNamedAttr("bpt.name", builder.getStringAttr("logits")))));
    // Sampling uses the whole network.
    bpt::removeDropout(sampler);
    bpt::eraseUnusedData(sampler);
  }
};

} // namespace
