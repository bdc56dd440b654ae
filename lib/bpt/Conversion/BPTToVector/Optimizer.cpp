// bpt.adamw in one pass over memory; bpt.global_norm as partial sums of pieces, added in order.
#include "Lowerings.h"
#include "RowWise.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace bpt {

static Value constantF64(Emitter &e, double value) { return arith::ConstantOp::create(e, e.getF64FloatAttr(value)); }

/// 1 / (1 - beta^step) in f64, by squaring: with beta near 1 the difference of f32 values has few right digits.
static Value inverseCorrection(Emitter &e, double beta, Value step) {
  Value one = constantF64(e, 1), zero = arith::ConstantIntOp::create(e, 0, 64),
        bit = arith::ConstantIntOp::create(e, 1, 64);
  auto loop = scf::WhileOp::create(
      e, TypeRange{step.getType(), one.getType(), one.getType()}, ValueRange{step, constantF64(e, beta), one},
      [&](OpBuilder &, Location, ValueRange args) {
        OpBuilder::InsertionGuard guard(e);
        e.setInsertionPointToEnd(args[0].getParentBlock());
        scf::ConditionOp::create(e, e.compare(arith::CmpIPredicate::sgt, args[0], zero), args);
      },
      [&](OpBuilder &, Location, ValueRange args) {
        OpBuilder::InsertionGuard guard(e);
        e.setInsertionPointToEnd(args[0].getParentBlock());
        Value odd = e.compare(arith::CmpIPredicate::ne, arith::AndIOp::create(e, args[0], bit), zero);
        Value power = e.select(odd, e.mulf(args[2], args[1]), args[2]);
        scf::YieldOp::create(e, ValueRange{arith::ShRUIOp::create(e, args[0], bit), e.mulf(args[1], args[1]), power});
      });
  Value correction = e.divf(one, e.subf(one, loop.getResult(2)));
  return e.accumulator.isF64() ? correction : Value(arith::TruncFOp::create(e, e.accumulator, correction));
}

namespace {
struct AdamWOperands {
  Value grad, step, lr, norm, param, m, v;
};
} // namespace

static void emitAdamW(Emitter &e, AdamWOp op, AdamWOperands o) {
  double beta1 = op.getBeta1().convertToDouble(), beta2 = op.getBeta2().convertToDouble();
  double clip = op.getClip().convertToDouble();
  for (Value *value : {&o.grad, &o.param, &o.m, &o.v})
    *value = collapseRows(e, *value);
  Pieces pieces(e, e.rows(o.param), e.dim(o.param, cast<MemRefType>(o.param.getType()).getRank() - 1));
  e.parallel(pieces.count, [&](Value piece) {
    Value step = memref::LoadOp::create(e, o.step, ValueRange{});
    Value correction1 = inverseCorrection(e, beta1, step), correction2 = inverseCorrection(e, beta2, step);
    Value lr = e.loadScalar(o.lr, {});
    Value factor;
    if (o.norm)
      // A norm that is not a number stays one: minf gives its second operand then.
      factor = e.minf(e.scalar(1), e.divf(e.scalar(clip), e.addf(e.loadScalar(o.norm, {}), e.scalar(1e-6))));
    pieces.visit(e, piece, [&](Value row, Value begin, Value end) {
      Emitter::Values grad = e.rowIndices(o.grad, row), param = e.rowIndices(o.param, row);
      Emitter::Values m = e.rowIndices(o.m, row), v = e.rowIndices(o.v, row);
      visitColumns(e, begin, end, [&](Value column, Value mask) {
        Value g = e.load(o.grad, at(grad, column), mask);
        if (factor)
          g = e.mulf(g, e.broadcast(factor));
        Value first = e.mulf(e.load(o.m, at(m, column), mask), e.splat(beta1));
        first = e.fma(g, e.splat(1 - beta1), first);
        Value second = e.mulf(e.load(o.v, at(v, column), mask), e.splat(beta2));
        second = e.fma(e.mulf(g, g), e.splat(1 - beta2), second);
        Value root = math::SqrtOp::create(e, e.mulf(second, e.broadcast(correction2)));
        Value update =
            e.divf(e.mulf(first, e.broadcast(correction1)), e.addf(root, e.splat(op.getEps().convertToDouble())));
        Value p = e.load(o.param, at(param, column), mask);
        update = e.fma(p, e.splat(op.getWeightDecay().convertToDouble()), update);
        e.store(e.subf(p, e.mulf(update, e.broadcast(lr))), o.param, at(param, column), mask);
        e.store(first, o.m, at(m, column), mask);
        e.store(second, o.v, at(v, column), mask);
      });
    });
  });
}

LogicalResult lowerAdamW(AdamWOp op, KernelCache &kernels) {
  OpBuilder builder(op);
  auto expand = [&](Value value) { return expandScalar(builder, op.getLoc(), value); };
  Value grad = expand(op.getGrad()), param = expand(op.getOuts()[0]);
  Value m = expand(op.getOuts()[1]), v = expand(op.getOuts()[2]);
  auto type = cast<MemRefType>(param.getType());
  int64_t rank = type.getRank();
  KernelOperand operands[] = {{grad, rank},  {op.getStep(), 0}, {op.getLr(), 0}, {op.getNorm(), 0},
                              {param, rank}, {m, rank},         {v, rank}};
  return kernels.replace(op, "adamw", getAccumulatorType(type.getElementType()), operands,
                         [&](Emitter &e, ArrayRef<Value> args) {
                           emitAdamW(e, op, {args[0], args[1], args[2], args[3], args[4], args[5], args[6]});
                           return success();
                         });
}

//===-- Norm ----------------------------------------------------------------------------------------------------===//

/// Writes the sum of squares of each piece of `grad` to sums[base..] (f64); returns the number of pieces.
static SmallVector<Value> emitSquares(Emitter &e, ValueRange args) {
  Value grad = args[0], sums = args[1], base = args[2];
  Pieces pieces(e, e.rows(grad), e.dim(grad, cast<MemRefType>(grad.getType()).getRank() - 1));
  e.parallel(pieces.count, [&](Value piece) {
    Value zero = constantF64(e, 0), position = e.add(base, piece);
    memref::StoreOp::create(e, zero, sums, position);
    pieces.visit(e, piece, [&](Value row, Value begin, Value end) {
      Emitter::Values indices = e.rowIndices(grad, row);
      Value sum = sumColumns(e, begin, end, 1, [&](Value column, Value mask) {
        Value g = e.load(grad, at(indices, column), mask);
        return SmallVector<Value>{e.mulf(g, g)};
      })[0];
      if (!e.accumulator.isF64())
        sum = arith::ExtFOp::create(e, e.getF64Type(), sum);
      Value old = memref::LoadOp::create(e, sums, position);
      memref::StoreOp::create(e, e.addf(old, sum), sums, position);
    });
  });
  return {pieces.count};
}

LogicalResult lowerGlobalNorm(GlobalNormOp op, KernelCache &kernels) {
  if (!op.getWorkspace())
    return op.emitOpError("expected a workspace; run bpt-tile-blocks first");
  OpBuilder builder(op);
  SmallVector<KernelOperand> operands = {{op.getOuts()[0], 0}, {op.getWorkspace(), 1}};
  for (Value grad : op.getGrads()) {
    Value expanded = expandScalar(builder, op.getLoc(), grad);
    operands.push_back({expanded, cast<MemRefType>(expanded.getType()).getRank()});
  }
  Type element = cast<MemRefType>(op.getOuts()[0].getType()).getElementType();
  return kernels.replace(op, "global_norm", element, operands, [&](Emitter &e, ArrayRef<Value> args) {
    Value bytes = memref::DimOp::create(e, args[1], 0);
    Value sums = e.view(args[1], e.index(0), {ShapedType::kDynamic}, e.div(bytes, 8), e.getF64Type());
    Value count = e.index(0);
    for (Value grad : args.drop_front(2)) {
      grad = collapseRows(e, grad);
      // One function for all gradients of a type: a model has hundreds.
      Value pieces = kernels.callHelper(
          e, "sum_of_squares", {grad, sums, count}, {grad.getType(), sums.getType(), e.getIndexType()},
          {e.getIndexType()}, [](Emitter &inner, ValueRange inputs) { return emitSquares(inner, inputs); })[0];
      count = e.add(count, pieces);
    }
    e.parallel(e.index(1), [&](Value) {
      Value total = e.loop(e.index(0), count, 1, ValueRange{constantF64(e, 0)}, [&](Value i, ValueRange carried) {
        Value term = memref::LoadOp::create(e, sums, i);
        return Emitter::Values{e.addf(carried[0], term)};
      })[0];
      e.storeScalar(math::SqrtOp::create(e, total), args[0], {});
    });
    return success();
  });
}

} // namespace bpt
