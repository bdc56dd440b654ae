// Gradient of bpt.linear_cross_entropy: one block of dlogits at a time in the workspace, and two products with it.
#include "CrossEntropy.h"
#include "FeedForward.h"
#include "Lowerings.h"
#include "VectorMath.h"

using namespace mlir;

namespace bpt {

namespace {
class CrossEntropyGradEmitter {
public:
  CrossEntropyGradEmitter(Emitter &e, KernelCache &kernels, LinearCrossEntropyGradOp op, ArrayRef<Value> args)
      : e(e), gemm(e, kernels), transposed(op.getWeightsTransposed()), block(getLogitsBlock(op, kernels.getTarget())),
        dloss(args[0]), input(collapseRows(e, args[1])), weight(args[2]), lse(args[4]), validCount(args[5]),
        dinput(collapseRows(e, args[6])), dweight(args[7]), workspace(args[8]), vocabulary(e.dim(weight, transposed ? 0 : 1)),
        targets{e, args[3], static_cast<int64_t>(op.getIgnoreIndex()), vocabulary} {}
  void emit();

private:
  void emitBlock(Value start, Value rows, Value column, Value columns);
  void emitDLogits(Value start, Value rows, Value column, Value columns);
  Value sliceDWeight(Value column, Value columns);

  Emitter &e;
  Gemm gemm;
  bool transposed;
  LogitsBlock block;
  Value dloss, input, weight, lse, validCount, dinput, dweight, workspace, vocabulary;
  Targets targets;
  Value all, width, scale;
  Value dlogits;                ///< [block.rows, block.columns] in the workspace
  Value inputSums, weightSums;  ///< f32 between the blocks, for 16-bit gradients
};
} // namespace

void CrossEntropyGradEmitter::emitDLogits(Value start, Value rows, Value column, Value columns) {
  gemm.parallelBlocks({}, rows, columns, 1, [&](Gemm::Block part, ArrayRef<Value> blocks) {
    gemm.clear(blocks[0], part.rows, part.columns);
    Value firstColumn = e.add(column, part.column);
    gemm.accumulate(blocks[0], Matrix{input}.dropRows(e, e.add(start, part.row)),
                    Matrix{weight, transposed}.dropColumns(e, firstColumn), part.rows, part.columns, width);
    e.loop(e.index(0), part.rows, 1, [&](Value row) {
      Value to = e.add(part.row, row), position = e.add(start, to);
      auto [counts, target] = targets.get(position);
      // A row that does not count has factor 0; its exponentials are finite all the same.
      Value factor = e.select(counts, scale, e.scalar(0)), sum = e.loadScalar(lse, getPosition(e, lse, position));
      Value factors = e.broadcast(factor), shift = e.broadcast(sum);
      e.columns(part.columns, [&](Value offset, Value mask) {
        Value p = emitExp(e, e.subf(e.load(blocks[0], {row, offset}), shift));
        e.store(e.mulf(factors, p), dlogits, {to, e.add(part.column, offset)}, mask);
      });
      Value inside = arith::AndIOp::create(e, e.compare(arith::CmpIPredicate::sge, target, firstColumn),
                                           e.less(target, e.add(firstColumn, part.columns)));
      e.ifThen(inside, [&, target = target] {
        Value offset = e.sub(target, firstColumn);
        Value p = emitExp(e, e.subf(e.loadScalar(blocks[0], {row, offset}), sum));
        e.storeScalar(e.mulf(factor, e.subf(p, e.scalar(1))), dlogits, {to, e.add(part.column, offset)});
      });
    });
  });
}

/// The part of dweight for columns [column, column + columns).
Value CrossEntropyGradEmitter::sliceDWeight(Value column, Value columns) {
  SmallVector<OpFoldResult> offsets{e.getIndexAttr(0), getAsOpFoldResult(column)};
  SmallVector<OpFoldResult> sizes{getAsOpFoldResult(width), getAsOpFoldResult(columns)};
  SmallVector<OpFoldResult> strides(2, e.getIndexAttr(1));
  if (transposed) {
    std::swap(offsets[0], offsets[1]);
    std::swap(sizes[0], sizes[1]);
  }
  return memref::SubViewOp::create(e, dweight, offsets, sizes, strides);
}

void CrossEntropyGradEmitter::emitBlock(Value start, Value rows, Value column, Value columns) {
  emitDLogits(start, rows, column, columns);
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

void CrossEntropyGradEmitter::emit() {
  all = e.rows(input);
  width = e.dim(input, cast<MemRefType>(input.getType()).getRank() - 1);
  Type storage = cast<MemRefType>(input.getType()).getElementType();
  scale = e.divf(e.loadScalar(dloss, {}), targets.count(all, validCount));
  // Sections in the order of Analysis/TileSizes.
  WorkspaceSections sections(e, workspace);
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
      emitBlock(start, e.min(e.sub(all, start), block.rows), column, columns);
    });
  });
}

LogicalResult lowerLinearCrossEntropyGrad(LinearCrossEntropyGradOp op, KernelCache &kernels) {
  if (failed(checkOperands(op, op.getWorkspace(), true)))
    return failure();
  int64_t leading = cast<MemRefType>(op.getInput().getType()).getRank() - 1;
  SmallVector<KernelOperand> operands{{op.getDloss()}, {op.getInput(), leading}, {op.getWeight()}, {op.getTargets(), leading},
                                      {op.getLse(), leading}, {op.getValidCount()}, {op.getOuts()[0], leading},
                                      {op.getOuts()[1]}, {op.getWorkspace(), 1}};
  Type accumulator = getAccumulatorType(getElementTypeOrSelf(op.getInput().getType()));
  return kernels.replace(op, "bpt_linear_cross_entropy_grad", accumulator, operands, [&](Emitter &e, ArrayRef<Value> args) {
    CrossEntropyGradEmitter(e, kernels, op, args).emit();
    return success();
  });
}

} // namespace bpt
