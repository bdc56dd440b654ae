// Gradient of bpt.feed_forward: for each chunk of rows u and g (recomputed into the workspace unless they were kept),
// then da = dout down^T, whose epilogue makes the activated hidden and the gradients of u and g, then every gradient is
// one more product. Weight gradients are f32 sums between the chunks.
#include "Activations.h"
#include "FeedForward.h"
#include "Lowerings.h"
#include "bpt/Analysis/HopperChunks.h"

using namespace mlir;

namespace bpt::hopper {

namespace {
/// From da: the activated hidden, du, and dg with a gate.
class HiddenGradEpilogue : public PairEpilogue {
public:
  HiddenGradEpilogue(Activation activation, PairMatrix up, PairMatrix gate)
      : activation(activation), up(std::move(up)), gate(std::move(gate)) {}
  int64_t getStagedOuts() const override { return gate ? 3 : 2; }

  SmallVector<Pair> finish(const PairPlace &place, ArrayRef<Pair> sums) override {
    KernelBuilder &e = here->e;
    Pair u = up.load(place), g = gate ? gate.load(place) : u, activated, dUp, dGate;
    for (int64_t i : {0, 1}) {
      Value da = sums[0][i];
      auto [value, slope] = emitActivationSlope(e, activation, g[i]);
      if (!gate) {
        activated[i] = value;
        dUp[i] = e.mulf(da, slope);
        continue;
      }
      activated[i] = e.mulf(value, u[i]);
      dUp[i] = e.mulf(da, value);
      dGate[i] = e.mulf(e.mulf(da, u[i]), slope);
    }
    SmallVector<Pair> outs{activated, dUp};
    if (gate)
      outs.push_back(dGate);
    return outs;
  }

private:
  void beginTile() override {
    up.begin(*here, here->tile.outer);
    if (gate)
      gate.begin(*here, here->tile.outer);
  }
  Activation activation;
  PairMatrix up, gate;
};

/// One for the up weight, one for the gate.
struct Branch {
  Branch(Value weight, Value bias) : weight(weight), bias(bias) {}
  Value weight, bias;
  Value section, gradSection; ///< of u or g, and of its gradient in the workspace
  ChunkSum dweight, dbias;
  Value hidden, grad; ///< in a chunk: u or g, du or dg
};

class FeedForwardGradHost {
public:
  FeedForwardGradHost(FeedForwardGradOp op, const RowSpace &rows, KernelLibrary &kernels)
      : op(op), kernels(kernels), b(op.getLoc(), OpBuilder(op)), transposed(op.getWeightsTransposed()),
        dout(rows.view(b, op.getDout())), input(rows.view(b, op.getInput())),
        kept(op.getHidden() ? rows.view(b, op.getHidden()) : Value()), dinput(rows.view(b, op.getOuts()[0])),
        element(cast<MemRefType>(input.getType()).getElementType()), sections(b, op.getWorkspace()),
        most(getHopperFeedForwardRows(op)) {}

  void emit() {
    takeSections();
    visitChunks(b, input, most, [&](const RowChunk &chunk) {
      auto view = [&](Value section) {
        return sections.view(section, {chunk.outer, chunk.inner, hiddenColumns}, element);
      };
      Value inputRows = chunk.of(b, input), doutRows = chunk.of(b, dout), activated = view(activatedSection);
      for (auto [number, branch] : llvm::enumerate(branches)) {
        branch.grad = view(branch.gradSection);
        if (kept) // g before u
          branch.hidden = sliceColumns(b, chunk.of(b, kept), branches.size() - 1 - number, branches.size());
        else
          launchHidden(branch, inputRows, view(branch.section));
      }
      launchHiddenGrad(doutRows, activated);
      launchInputGrad(chunk);
      launchSum(kernels, b, "weight_grad", getWeightGradProduct(b, activated, doutRows, transposed), dDown, chunk);
      for (const Branch &branch : branches) {
        launchSum(kernels, b, "weight_grad", getWeightGradProduct(b, inputRows, branch.grad, transposed),
                  branch.dweight, chunk);
        launchBiasGrad(branch.grad, branch.dbias, chunk);
      }
      launchBiasGrad(doutRows, dDownBias, chunk);
    });
  }

private:
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, value); }
  Value mul(Value x, Value y) { return b.createOrFold<arith::MulIOp>(x, y); }

  /// Sections of the workspace, in the order of Analysis/HopperChunks.
  void takeSections() {
    hiddenColumns = b.createOrFold<memref::DimOp>(op.getUpWeight(), transposed ? 0 : 1);
    Value capacity = getChunkCapacity(b, input, most), elements = mul(capacity, hiddenColumns);
    Value several = haveSeveralChunks(b, input, most);
    activatedSection = sections.take(elements, element);
    branches.emplace_back(op.getUpWeight(), op.getUpBias());
    if (op.getGateWeight())
      branches.emplace_back(op.getGateWeight(), op.getGateBias());
    for (Branch &branch : branches)
      branch.gradSection = sections.take(elements, element);
    if (!kept)
      for (Branch &branch : branches)
        branch.section = sections.take(elements, element);
    if (op.getUpBias() || op.getGateBias() || op.getDownBias()) {
      Value wider = b.createOrFold<arith::MaxUIOp>(hiddenColumns, b.createOrFold<memref::DimOp>(dout, 2));
      partialSection = sections.take(mul(countPieces(capacity), wider), b.getF32Type());
    }
    auto outs = std::next(op.getOuts().begin());
    auto take = [&](Value of) { return of ? takeChunkSum(b, sections, *outs++, several) : ChunkSum(); };
    for (Branch &branch : branches) {
      branch.dweight = take(branch.weight);
      branch.dbias = take(branch.bias);
    }
    dDown = take(op.getDownWeight());
    dDownBias = take(op.getDownBias());
  }

  Value countPieces(Value rows) {
    return b.createOrFold<arith::DivUIOp>(b.createOrFold<arith::AddIOp>(rows, index(columnSumRows - 1)),
                                          index(columnSumRows));
  }

  /// u or g of a chunk into the workspace.
  void launchHidden(Branch &branch, Value inputRows, Value to) {
    branch.hidden = to;
    GemmProblem problem = getWeightProduct(b, inputRows, branch.weight, transposed, /*backwards=*/false);
    LaunchArguments arguments(b);
    StoreEpilogue epilogue(addColumnVector(arguments, branch.bias), {});
    launchGemm(kernels, arguments, "product", problem, epilogue, to, branch.bias ? "store bias" : "store");
  }

  void launchHiddenGrad(Value doutRows, Value activated) {
    GemmProblem problem = getWeightProduct(b, doutRows, op.getDownWeight(), transposed, /*backwards=*/true);
    LaunchArguments arguments(b);
    SmallVector<Value> staged{activated};
    SmallVector<PairMatrix> hidden;
    for (const Branch &branch : branches) {
      hidden.push_back(addPairMatrix(arguments, branch.hidden));
      staged.push_back(branch.grad);
    }
    bool isGated = branches.size() == 2;
    HiddenGradEpilogue epilogue(op.getActivation(), hidden[0], isGated ? hidden[1] : PairMatrix());
    launchGemm(kernels, arguments, "hidden_grad", problem, epilogue, staged, stringifyActivation(op.getActivation()));
  }

  void launchInputGrad(const RowChunk &chunk) {
    GemmProblem problem = getWeightProduct(b, branches[0].grad, branches[0].weight, transposed, /*backwards=*/true);
    if (branches.size() == 2) {
      problem.secondLeft = problem.left;
      problem.secondRight = problem.right[0];
      problem.secondLeft.memref = branches[1].grad;
      problem.secondRight.memref = branches[1].weight;
    }
    launchAdded(kernels, b, problem, chunk.of(b, dinput));
  }

  void launchBiasGrad(Value rows, const ChunkSum &dest, const RowChunk &chunk) {
    if (!dest.out)
      return;
    Value count = countPieces(mul(chunk.outer, chunk.inner)), columns = b.createOrFold<memref::DimOp>(rows, 2);
    launchColumnSums(kernels, b, rows, sections.view(partialSection, {count, columns}, b.getF32Type()), dest, chunk);
  }

  FeedForwardGradOp op;
  KernelLibrary &kernels;
  ImplicitLocOpBuilder b;
  bool transposed;
  Value dout, input, kept, dinput;
  Type element;
  WorkspaceSections sections;
  int64_t most;
  Value hiddenColumns, activatedSection, partialSection;
  SmallVector<Branch> branches;
  ChunkSum dDown, dDownBias;
};
} // namespace

std::string lowerFeedForwardGrad(FeedForwardGradOp op, KernelLibrary &kernels) {
  std::string reason = getHopperRefusal(op);
  if (reason.empty())
    reason = refuseWorkspace(op, op.getWorkspace());
  if (reason.empty())
    reason = refuseToWalk({op.getDout(), op.getInput(), op.getHidden(), op.getOuts()[0], op.getUpWeight(),
                           op.getGateWeight(), op.getDownWeight()});
  for (Value out : op.getOuts().drop_front())
    if (reason.empty() && !cast<MemRefType>(out.getType()).getLayout().isIdentity())
      reason = "the gradient of a weight is a slice";
  RowSpace rows;
  for (Value operand : {op.getDout(), op.getInput(), op.getHidden(), op.getOuts()[0]})
    if (operand)
      rows.add(cast<MemRefType>(operand.getType()));
  if (reason.empty())
    reason = rows.refuse();
  if (!reason.empty())
    return reason;
  FeedForwardGradHost(op, rows, kernels).emit();
  op->erase();
  return "";
}

} // namespace bpt::hopper
