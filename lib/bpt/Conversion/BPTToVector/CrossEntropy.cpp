// bpt.linear_cross_entropy: blocks of logits live in the scratch of a thread; each leaves a maximum and a sum of each row.
#include "CrossEntropy.h"
#include "FeedForward.h"
#include "Lowerings.h"
#include "VectorMath.h"
#include <limits>

using namespace mlir;

namespace bpt {

//===--- shared pieces -------------------------------------------------------------------------------------------------===//

SmallVector<Value> getPosition(Emitter &e, Value memref, Value row) { return e.rowIndices(memref, row, 0); }

std::pair<Value, Value> Targets::get(Value row) const {
  Value target = memref::LoadOp::create(e, memref, getPosition(e, memref, row));
  Value ignored = arith::ConstantOp::create(e, e.getIntegerAttr(target.getType(), static_cast<int32_t>(ignoreIndex)));
  Value counts = arith::CmpIOp::create(e, arith::CmpIPredicate::ne, target, ignored);
  if (ignoreIndex != static_cast<int32_t>(ignoreIndex)) // no i32 is the index to ignore
    counts = arith::ConstantOp::create(e, e.getBoolAttr(true));
  Value column = arith::IndexCastOp::create(e, e.getIndexType(), target);
  return {counts, e.max(e.min(column, e.sub(vocabulary, 1)), 0)};
}

Value Targets::count(Value rows, Value given) const {
  Value number;
  if (given) {
    number = memref::LoadOp::create(e, given, ValueRange());
  } else {
    Value sum = e.loop(e.index(0), rows, 1, ValueRange{e.index(0)}, [&](Value row, ValueRange carried) {
      return SmallVector<Value>{e.add(carried[0], e.select(get(row).first, e.index(1), e.index(0)))};
    })[0];
    number = arith::IndexCastOp::create(e, e.getI64Type(), sum);
  }
  return arith::SIToFPOp::create(e, e.accumulator, number);
}

//===--- forward -------------------------------------------------------------------------------------------------------===//

namespace {
class CrossEntropyEmitter {
public:
  CrossEntropyEmitter(Emitter &e, KernelCache &kernels, LinearCrossEntropyOp op, ArrayRef<Value> args)
      : e(e), gemm(e, kernels), transposed(op.getWeightsTransposed()), block(getLogitsBlock(op, kernels.getTarget())),
        input(collapseRows(e, args[0])), weight(args[1]), validCount(args[3]), loss(args[4]), lse(args[5]), workspace(args[6]),
        vocabulary(e.dim(weight, transposed ? 0 : 1)),
        targets{e, args[2], static_cast<int64_t>(op.getIgnoreIndex()), vocabulary} {}
  void emit();

private:
  void emitStatistics(Value start, Value rows);
  void emitRow(Value logits, Value row, Value position, Value local, Value part, Value column, Value columns);
  void emitLse(Value start, Value rows);
  void emitLoss(Value all);

  Emitter &e;
  Gemm gemm;
  bool transposed;
  LogitsBlock block;
  Value input, weight, validCount, loss, lse, workspace, vocabulary;
  Targets targets;
  Value parts;                     ///< blocks of columns
  Value maxima, sums, targetLogit; ///< in the workspace: [chunk, parts] twice, [1, rows]
};
} // namespace

/// Maximum and sum of one row of a block of logits; the logit of the target where the block has it.
void CrossEntropyEmitter::emitRow(Value logits, Value row, Value position, Value local, Value part, Value column,
                                  Value columns) {
  Value lowest = e.splat(-std::numeric_limits<double>::infinity());
  Value highest = e.columns(columns, ValueRange{lowest}, [&](Value offset, Value mask, ValueRange carried) {
    Value x = e.load(logits, {row, offset});
    if (mask)
      x = arith::SelectOp::create(e, mask, x, lowest);
    return SmallVector<Value>{e.maxf(x, carried[0])};
  })[0];
  Value maximum = e.maxLanes(highest), shift = e.broadcast(maximum);
  Value total = e.columns(columns, ValueRange{e.splat(0)}, [&](Value offset, Value mask, ValueRange carried) {
    Value p = emitExp(e, e.subf(e.load(logits, {row, offset}), shift));
    if (mask)
      p = arith::SelectOp::create(e, mask, p, e.splat(0));
    return SmallVector<Value>{e.addf(carried[0], p)};
  })[0];
  e.storeScalar(maximum, maxima, {local, part});
  e.storeScalar(e.sumLanes(total), sums, {local, part});
  Value target = targets.get(position).second;
  Value inside = arith::AndIOp::create(e, e.compare(arith::CmpIPredicate::sge, target, column),
                                       e.less(target, e.add(column, columns)));
  e.ifThen(inside, [&] {
    e.storeScalar(e.loadScalar(logits, {row, e.sub(target, column)}), targetLogit, {e.index(0), position});
  });
}

void CrossEntropyEmitter::emitStatistics(Value start, Value rows) {
  Value height = e.index(gemm.tiles.blockRows), heights = e.ceilDiv(rows, height);
  Value width = e.dim(input, cast<MemRefType>(input.getType()).getRank() - 1);
  e.parallel(e.mul(heights, parts), [&](Value item) {
    SmallVector<Value> blocks = gemm.takeBlocks();
    // Neighbouring items share their columns of the weight.
    Value part = e.div(item, heights), first = e.mul(e.rem(item, heights), height);
    Value column = e.mul(part, block.columns);
    Value m = e.min(e.sub(rows, first), height), n = e.min(e.sub(vocabulary, column), block.columns);
    gemm.clear(blocks[0], m, n);
    gemm.accumulate(blocks[0], Matrix{input}.dropRows(e, e.add(start, first)), Matrix{weight, transposed}.dropColumns(e, column),
                    m, n, width);
    e.loop(e.index(0), m, 1, [&](Value row) {
      Value local = e.add(first, row);
      emitRow(blocks[0], row, e.add(start, local), local, part, column, n);
    });
  });
}

/// Combines the parts of each row, in their order.
void CrossEntropyEmitter::emitLse(Value start, Value rows) {
  int64_t together = 64;
  e.parallel(e.ceilDiv(rows, together), [&](Value item) {
    Value first = e.mul(item, together);
    e.loop(first, e.min(e.add(first, together), rows), 1, [&](Value row) {
      Value lowest = e.splat(-std::numeric_limits<double>::infinity());
      Value highest = e.columns(parts, ValueRange{lowest}, [&](Value part, Value mask, ValueRange carried) {
        Value x = e.load(maxima, {row, part}, mask);
        if (mask)
          x = arith::SelectOp::create(e, mask, x, lowest);
        return SmallVector<Value>{e.maxf(x, carried[0])};
      })[0];
      Value maximum = e.maxLanes(highest), shift = e.broadcast(maximum);
      Value total = e.columns(parts, ValueRange{e.splat(0)}, [&](Value part, Value mask, ValueRange carried) {
        Value factor = emitExp(e, e.subf(e.load(maxima, {row, part}, mask), shift));
        // Sums outside the mask are zero.
        return SmallVector<Value>{e.fma(factor, e.load(sums, {row, part}, mask), carried[0])};
      })[0];
      Value logarithm = emitLog(e, e.sumLanes(total));
      e.storeScalar(e.addf(maximum, logarithm), lse, getPosition(e, lse, e.add(start, row)));
    });
  });
}

/// The mean over the rows that count, summed in f64 so that it is exact to the last place of f32 for any batch.
void CrossEntropyEmitter::emitLoss(Value all) {
  Type wide = e.getF64Type();
  auto extend = [&](Value value) { return value.getType() == wide ? value : arith::ExtFOp::create(e, wide, value).getResult(); };
  Value zero = arith::ConstantOp::create(e, e.getF64FloatAttr(0));
  Value sum = e.loop(e.index(0), all, 1, ValueRange{zero}, [&](Value row, ValueRange carried) {
    Value difference = e.subf(extend(e.loadScalar(lse, getPosition(e, lse, row))),
                              extend(e.loadScalar(targetLogit, {e.index(0), row})));
    return SmallVector<Value>{e.addf(carried[0], e.select(targets.get(row).first, difference, zero))};
  })[0];
  // 0 / 0 without a row that counts: NaN.
  Value mean = e.divf(sum, extend(targets.count(all, validCount)));
  if (!e.accumulator.isF64())
    mean = arith::TruncFOp::create(e, e.accumulator, mean);
  e.storeScalar(mean, loss, {});
}

void CrossEntropyEmitter::emit() {
  Value all = e.rows(input);
  parts = e.ceilDiv(vocabulary, block.columns);
  WorkspaceSections sections(e, workspace);
  Value capacity = e.min(all, block.rows);
  maxima = sections.take(capacity, parts, e.accumulator);
  sums = sections.take(capacity, parts, e.accumulator);
  targetLogit = sections.take(e.index(1), all, e.accumulator);
  e.loop(e.index(0), all, block.rows, [&](Value start) {
    Value rows = e.min(e.sub(all, start), block.rows);
    emitStatistics(start, rows);
    emitLse(start, rows);
  });
  emitLoss(all);
}

LogicalResult lowerLinearCrossEntropy(LinearCrossEntropyOp op, KernelCache &kernels) {
  if (failed(checkOperands(op, op.getWorkspace(), true)))
    return failure();
  int64_t leading = cast<MemRefType>(op.getInput().getType()).getRank() - 1;
  SmallVector<KernelOperand> operands{{op.getInput(), leading}, {op.getWeight()}, {op.getTargets(), leading},
                                      {op.getValidCount()}, {op.getOuts()[0]}, {op.getOuts()[1], leading},
                                      {op.getWorkspace(), 1}};
  Type accumulator = getAccumulatorType(getElementTypeOrSelf(op.getInput().getType()));
  return kernels.replace(op, "bpt_linear_cross_entropy", accumulator, operands, [&](Emitter &e, ArrayRef<Value> args) {
    CrossEntropyEmitter(e, kernels, op, args).emit();
    return success();
  });
}

} // namespace bpt
