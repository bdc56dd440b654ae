// Gradient of bpt.linear_cross_entropy: one block of dlogits at a time in the workspace, and two products with it. Without lse the
// block is rows of the whole vocabulary: first their logits, of which lse is found, then dlogits in the same place.
#include "CrossEntropy.h"
#include "Chunks.h"
#include "Lowerings.h"
#include "VectorMath.h"

using namespace mlir;

namespace bpt {

namespace {
class CrossEntropyGradEmitter {
public:
  CrossEntropyGradEmitter(Emitter &e, KernelCache &kernels, LinearCrossEntropyGradOp op, ArrayRef<Value> args)
      : e(e), gemm(e, kernels, getElementTypeOrSelf(op.getInput())), transposed(op.getWeightsTransposed()),
        block(getLogitsBlock(op, kernels.getTarget())), dloss(args[0]), input(collapseRows(e, args[1])),
        weight(args[2]), lse(args[4]), validCount(args[5]), dinput(collapseRows(e, args[6])), dweight(args[7]),
        loss(args[8]), workspace(args[9]), vocabulary(e.dim(weight, transposed ? 0 : 1)),
        targets{e, args[3], static_cast<int64_t>(op.getIgnoreIndex()), vocabulary} {}
  void emit();

private:
  void emitScale(WorkspaceSections &sections);
  void emitBlocks();
  void emitWithLoss();
  void emitProducts(Value start, Value rows, Value column, Value columns);
  void emitDLogits(Value start, Value rows, Value column, Value columns);
  void emitDLogitsInPlace(Value start, Value rows);
  void emitDLogitsRow(Value logits, Value logitsRow, Value position, Value firstColumn, Value columns,
                      function_ref<SmallVector<Value>(Value offset)> to);
  Value sliceDWeight(Value column, Value columns);

  Emitter &e;
  Gemm gemm;
  bool transposed;
  LogitsBlock block;
  Value dloss, input, weight, lse, validCount, dinput, dweight, loss, workspace, vocabulary;
  Targets targets;
  Value all, width;
  Value scale;                  ///< dloss / number of rows that count: one element in the workspace
  Value dlogits;                ///< [block.rows, block.columns] in the workspace
  Value inputSums, weightSums;  ///< f32 between the blocks, for 16-bit gradients
};
} // namespace

/// dlogits of columns [firstColumn, firstColumn + columns) of one row, from a row of logits that begins there.
void CrossEntropyGradEmitter::emitDLogitsRow(Value logits, Value logitsRow, Value position, Value firstColumn, Value columns,
                                             function_ref<SmallVector<Value>(Value offset)> to) {
  auto [counts, target] = targets.get(position);
  // A row that does not count has factor 0; its exponentials are finite all the same.
  Value factor = e.select(counts, e.loadScalar(scale, {e.index(0), e.index(0)}), e.scalar(0)), sum = e.loadScalar(lse, getPosition(e, lse, position));
  Value factors = e.broadcast(factor), shift = e.broadcast(sum);
  Value offset = e.sub(target, firstColumn);
  Value inside = arith::AndIOp::create(e, e.compare(arith::CmpIPredicate::sge, target, firstColumn),
                                       e.less(target, e.add(firstColumn, columns)));
  // Before the row is overwritten.
  Value here = e.choose(inside, [&] { return SmallVector<Value>{e.loadScalar(logits, {logitsRow, offset})}; },
                        [&] { return SmallVector<Value>{sum}; })[0];
  e.columns(columns, [&](Value offset, Value mask) {
    Value p = emitExp(e, e.subf(e.load(logits, {logitsRow, offset}, mask), shift));
    e.store(e.mulf(factors, p), dlogits, to(offset), mask);
  });
  e.ifThen(inside, [&] {
    Value p = emitExp(e, e.subf(here, sum));
    e.storeScalar(e.mulf(factor, e.subf(p, e.scalar(1))), dlogits, to(offset));
  });
}

void CrossEntropyGradEmitter::emitDLogits(Value start, Value rows, Value column, Value columns) {
  Gemm::Product product{0, Matrix{input}.dropRows(e, start), Matrix{weight, transposed}.dropColumns(e, column), width};
  auto body = [&](Gemm::Block part, ArrayRef<Value> blocks) {
    Value firstColumn = e.add(column, part.column);
    e.loop(e.index(0), part.rows, 1, [&](Value row) {
      Value to = e.add(part.row, row);
      emitDLogitsRow(blocks[0], row, e.add(start, to), firstColumn, part.columns,
                     [&](Value offset) { return SmallVector<Value>{to, e.add(part.column, offset)}; });
    });
  };
  gemm.parallelProducts(rows, columns, 1, product, body, Gemm::ProductOptions::writing({dlogits}));
}

/// dlogits in the place of the logits of rows [start, start + rows).
void CrossEntropyGradEmitter::emitDLogitsInPlace(Value start, Value rows) {
  e.parallel(rows, [&](Value row) {
    emitDLogitsRow(dlogits, row, e.add(start, row), e.index(0), vocabulary,
                   [&](Value offset) { return SmallVector<Value>{row, offset}; });
  });
}

/// The part of dweight for columns [column, column + columns).
Value CrossEntropyGradEmitter::sliceDWeight(Value column, Value columns) {
  SmallVector<Value> from{e.index(0), column}, sizes{width, columns};
  if (transposed) {
    std::swap(from[0], from[1]);
    std::swap(sizes[0], sizes[1]);
  }
  return e.slice(dweight, from, sizes);
}

/// Both products with the dlogits of a block.
void CrossEntropyGradEmitter::emitProducts(Value start, Value rows, Value column, Value columns) {
  Value firstColumns = e.equal(column, e.index(0)), lastColumns = e.equal(e.add(column, columns), vocabulary);
  emitAddedProduct(gemm, {{Matrix{dlogits}, Matrix{weight, !transposed}.dropRows(e, column)}}, start, rows, width, columns,
                   {dinput, inputSums, firstColumns, lastColumns});
  Matrix left = Matrix{input}.dropRows(e, start), right{dlogits};
  if (transposed)
    std::swap(left, right);
  Value firstRows = e.equal(start, e.index(0)), lastRows = e.equal(e.add(start, rows), all);
  ChunkSum dest{sliceDWeight(column, columns), weightSums, firstRows, lastRows};
  emitAddedProduct(gemm, {{left.transpose(), right}}, e.index(0), transposed ? columns : width, transposed ? width : columns,
                   rows, dest);
}

void CrossEntropyGradEmitter::emitScale(WorkspaceSections &sections) {
  scale = sections.take(e.index(1), e.index(1), e.accumulator);
  e.parallel(e.index(1), [&](Value) {
    Value quotient = e.divf(e.loadScalar(dloss, {}), targets.count(all, validCount));
    e.storeScalar(quotient, scale, {e.index(0), e.index(0)});
  });
}

void CrossEntropyGradEmitter::emitBlocks() {
  Type storage = cast<MemRefType>(input.getType()).getElementType();
  // Sections in the order of Analysis/TileSizes.
  WorkspaceSections sections(e, workspace);
  emitScale(sections);
  Value capacityColumns = e.min(vocabulary, block.columns);
  dlogits = sections.take(e.min(all, block.rows), capacityColumns, storage);
  if (storage != e.accumulator) {
    // Sums of dinput exist only for several blocks of columns: the section of dweight begins where they would.
    Value several = e.less(capacityColumns, vocabulary);
    inputSums = sections.take(e.select(several, all, e.index(0)), width, e.accumulator);
    weightSums = transposed ? sections.take(capacityColumns, width, e.accumulator)
                            : sections.take(width, capacityColumns, e.accumulator);
  }
  e.loop(e.index(0), vocabulary, block.columns, [&](Value column) {
    Value columns = e.min(e.sub(vocabulary, column), block.columns);
    e.loop(e.index(0), all, block.rows, [&](Value start) {
      Value rows = e.min(e.sub(all, start), block.rows);
      emitDLogits(start, rows, column, columns);
      emitProducts(start, rows, column, columns);
    });
  });
}

void CrossEntropyGradEmitter::emitWithLoss() {
  LogitStatistics statistics(gemm, input, weight, transposed, targets, block.columns);
  // Sections in the order of Analysis/TileSizes.
  WorkspaceSections sections(e, workspace);
  emitScale(sections);
  Value capacity = e.min(all, block.rows);
  dlogits = sections.take(capacity, vocabulary, e.accumulator);
  statistics.takeSections(sections, capacity, all);
  lse = sections.take(all, e.index(1), e.accumulator);
  if (cast<MemRefType>(input.getType()).getElementType() != e.accumulator)
    weightSums = sections.takeLike(dweight, e.accumulator);
  e.loop(e.index(0), all, block.rows, [&](Value start) {
    Value rows = e.min(e.sub(all, start), block.rows);
    statistics.emitBlocks(start, rows, dlogits);
    statistics.emitLse(start, rows, lse);
    emitDLogitsInPlace(start, rows);
    emitProducts(start, rows, e.index(0), vocabulary);
  });
  statistics.emitLoss(all, lse, validCount, loss);
}

void CrossEntropyGradEmitter::emit() {
  all = e.rows(input);
  width = e.dim(input, cast<MemRefType>(input.getType()).getRank() - 1);
  if (loss)
    emitWithLoss();
  else
    emitBlocks();
}

LogicalResult lowerLinearCrossEntropyGrad(LinearCrossEntropyGradOp op, KernelCache &kernels) {
  if (failed(checkOperands(op, op.getWorkspace(), true)))
    return failure();
  int64_t leading = cast<MemRefType>(op.getInput().getType()).getRank() - 1;
  SmallVector<KernelOperand> operands{{op.getDloss()}, {op.getInput(), leading}, {op.getWeight()}, {op.getTargets(), leading},
                                      {op.getLse(), leading}, {op.getValidCount()}, {op.getOuts()[0], leading},
                                      {op.getOuts()[1]}, {op.computesLoss() ? op.getOuts()[2] : Value()}, {op.getWorkspace(), 1}};
  Type accumulator = getAccumulatorType(getElementTypeOrSelf(op.getInput().getType()));
  return kernels.replace(op, "bpt_linear_cross_entropy_grad", accumulator, operands, [&](Emitter &e, ArrayRef<Value> args) {
    CrossEntropyGradEmitter(e, kernels, op, args).emit();
    return success();
  });
}

} // namespace bpt
