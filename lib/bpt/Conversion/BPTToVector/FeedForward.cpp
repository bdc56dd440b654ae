// bpt.feed_forward: chunks of rows; the activated hidden of a chunk lies in the workspace between its two products.
#include "Chunks.h"
#include "Lowerings.h"
#include "VectorMath.h"

using namespace mlir;

namespace bpt {

namespace {
class FeedForwardEmitter {
public:
  FeedForwardEmitter(Emitter &e, KernelCache &kernels, FeedForwardOp op, ArrayRef<Value> args)
      : e(e), gemm(e, kernels, getElementTypeOrSelf(op.getInput())), activation(op.getActivation()),
        transposed(op.getWeightsTransposed()), chunk(getFeedForwardRows(op, kernels.getTarget())),
        input(collapseRows(e, args[0])), up(args[1]), upBias(args[2]), gate(args[3]), gateBias(args[4]), down(args[5]),
        downBias(args[6]), out(collapseRows(e, args[7])), hidden(args[8] ? collapseRows(e, args[8]) : Value()),
        workspace(args[9]) {}
  void emit();

private:
  void emitHidden(Value start, Value rows);
  void emitOut(Value start, Value rows);
  Value addBias(Value value, Value bias, Value column, Value mask) {
    return bias ? e.addf(value, e.load(bias, {column}, mask)) : value;
  }

  Emitter &e;
  Gemm gemm;
  Activation activation;
  bool transposed;
  int64_t chunk;
  Value input, up, upBias, gate, gateBias, down, downBias, out, hidden, workspace;
  Value width, hiddenColumns, outColumns, activated;
};
} // namespace

void FeedForwardEmitter::emitHidden(Value start, Value rows) {
  Matrix left = Matrix{input}.dropRows(e, start);
  SmallVector<Gemm::Product> products{{0, left, {up, transposed}, width}};
  if (gate)
    products.push_back({1, left, {gate, transposed}, width});
  auto body = [&](Gemm::Block block, ArrayRef<Value> blocks) {
    e.loop(e.index(0), block.rows, 1, [&](Value row) {
      Value toRow = e.add(block.row, row);
      SmallVector<Value> kept = hidden ? e.rowIndices(hidden, e.add(start, toRow)) : SmallVector<Value>();
      auto keep = [&](Value value, Value column, Value mask) {
        SmallVector<Value> position(kept);
        position.push_back(column);
        e.store(value, hidden, position, mask);
      };
      e.columns(block.columns, [&](Value offset, Value mask) {
        Value column = e.add(block.column, offset);
        Value u = addBias(e.load(blocks[0], {row, offset}), upBias, column, mask), a;
        if (gate) {
          Value g = addBias(e.load(blocks[1], {row, offset}), gateBias, column, mask);
          a = e.mulf(emitActivation(e, activation, g), u);
          if (hidden)
            keep(g, column, mask);
        } else {
          a = emitActivation(e, activation, u);
        }
        if (hidden)
          keep(u, gate ? e.add(column, hiddenColumns) : column, mask);
        e.store(a, activated, {toRow, column}, mask);
      });
    });
  };
  gemm.parallelProducts(rows, hiddenColumns, products.size(), products, body,
                        Gemm::ProductOptions::writing({activated}));
}

void FeedForwardEmitter::emitOut(Value start, Value rows) {
  Gemm::Product product{0, {activated}, {down, transposed}, hiddenColumns};
  using Options = Gemm::ProductOptions;
  auto options = gemm.canGrowIn(out, outColumns) ? Options::growing({out, start, e.bit(true)})
                                                 : Options::writing({out, false, start});
  gemm.parallelProducts(
      rows, outColumns, 1, product,
      [&](Gemm::Block block, ArrayRef<Value> blocks) {
        e.loop(e.index(0), block.rows, 1, [&](Value row) {
          SmallVector<Value> to = e.rowIndices(out, e.add(start, e.add(block.row, row)));
          to.emplace_back();
          e.columns(block.columns, [&](Value offset, Value mask) {
            to.back() = e.add(block.column, offset);
            e.store(addBias(e.load(blocks[0], {row, offset}), downBias, to.back(), mask), out, to, mask);
          });
        });
      },
      options);
}

void FeedForwardEmitter::emit() {
  Value all = e.rows(input);
  width = e.dim(input, cast<MemRefType>(input.getType()).getRank() - 1);
  hiddenColumns = e.dim(up, transposed ? 0 : 1);
  outColumns = e.dim(down, transposed ? 0 : 1);
  Type storage = cast<MemRefType>(input.getType()).getElementType();
  activated = WorkspaceSections(e, workspace).take(e.min(all, chunk), hiddenColumns, storage);
  emitChunks(e, all, chunk, [&](Value start, Value rows) {
    emitHidden(start, rows);
    emitOut(start, rows);
  });
}

LogicalResult lowerFeedForward(FeedForwardOp op, KernelCache &kernels) {
  if (failed(checkOperands(op, op.getWorkspace(), true)))
    return failure();
  int64_t leading = cast<MemRefType>(op.getInput().getType()).getRank() - 1;
  SmallVector<KernelOperand> operands{{op.getInput(), leading}, {op.getUpWeight()}, {op.getUpBias()}, {op.getGateWeight()},
                                      {op.getGateBias()}, {op.getDownWeight()}, {op.getDownBias()},
                                      {op.getOuts()[0], leading},
                                      {op.hasHidden() ? op.getOuts()[1] : Value(), leading}, {op.getWorkspace(), 1}};
  Type accumulator = getAccumulatorType(getElementTypeOrSelf(op.getInput().getType()));
  return kernels.replace(op, "bpt_feed_forward", accumulator, operands, [&](Emitter &e, ArrayRef<Value> args) {
    FeedForwardEmitter(e, kernels, op, args).emit();
    return success();
  });
}

} // namespace bpt
