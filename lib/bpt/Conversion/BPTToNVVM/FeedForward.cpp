// bpt.feed_forward: for each chunk of rows, a product whose epilogue adds biases, activates and gates, into the
// workspace, and a second one from there.
#include "FeedForward.h"

#include "Activations.h"
#include "Lowerings.h"
#include "bpt/Analysis/HopperChunks.h"

using namespace mlir;

namespace bpt::hopper {

//===-- Shared with the gradient --------------------------------------------------------------------------------===//

GemmProblem getWeightProduct(ImplicitLocOpBuilder &b, Value rows, ValueRange weights, bool weightsTransposed,
                             bool backwards) {
  auto dim = [&](Value memref, int64_t number) { return b.createOrFold<memref::DimOp>(memref, number); };
  GemmProblem problem;
  problem.left = {rows, /*sumsRows=*/false, {0}};
  // The summed dim comes first where rows of the weight are summed.
  bool sumsRows = weightsTransposed == backwards;
  for (Value weight : weights)
    problem.right.push_back({weight, sumsRows, {}});
  problem.parallel = {dim(rows, 0)};
  problem.rows = dim(rows, 1);
  problem.columns = dim(weights.front(), sumsRows ? 1 : 0);
  problem.depth = dim(weights.front(), sumsRows ? 0 : 1);
  problem.element = cast<MemRefType>(rows.getType()).getElementType();
  return problem;
}

GemmProblem getWeightGradProduct(ImplicitLocOpBuilder &b, Value ins, Value outs, bool weightsTransposed) {
  if (weightsTransposed)
    std::swap(ins, outs);
  auto dim = [&](Value memref, int64_t number) { return b.createOrFold<memref::DimOp>(memref, number); };
  GemmProblem problem;
  problem.left = {ins, /*sumsRows=*/true, {0}};
  problem.right = {{outs, /*sumsRows=*/true, {0}}};
  problem.sequential = {dim(ins, 0)};
  problem.rows = dim(ins, 2);
  problem.columns = dim(outs, 2);
  problem.depth = dim(ins, 1);
  problem.element = cast<MemRefType>(ins.getType()).getElementType();
  return problem;
}

Value sliceColumns(ImplicitLocOpBuilder &b, Value view, int64_t part, int64_t parts) {
  int64_t columns = cast<MemRefType>(view.getType()).getDimSize(2) / parts;
  Value begin = arith::ConstantIndexOp::create(b, part * columns), count = arith::ConstantIndexOp::create(b, columns);
  return slice(b, view, {Value(), Value(), begin}, {Value(), Value(), count});
}

std::string refuseWorkspace(Operation *op, Value workspace) {
  if (!workspace)
    return "there is no workspace";
  std::optional<int64_t> needed = getHopperChunkWorkspaceBytes(op).getConstant();
  auto type = cast<MemRefType>(workspace.getType());
  if (!needed || !type.hasStaticShape() || type.getNumElements() >= *needed)
    return "";
  return (Twine("the workspace has ") + Twine(type.getNumElements()) + " bytes, " + Twine(*needed) + " are needed")
      .str();
}

//===-- Forward -------------------------------------------------------------------------------------------------===//

namespace {
/// act(u + bias), or act(g + bias) (u + bias) with a gate; after it g and u where they are kept.
class HiddenEpilogue : public PairEpilogue {
public:
  HiddenEpilogue(Activation activation, bool isGated, bool isKept, ColumnVector upBias, ColumnVector gateBias)
      : activation(activation), isGated(isGated), isKept(isKept), upBias(std::move(upBias)),
        gateBias(std::move(gateBias)) {}
  int64_t getStagedOuts() const override { return 1 + (isKept ? 1 + isGated : 0); }

  SmallVector<Pair> finish(const PairPlace &place, ArrayRef<Pair> sums) override {
    KernelBuilder &e = here->e;
    Pair u = addBias(sums[0], upBias, place), g = isGated ? addBias(sums[1], gateBias, place) : u, activated;
    for (int64_t i : {0, 1}) {
      activated[i] = emitActivation(e, activation, g[i]);
      if (isGated)
        activated[i] = e.mulf(activated[i], u[i]);
    }
    SmallVector<Pair> outs{activated};
    if (isKept && isGated)
      outs.push_back(g);
    if (isKept)
      outs.push_back(u);
    return outs;
  }

private:
  void beginTile() override {
    for (ColumnVector *bias : {&upBias, &gateBias})
      if (*bias)
        bias->begin(*here);
  }
  Pair addBias(const Pair &sum, ColumnVector &bias, const PairPlace &place) {
    if (!bias)
      return sum;
    Pair value = bias.load(place);
    return {here->e.addf(sum[0], value[0]), here->e.addf(sum[1], value[1])};
  }
  Activation activation;
  bool isGated, isKept;
  ColumnVector upBias, gateBias;
};

class FeedForwardHost {
public:
  FeedForwardHost(FeedForwardOp op, const RowSpace &rows, KernelLibrary &kernels)
      : op(op), kernels(kernels), b(op.getLoc(), OpBuilder(op)), transposed(op.getWeightsTransposed()),
        input(rows.view(b, op.getInput())), out(rows.view(b, op.getOuts()[0])),
        hidden(op.hasHidden() ? rows.view(b, op.getOuts()[1]) : Value()), sections(b, op.getWorkspace()) {}

  void emit() {
    int64_t most = getHopperFeedForwardRows(op);
    Value columns = b.createOrFold<memref::DimOp>(op.getUpWeight(), transposed ? 0 : 1);
    Value elements = b.createOrFold<arith::MulIOp>(getChunkCapacity(b, input, most), columns);
    Type element = cast<MemRefType>(input.getType()).getElementType();
    Value section = sections.take(elements, element);
    visitChunks(b, input, most, [&](const RowChunk &chunk) {
      Value activated = sections.view(section, {chunk.outer, chunk.inner, columns}, element);
      launchHidden(chunk, activated);
      launchOut(chunk, activated);
    });
  }

private:
  void launchHidden(const RowChunk &chunk, Value activated) {
    SmallVector<Value> weights{op.getUpWeight()}, staged{activated};
    if (op.getGateWeight())
      weights.push_back(op.getGateWeight());
    GemmProblem problem = getWeightProduct(b, chunk.of(b, input), weights, transposed, /*backwards=*/false);
    if (hidden) {
      Value kept = chunk.of(b, hidden);
      for (size_t part = 0; part < weights.size(); ++part)
        staged.push_back(sliceColumns(b, kept, static_cast<int64_t>(part), static_cast<int64_t>(weights.size())));
    }
    LaunchArguments arguments(b);
    ColumnVector upBias = addColumnVector(arguments, op.getUpBias());
    ColumnVector gateBias = addColumnVector(arguments, op.getGateBias());
    std::string key = (stringifyActivation(op.getActivation()) + (upBias ? " bias" : "") +
                       (gateBias ? " gate bias" : "") + (hidden ? " kept" : ""))
                          .str();
    HiddenEpilogue epilogue(op.getActivation(), weights.size() == 2, static_cast<bool>(hidden), upBias, gateBias);
    launchGemm(kernels, arguments, "hidden", problem, epilogue, staged, key);
  }

  void launchOut(const RowChunk &chunk, Value activated) {
    GemmProblem problem = getWeightProduct(b, activated, op.getDownWeight(), transposed, /*backwards=*/false);
    LaunchArguments arguments(b);
    StoreEpilogue epilogue(addColumnVector(arguments, op.getDownBias()), {});
    launchGemm(kernels, arguments, "product", problem, epilogue, chunk.of(b, out),
               op.getDownBias() ? "store bias" : "store");
  }

  FeedForwardOp op;
  KernelLibrary &kernels;
  ImplicitLocOpBuilder b;
  bool transposed;
  Value input, out, hidden;
  WorkspaceSections sections;
};
} // namespace

std::string lowerFeedForward(FeedForwardOp op, KernelLibrary &kernels) {
  std::string reason = getHopperRefusal(op);
  if (reason.empty())
    reason = refuseWorkspace(op, op.getWorkspace());
  SmallVector<Value> walked{op.getInput(), op.getUpWeight(), op.getGateWeight(), op.getDownWeight()};
  llvm::append_range(walked, op.getOuts());
  if (reason.empty())
    reason = refuseToWalk(walked);
  RowSpace rows;
  rows.add(cast<MemRefType>(op.getInput().getType()));
  for (Value out : op.getOuts())
    rows.add(cast<MemRefType>(out.getType()));
  if (reason.empty())
    reason = rows.refuse();
  if (!reason.empty())
    return reason;
  FeedForwardHost(op, rows, kernels).emit();
  op->erase();
  return "";
}

} // namespace bpt::hopper
