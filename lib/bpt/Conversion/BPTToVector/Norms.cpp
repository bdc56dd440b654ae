// Layer and RMS normalisation and their gradients: rows in parallel, statistics in the accumulator type. Gradients of
// weights are summed over fixed blocks of rows into the workspace, then over the blocks in order.
#include "Lowerings.h"
#include "RowWise.h"
#include "bpt/Analysis/RowWiseSizes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

namespace {
/// Statistics of one row.
struct RowStatistics {
  Value mean;    ///< null for RMS
  Value inverse; ///< 1 / sqrt(variance + eps)
};

/// One norm on accumulators: `centered` is layer_norm, otherwise rms_norm.
struct Norm {
  Emitter &e;
  bool centered;
  double eps;
  Value columns;

  Value over(Value sum) const {
    Value count = arith::UIToFPOp::create(e, e.accumulator, arith::IndexCastOp::create(e, e.getI64Type(), columns));
    return e.divf(sum, count);
  }

  /// Two passes over the row: the variance is that of centered values, not a difference of large numbers.
  RowStatistics getStatistics(Value input, ArrayRef<Value> row) const {
    RowStatistics result;
    if (centered)
      result.mean = over(sumColumns(e, e.index(0), columns, 1, [&](Value column, Value mask) {
        return SmallVector<Value>{e.load(input, at(row, column), mask)};
      })[0]);
    Value mean = centered ? e.broadcast(result.mean) : Value();
    Value squares = sumColumns(e, e.index(0), columns, 1, [&](Value column, Value mask) {
      Value x = center(e.load(input, at(row, column), mask), mean);
      return SmallVector<Value>{e.mulf(x, x)};
    })[0];
    Value root = math::SqrtOp::create(e, e.addf(over(squares), e.scalar(eps)));
    result.inverse = e.divf(e.scalar(1), root);
    return result;
  }

  Value center(Value x, Value mean) const { return mean ? e.subf(x, mean) : x; }
  Value broadcastMean(const RowStatistics &s) const { return s.mean ? e.broadcast(s.mean) : Value(); }
};

struct NormOperands {
  Value input, weight, bias, out;
};
struct NormGradOperands {
  Value dout, input, weight, bias, dinput, dweight, dbias, workspace;
};
} // namespace

static void emitNorm(Emitter &e, bool centered, double eps, const NormOperands &o) {
  Value input = collapseRows(e, o.input), out = collapseRows(e, o.out);
  int64_t last = cast<MemRefType>(input.getType()).getRank() - 1;
  Norm norm{e, centered, eps, e.dim(input, last)};
  Value rows = e.rows(input);
  auto emitRow = [&](Value row, bool streams) {
    Emitter::Values from = e.rowIndices(input, row), to = e.rowIndices(out, row);
    RowStatistics statistics = norm.getStatistics(input, from);
    Value mean = norm.broadcastMean(statistics), inverse = e.broadcast(statistics.inverse);
    auto fetchInput = fetchNextRow(e, input, row, rows);
    e.columns(norm.columns, [&](Value column, Value mask) {
      fetchInput(column);
      Value x = norm.center(e.load(input, at(from, column), mask), mean);
      Value n = e.mulf(x, inverse);
      if (o.weight)
        n = e.mulf(n, e.load(o.weight, column, mask));
      if (o.bias)
        n = e.addf(n, e.load(o.bias, column, mask));
      streams && !mask ? e.stream(n, out, at(to, column)) : e.store(n, out, at(to, column), mask);
    });
  };
  emitStreaming(e, out,
                [&](bool streams) { parallelRows(e, rows, norm.columns, [&](Value row) { emitRow(row, streams); }); });
}

//===-- Gradients -----------------------------------------------------------------------------------------------===//

namespace {
/// Emits the gradient of one norm. Partial sums: [blocks][weight, bias][columns] of accumulators.
struct NormGradient {
  Emitter &e;
  Norm norm;
  NormGradOperands o;
  Value rows, blocks, partials;

  unsigned parts() const { return (o.weight ? 1 : 0) + (o.bias ? 1 : 0); }
  /// Row of the partial sums of `block`: part 0 is that of the weight where there is one.
  Value partialRow(Value block, unsigned part) const { return e.add(e.mul(block, parts()), part); }

  void emitRow(Value row, Value block) {
    Emitter::Values from = e.rowIndices(o.input, row), cotangent = e.rowIndices(o.dout, row),
                    to = e.rowIndices(o.dinput, row);
    RowStatistics statistics = norm.getStatistics(o.input, from);
    Value mean = norm.broadcastMean(statistics), inverse = e.broadcast(statistics.inverse);
    // n and c = dout * weight at a column.
    auto terms = [&](Value column, Value mask) {
      Value n = e.mulf(norm.center(e.load(o.input, at(from, column), mask), mean), inverse);
      Value d = e.load(o.dout, at(cotangent, column), mask);
      Value c = o.weight ? e.mulf(d, e.load(o.weight, column, mask)) : d;
      return std::array<Value, 3>{n, c, d};
    };
    SmallVector<Value> sums =
        sumColumns(e, e.index(0), norm.columns, norm.centered ? 2 : 1, [&](Value column, Value mask) {
          auto [n, c, d] = terms(column, mask);
          SmallVector<Value> values{e.mulf(c, n)};
          if (norm.centered)
            values.push_back(c);
          return values;
        });
    Value meanProduct = e.broadcast(norm.over(sums[0]));
    Value meanCotangent = norm.centered ? e.broadcast(norm.over(sums[1])) : Value();
    auto fetchInput = fetchNextRow(e, o.input, row, rows), fetchCotangent = fetchNextRow(e, o.dout, row, rows),
         fetchOut = fetchNextRow(e, o.dinput, row, rows);
    e.columns(norm.columns, [&](Value column, Value mask) {
      fetchInput(column);
      fetchCotangent(column);
      fetchOut(column);
      auto [n, c, d] = terms(column, mask);
      Value value = e.subf(norm.center(c, meanCotangent), e.mulf(n, meanProduct));
      Value old = e.load(o.dinput, at(to, column), mask);
      e.store(e.fma(value, inverse, old), o.dinput, at(to, column), mask);
      if (o.weight)
        addPartial(e.mulf(d, n), block, 0, column, mask);
      if (o.bias)
        addPartial(d, block, o.weight ? 1 : 0, column, mask);
    });
  }

  void addPartial(Value term, Value block, unsigned part, Value column, Value mask) {
    Value indices[] = {partialRow(block, part), column};
    e.store(e.addf(e.load(partials, indices, mask), term), partials, indices, mask);
  }

  void emitRows() {
    Value rowsOfBlock = e.ceilDiv(rows, e.max(blocks, 1));
    e.parallel(blocks, [&](Value block) {
      for (unsigned part = 0; part < parts(); ++part)
        e.columns(norm.columns, [&](Value column, Value mask) {
          e.store(e.splat(0), partials, {partialRow(block, part), column}, mask);
        });
      Value begin = e.mul(block, rowsOfBlock);
      e.loop(begin, e.min(e.add(begin, rowsOfBlock), rows), 1, [&](Value row) { emitRow(row, block); });
    });
  }

  /// out[column] += sum of the blocks' partial sums, in order.
  void emitPartialSums() {
    constexpr int64_t columnsOfItem = 512;
    e.parallel(e.ceilDiv(norm.columns, columnsOfItem), [&](Value item) {
      Value begin = e.mul(item, columnsOfItem), end = e.min(e.add(begin, columnsOfItem), norm.columns);
      visitColumns(e, begin, end, [&](Value column, Value mask) {
        for (unsigned part = 0; part < parts(); ++part) {
          Value out = part == 0 && o.weight ? o.dweight : o.dbias;
          Value sum = e.loop(e.index(0), blocks, 1, ValueRange(e.splat(0)), [&](Value block, ValueRange carried) {
            return Emitter::Values{e.addf(carried[0], e.load(partials, {partialRow(block, part), column}, mask))};
          })[0];
          e.store(e.addf(e.load(out, column, mask), sum), out, column, mask);
        }
      });
    });
  }
};
} // namespace

static void emitNormGrad(Emitter &e, bool centered, double eps, NormGradOperands o) {
  for (Value *value : {&o.dout, &o.input, &o.dinput})
    *value = collapseRows(e, *value);
  int64_t last = cast<MemRefType>(o.input.getType()).getRank() - 1;
  NormGradient gradient{e, Norm{e, centered, eps, e.dim(o.input, last)}, o, e.rows(o.input), {}, {}};
  if (!gradient.parts()) {
    parallelRows(e, gradient.rows, gradient.norm.columns, [&](Value row) { gradient.emitRow(row, Value()); });
    return;
  }
  gradient.blocks = e.min(e.ceilDiv(gradient.rows, normRowsOfBlock), normBlocks);
  Value sizes[] = {e.mul(gradient.blocks, gradient.parts()), gradient.norm.columns};
  gradient.partials =
      e.view(o.workspace, e.index(0), {ShapedType::kDynamic, ShapedType::kDynamic}, sizes, e.accumulator);
  gradient.emitRows();
  gradient.emitPartialSums();
}

//===-- Ops -----------------------------------------------------------------------------------------------------===//

static int64_t rankOf(Value value) { return cast<MemRefType>(value.getType()).getRank(); }
static Type accumulatorOf(Value value) {
  return getAccumulatorType(cast<MemRefType>(value.getType()).getElementType());
}

LogicalResult lowerLayerNorm(LayerNormOp op, KernelCache &kernels) {
  Value input = op.getInput(), out = op.getOuts()[0];
  KernelOperand operands[] = {
      {input, rankOf(input) - 1}, {op.getWeight(), 0}, {op.getBias(), 0}, {out, rankOf(out) - 1}};
  double eps = op.getEps().convertToDouble();
  return kernels.replace(op, "layer_norm", accumulatorOf(input), operands, [&](Emitter &e, ArrayRef<Value> args) {
    emitNorm(e, /*centered=*/true, eps, {args[0], args[1], args[2], args[3]});
    return success();
  });
}

LogicalResult lowerRMSNorm(RMSNormOp op, KernelCache &kernels) {
  Value input = op.getInput(), out = op.getOuts()[0];
  KernelOperand operands[] = {{input, rankOf(input) - 1}, {op.getWeight(), 0}, {out, rankOf(out) - 1}};
  double eps = op.getEps().convertToDouble();
  return kernels.replace(op, "rms_norm", accumulatorOf(input), operands, [&](Emitter &e, ArrayRef<Value> args) {
    emitNorm(e, /*centered=*/false, eps, {args[0], args[1], {}, args[2]});
    return success();
  });
}

LogicalResult lowerLayerNormGrad(LayerNormGradOp op, KernelCache &kernels) {
  if ((op.getWeight() || op.getBias()) && !op.getWorkspace())
    return op.emitOpError("expected a workspace; run bpt-tile-blocks first");
  Value input = op.getInput(), dinput = op.getOuts()[0];
  Value dweight = op.getWeight() ? op.getOuts()[1] : Value(), dbias = op.getBias() ? op.getOuts().back() : Value();
  KernelOperand operands[] = {{op.getDout(), rankOf(input) - 1},
                              {input, rankOf(input) - 1},
                              {op.getWeight(), 0},
                              {op.getBias(), 0},
                              {dinput, rankOf(dinput) - 1},
                              {dweight, 0},
                              {dbias, 0},
                              {op.getWorkspace(), 1}};
  double eps = op.getEps().convertToDouble();
  return kernels.replace(op, "layer_norm_grad", accumulatorOf(input), operands, [&](Emitter &e, ArrayRef<Value> args) {
    emitNormGrad(e, /*centered=*/true, eps, {args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7]});
    return success();
  });
}

LogicalResult lowerRMSNormGrad(RMSNormGradOp op, KernelCache &kernels) {
  if (op.getWeight() && !op.getWorkspace())
    return op.emitOpError("expected a workspace; run bpt-tile-blocks first");
  Value input = op.getInput(), dinput = op.getOuts()[0];
  Value dweight = op.getWeight() ? op.getOuts()[1] : Value();
  KernelOperand operands[] = {{op.getDout(), rankOf(input) - 1},
                              {input, rankOf(input) - 1},
                              {op.getWeight(), 0},
                              {dinput, rankOf(dinput) - 1},
                              {dweight, 0},
                              {op.getWorkspace(), 1}};
  double eps = op.getEps().convertToDouble();
  return kernels.replace(op, "rms_norm_grad", accumulatorOf(input), operands, [&](Emitter &e, ArrayRef<Value> args) {
    emitNormGrad(e, /*centered=*/false, eps, {args[0], args[1], args[2], {}, args[3], args[4], {}, args[5]});
    return success();
  });
}

} // namespace bpt
