// Gradient of bpt.feed_forward: for each chunk of rows the activated hidden and the gradients of the pre-activations go to
// the workspace, then every gradient is one more product.
#include "Chunks.h"
#include "Lowerings.h"
#include "VectorMath.h"

using namespace mlir;

namespace bpt {

namespace {
struct FeedForwardGrads {
  Value input, upWeight, upBias, gateWeight, gateBias, downWeight, downBias;
};

class FeedForwardGradEmitter {
public:
  FeedForwardGradEmitter(Emitter &e, KernelCache &kernels, FeedForwardGradOp op, ArrayRef<Value> args)
      : e(e), gemm(e, kernels, getElementTypeOrSelf(op.getInput())), activation(op.getActivation()),
        transposed(op.getWeightsTransposed()), chunk(getFeedForwardRows(op, kernels.getTarget())),
        dout(collapseRows(e, args[0])), input(collapseRows(e, args[1])), up(args[2]), upBias(args[3]), gate(args[4]),
        gateBias(args[5]), down(args[6]), hidden(args[7] ? collapseRows(e, args[7]) : Value()), workspace(args[8]),
        grads{collapseRows(e, args[9]), args[10], args[11], args[12], args[13], args[14], args[15]} {}
  void emit();

private:
  /// a, du and dg of a chunk into the workspace.
  void emitHidden(Value start, Value rows);
  void emitHiddenColumns(Value row, Value start, const Gemm::Block &block, ArrayRef<Value> blocks);
  void emitInputGrad(Value start, Value rows);
  /// The gradient of a weight of inputs x outputs (or transposed): inputs^T outputs.
  void emitWeightGrad(Matrix inputs, Matrix outputs, Value rows, const ChunkSum &dest);
  ChunkSum getSum(Value out, Value between) { return {out, between, first, last}; }

  Emitter &e;
  Gemm gemm;
  Activation activation;
  bool transposed;
  int64_t chunk;
  Value dout, input, up, upBias, gate, gateBias, down, hidden, workspace;
  FeedForwardGrads grads;
  /// Sums between chunks, for 16-bit gradients.
  FeedForwardGrads sums;
  Value width, hiddenColumns, outColumns;
  Value activated, dUp, dGate; ///< [chunk, F] in the workspace
  Value first, last;
};
} // namespace

void FeedForwardGradEmitter::emitHiddenColumns(Value row, Value start, const Gemm::Block &block, ArrayRef<Value> blocks) {
  Value toRow = e.add(block.row, row);
  SmallVector<Value> kept = hidden ? e.rowIndices(hidden, e.add(start, toRow)) : SmallVector<Value>();
  /// Pre-activation from the hidden, or recomputed: `part` 0 is the first half of the hidden.
  auto preActivation = [&](int64_t part, Value sums, Value bias, Value offset, Value column, Value mask) {
    if (hidden) {
      SmallVector<Value> from(kept);
      from.push_back(part ? e.add(column, hiddenColumns) : column);
      return e.load(hidden, from, mask);
    }
    Value value = e.load(sums, {row, offset});
    return bias ? e.addf(value, e.load(bias, {column}, mask)) : value;
  };
  e.columns(block.columns, [&](Value offset, Value mask) {
    Value column = e.add(block.column, offset);
    Value da = e.load(blocks[0], {row, offset});
    Value u = preActivation(gate ? 1 : 0, hidden ? Value() : blocks[1], upBias, offset, column, mask);
    if (!gate) {
      auto [value, slope] = emitActivationGrad(e, activation, u);
      e.store(value, activated, {toRow, column}, mask);
      e.store(e.mulf(da, slope), dUp, {toRow, column}, mask);
      return;
    }
    Value g = preActivation(0, hidden ? Value() : blocks[2], gateBias, offset, column, mask);
    auto [value, slope] = emitActivationGrad(e, activation, g);
    e.store(e.mulf(value, u), activated, {toRow, column}, mask);
    e.store(e.mulf(da, value), dUp, {toRow, column}, mask);
    e.store(e.mulf(e.mulf(da, u), slope), dGate, {toRow, column}, mask);
  });
}

void FeedForwardGradEmitter::emitHidden(Value start, Value rows) {
  Matrix left = Matrix{input}.dropRows(e, start);
  SmallVector<Gemm::Product> products{{0, Matrix{dout}.dropRows(e, start), {down, !transposed}, outColumns}};
  if (!hidden)
    products.push_back({1, left, {up, transposed}, width});
  if (!hidden && gate)
    products.push_back({2, left, {gate, transposed}, width});
  auto body = [&](Gemm::Block block, ArrayRef<Value> blocks) {
    e.loop(e.index(0), block.rows, 1, [&](Value row) { emitHiddenColumns(row, start, block, blocks); });
  };
  gemm.parallelProducts(rows, hiddenColumns, products.size(), products, body, Gemm::ProductOptions::writing({dUp}));
}

void FeedForwardGradEmitter::emitInputGrad(Value start, Value rows) {
  SmallVector<std::pair<Matrix, Matrix>> factors{{{dUp}, {up, !transposed}}};
  if (gate)
    factors.push_back({{dGate}, {gate, !transposed}});
  emitAddedProduct(gemm, factors, start, rows, width, hiddenColumns, {grads.input});
}

void FeedForwardGradEmitter::emitWeightGrad(Matrix inputs, Matrix outputs, Value rows, const ChunkSum &dest) {
  if (transposed)
    std::swap(inputs, outputs);
  emitAddedProduct(gemm, {{inputs.transpose(), outputs}}, e.index(0), e.dim(dest.out, 0), e.dim(dest.out, 1), rows, dest);
}

void FeedForwardGradEmitter::emit() {
  Value all = e.rows(input);
  width = e.dim(input, cast<MemRefType>(input.getType()).getRank() - 1);
  hiddenColumns = e.dim(up, transposed ? 0 : 1);
  outColumns = e.dim(down, transposed ? 0 : 1);
  Type storage = cast<MemRefType>(input.getType()).getElementType();

  // Sections in the order of Analysis/TileSizes.
  WorkspaceSections sections(e, workspace);
  Value capacity = e.min(all, chunk);
  activated = sections.take(capacity, hiddenColumns, storage);
  dUp = sections.take(capacity, hiddenColumns, storage);
  if (gate)
    dGate = sections.take(capacity, hiddenColumns, storage);
  if (storage != e.accumulator) {
    auto take = [&](Value like) { return like ? sections.takeLike(like, e.accumulator) : Value(); };
    sums.upWeight = take(grads.upWeight);
    sums.upBias = take(grads.upBias);
    sums.gateWeight = take(grads.gateWeight);
    sums.gateBias = take(grads.gateBias);
    sums.downWeight = take(grads.downWeight);
  }

  if (grads.downBias)
    emitAddedColumnSums(e, dout, e.index(0), all, {grads.downBias});
  emitChunks(e, all, chunk, [&](Value start, Value rows) {
    first = e.equal(start, e.index(0));
    last = e.equal(e.add(start, rows), all);
    emitHidden(start, rows);
    emitInputGrad(start, rows);
    Matrix chunkInput = Matrix{input}.dropRows(e, start), chunkOut = Matrix{dout}.dropRows(e, start);
    emitWeightGrad(Matrix{activated}, chunkOut, rows, getSum(grads.downWeight, sums.downWeight));
    emitWeightGrad(chunkInput, Matrix{dUp}, rows, getSum(grads.upWeight, sums.upWeight));
    if (gate)
      emitWeightGrad(chunkInput, Matrix{dGate}, rows, getSum(grads.gateWeight, sums.gateWeight));
    if (grads.upBias)
      emitAddedColumnSums(e, dUp, e.index(0), rows, getSum(grads.upBias, sums.upBias));
    if (grads.gateBias)
      emitAddedColumnSums(e, dGate, e.index(0), rows, getSum(grads.gateBias, sums.gateBias));
  });
}

LogicalResult lowerFeedForwardGrad(FeedForwardGradOp op, KernelCache &kernels) {
  if (failed(checkOperands(op, op.getWorkspace(), true)))
    return failure();
  int64_t leading = cast<MemRefType>(op.getInput().getType()).getRank() - 1;
  SmallVector<KernelOperand> operands{{op.getDout(), leading}, {op.getInput(), leading}, {op.getUpWeight()}, {op.getUpBias()},
                                      {op.getGateWeight()}, {op.getGateBias()}, {op.getDownWeight()}, {op.getHidden(), leading},
                                      {op.getWorkspace(), 1}};
  // One out for each of these that is there, in this order.
  auto outs = op.getOuts().begin();
  for (Value of : {op.getInput(), op.getUpWeight(), op.getUpBias(), op.getGateWeight(), op.getGateBias(), op.getDownWeight(),
                   op.getDownBias()})
    operands.push_back({of ? *outs++ : Value(), of == op.getInput() ? leading : 0});
  Type accumulator = getAccumulatorType(getElementTypeOrSelf(op.getInput().getType()));
  return kernels.replace(op, "bpt_feed_forward_grad", accumulator, operands, [&](Emitter &e, ArrayRef<Value> args) {
    FeedForwardGradEmitter(e, kernels, op, args).emit();
    return success();
  });
}

} // namespace bpt
