// bpt.linear_cross_entropy and its gradient on the host: chunks of rows, whose logits are tiles that never leave the
// registers, or that are 16-bit exponentials in the workspace where one pass makes loss and gradient.
#include "CrossEntropy.h"

#include "FeedForward.h"
#include "Lowerings.h"
#include "bpt/Analysis/HopperChunks.h"

using namespace mlir;

namespace bpt::hopper {

namespace {
/// What the ops have in common.
template <typename Op> class CrossEntropyHost {
public:
  CrossEntropyHost(Op op, const RowSpace &space, KernelLibrary &kernels)
      : op(op), space(space), kernels(kernels), b(op.getLoc(), OpBuilder(op)), transposed(op.getWeightsTransposed()),
        most(getHopperLogitsRows(op)), input(space.view(b, op.getInput())),
        rows{space.view(b, op.getTargets(), 0), b.createOrFold<memref::DimOp>(op.getWeight(), transposed ? 0 : 1),
             static_cast<int64_t>(op.getIgnoreIndex())},
        sections(b, op.getWorkspace()) {}

protected:
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, value); }
  Value mul(Value x, Value y) { return b.createOrFold<arith::MulIOp>(x, y); }
  int64_t getVocabulary() { return *getConstantIntValue(rows.vocabulary); }
  /// [outer, inner] of all rows.
  SmallVector<Value> getRowSizes() {
    return {b.createOrFold<memref::DimOp>(input, 0), b.createOrFold<memref::DimOp>(input, 1)};
  }

  /// Sections in the order of Analysis/HopperChunks.
  void takeStatistics() {
    Value parts = index(llvm::divideCeil(getVocabulary(), hopperStatisticsColumns));
    Value elements = mul(getChunkCapacity(b, input, most), parts);
    maximaSection = sections.take(elements, b.getF32Type());
    sumsSection = sections.take(elements, b.getF32Type());
    targetLogit = takeRows();
  }
  /// f32 for each row.
  Value takeRows() {
    SmallVector<Value> sizes = getRowSizes();
    return sections.view(sections.take(mul(sizes[0], sizes[1]), b.getF32Type()), sizes, b.getF32Type());
  }
  LogitStatistics getStatistics(const RowChunk &chunk, Value lse) {
    Value parts = index(llvm::divideCeil(getVocabulary(), hopperStatisticsColumns));
    SmallVector<Value> sizes{chunk.outer, chunk.inner, parts};
    return {sections.view(maximaSection, sizes, b.getF32Type()), sections.view(sumsSection, sizes, b.getF32Type()),
            chunk.of(b, targetLogit), chunk.of(b, lse)};
  }
  CrossEntropyRows getRows(const RowChunk &chunk) {
    return {chunk.of(b, rows.targets), rows.vocabulary, rows.ignoreIndex};
  }
  GemmProblem getLogits(const RowChunk &chunk) {
    return getWeightProduct(b, chunk.of(b, input), op.getWeight(), transposed, /*backwards=*/false);
  }

  Op op;
  const RowSpace &space;
  KernelLibrary &kernels;
  ImplicitLocOpBuilder b;
  bool transposed;
  int64_t most;
  Value input;
  CrossEntropyRows rows;
  WorkspaceSections sections;
  Value maximaSection, sumsSection, targetLogit;
};

class ForwardHost : public CrossEntropyHost<LinearCrossEntropyOp> {
public:
  using CrossEntropyHost::CrossEntropyHost;
  void emit() {
    takeStatistics();
    Value lse = space.view(b, op.getOuts()[1], 0);
    visitChunks(b, input, most, [&](const RowChunk &chunk) {
      LogitStatistics statistics = getStatistics(chunk, lse);
      launchStatistics(kernels, b, getLogits(chunk), getRows(chunk), statistics, Value());
      launchLse(kernels, b, statistics);
    });
    launchLoss(kernels, b, rows, lse, targetLogit, op.getValidCount(), op.getOuts()[0]);
  }
};

class GradientHost : public CrossEntropyHost<LinearCrossEntropyGradOp> {
public:
  using CrossEntropyHost::CrossEntropyHost;
  void emit() {
    Type element = cast<MemRefType>(input.getType()).getElementType();
    // Rows of dlogits are whole boxes, so that they are multiples of 16 bytes apart.
    Value padded = index(static_cast<int64_t>(llvm::alignTo(getVocabulary(), 64)));
    Value scale = sections.view(sections.take(index(1), b.getF32Type()), index(1), b.getF32Type());
    Value dlogitsSection = sections.take(mul(getChunkCapacity(b, input, most), padded), element);
    bool withLoss = op.computesLoss();
    if (withLoss)
      takeStatistics();
    Value lse = withLoss ? takeRows() : space.view(b, op.getLse(), 0), dinput = space.view(b, op.getOuts()[0]);
    ChunkSum dweight = takeChunkSum(b, sections, op.getOuts()[1], haveSeveralChunks(b, input, most));
    launchScale(kernels, b, rows, op.getDloss(), op.getValidCount(), scale);
    visitChunks(b, input, most, [&](const RowChunk &chunk) {
      Value whole = sections.view(dlogitsSection, {chunk.outer, chunk.inner, padded}, element);
      Value dlogits = slice(b, whole, {Value(), Value(), index(0)}, {Value(), Value(), rows.vocabulary});
      if (withLoss) {
        LogitStatistics statistics = getStatistics(chunk, lse);
        launchStatistics(kernels, b, getLogits(chunk), getRows(chunk), statistics, whole);
        launchLse(kernels, b, statistics);
        launchRescale(kernels, b, getRows(chunk), statistics, scale, whole);
      } else {
        launchDLogits(kernels, b, getLogits(chunk), getRows(chunk), chunk.of(b, lse), scale, dlogits);
      }
      launchAdded(kernels, b, getWeightProduct(b, dlogits, op.getWeight(), transposed, /*backwards=*/true),
                  chunk.of(b, dinput));
      launchSum(kernels, b, "weight_grad", getWeightGradProduct(b, chunk.of(b, input), dlogits, transposed), dweight,
                chunk);
    });
    if (withLoss)
      launchLoss(kernels, b, rows, lse, targetLogit, op.getValidCount(), op.getOuts()[2]);
  }
};
} // namespace

/// The rows of operands `[..]` (`ofRows`) and `[.., E]` (`ofElements`) into `space`, or why the op has no kernels.
template <typename Op> static std::string findRows(Op op, ValueRange ofRows, ValueRange ofElements, RowSpace &space) {
  std::string reason = getHopperRefusal(op);
  if (reason.empty())
    reason = refuseWorkspace(op, op.getWorkspace());
  if (reason.empty())
    reason = refuseToWalk(op.getWeight());
  if (reason.empty())
    reason = refuseToWalk(ofElements);
  for (Value operand : ofElements)
    space.add(cast<MemRefType>(operand.getType()));
  for (Value operand : ofRows) {
    auto type = cast<MemRefType>(operand.getType());
    if (reason.empty() && !type.isLastDimUnitStride())
      reason = "targets or lse are not contiguous";
    space.add(type, 0);
  }
  return reason.empty() ? space.refuse() : reason;
}

std::string lowerLinearCrossEntropy(LinearCrossEntropyOp op, KernelLibrary &kernels) {
  RowSpace space;
  std::string reason = findRows(op, {op.getTargets(), op.getOuts()[1]}, op.getInput(), space);
  if (!reason.empty())
    return reason;
  ForwardHost(op, space, kernels).emit();
  op->erase();
  return "";
}

std::string lowerLinearCrossEntropyGrad(LinearCrossEntropyGradOp op, KernelLibrary &kernels) {
  SmallVector<Value> ofRows{op.getTargets()};
  if (op.getLse())
    ofRows.push_back(op.getLse());
  RowSpace space;
  std::string reason = findRows(op, ofRows, {op.getInput(), op.getOuts()[0]}, space);
  if (reason.empty() && !cast<MemRefType>(op.getOuts()[1].getType()).getLayout().isIdentity())
    reason = "the gradient of the weight is a slice";
  if (!reason.empty())
    return reason;
  GradientHost(op, space, kernels).emit();
  op->erase();
  return "";
}

} // namespace bpt::hopper
