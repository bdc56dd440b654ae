// bpt.linear_cross_entropy: blocks of logits live in the scratch of a thread; each leaves a maximum and a sum of each row.
#include "CrossEntropy.h"
#include "Chunks.h"
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

//===--- statistics ----------------------------------------------------------------------------------------------------===//

LogitStatistics::LogitStatistics(Gemm &gemm, Value input, Value weight, bool transposed, const Targets &targets, int64_t columns)
    : e(gemm.e), gemm(gemm), input(input), weight(weight), transposed(transposed), targets(targets), blockColumns(columns),
      parts(e.ceilDiv(targets.vocabulary, columns)) {}

void LogitStatistics::takeSections(WorkspaceSections &sections, Value capacity, Value all) {
  maxima = sections.take(capacity, parts, e.accumulator);
  sums = sections.take(capacity, parts, e.accumulator);
  targetLogit = sections.take(e.index(1), all, e.accumulator);
}

/// Maximum and sum of part `part` of one row, whose logits begin at [row, offset]; the logit of the target where the part has it.
void LogitStatistics::emitRow(Value logits, Value row, Value offset, Value position, Value local, Value part) {
  Value column = e.mul(part, blockColumns), columns = e.min(e.sub(targets.vocabulary, column), blockColumns);
  Value lowest = e.splat(-std::numeric_limits<double>::infinity());
  Value highest = e.columns(columns, ValueRange{lowest}, [&](Value j, Value mask, ValueRange carried) {
    Value x = e.load(logits, {row, e.add(offset, j)});
    if (mask)
      x = arith::SelectOp::create(e, mask, x, lowest);
    return SmallVector<Value>{e.maxf(x, carried[0])};
  })[0];
  Value maximum = e.maxLanes(highest), shift = e.broadcast(maximum);
  Value total = e.columns(columns, ValueRange{e.splat(0)}, [&](Value j, Value mask, ValueRange carried) {
    Value p = emitExp(e, e.subf(e.load(logits, {row, e.add(offset, j)}), shift));
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
    Value logit = e.loadScalar(logits, {row, e.add(offset, e.sub(target, column))});
    e.storeScalar(logit, targetLogit, {e.index(0), position});
  });
}

void LogitStatistics::emitBlocks(Value start, Value rows, Value kept) {
  Value width = e.dim(input, cast<MemRefType>(input.getType()).getRank() - 1);
  Gemm::Product product{0, Matrix{input}.dropRows(e, start), {weight, transposed}, width};
  auto body = [&](Gemm::Block block, ArrayRef<Value> blocks) {
    Value firstPart = e.div(block.column, blockColumns), count = e.ceilDiv(block.columns, blockColumns);
    e.loop(e.index(0), block.rows, 1, [&](Value row) {
      Value local = e.add(block.row, row);
      e.loop(e.index(0), count, 1, [&](Value i) {
        emitRow(blocks[0], row, e.mul(i, blockColumns), e.add(start, local), local, e.add(firstPart, i));
      });
      if (kept)
        e.columns(block.columns, [&](Value offset, Value mask) {
          e.store(e.load(blocks[0], {row, offset}), kept, {local, e.add(block.column, offset)}, mask);
        });
    });
  };
  gemm.parallelProducts(rows, targets.vocabulary, 1, product, body, {blockColumns, {}, {kept}});
}

/// lse of these rows: the parts of each row, in their order.
void LogitStatistics::emitLse(Value start, Value rows, Value lse) {
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

void LogitStatistics::emitLoss(Value all, Value lse, Value validCount, Value loss) {
  Type wide = e.getF64Type();
  auto extend = [&](Value value) { return value.getType() == wide ? value : arith::ExtFOp::create(e, wide, value).getResult(); };
  e.parallel(e.index(1), [&](Value) {
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
  });
}

//===--- forward -------------------------------------------------------------------------------------------------------===//

static void emitForward(Emitter &e, KernelCache &kernels, LinearCrossEntropyOp op, ArrayRef<Value> args) {
  Value input = collapseRows(e, args[0]), weight = args[1], validCount = args[3], loss = args[4], lse = args[5];
  bool transposed = op.getWeightsTransposed();
  LogitsBlock block = getLogitsBlock(op, kernels.getTarget());
  Gemm gemm(e, kernels, getElementTypeOrSelf(op.getInput()));
  Targets targets{e, args[2], static_cast<int64_t>(op.getIgnoreIndex()), e.dim(weight, transposed ? 0 : 1)};
  LogitStatistics statistics(gemm, input, weight, transposed, targets, block.columns);
  Value all = e.rows(input);
  WorkspaceSections sections(e, args[6]);
  statistics.takeSections(sections, e.min(all, block.rows), all);
  e.loop(e.index(0), all, block.rows, [&](Value start) {
    Value rows = e.min(e.sub(all, start), block.rows);
    statistics.emitBlocks(start, rows);
    statistics.emitLse(start, rows, lse);
  });
  statistics.emitLoss(all, lse, validCount, loss);
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
    emitForward(e, kernels, op, args);
    return success();
  });
}

} // namespace bpt
