// Both ends of a language model: embedding, linear layer with cross-entropy, and their gradients.
#include "Definition.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

#include <limits>

using namespace mlir;

namespace bpt::definition {

/// An id as a row of `table`, never out of bounds.
static Scalar clampId(Scalar id, Value table, int64_t dim) {
  ImplicitLocOpBuilder &builder = id.getBuilder();
  Scalar count(builder, tensor::DimOp::create(builder, table, dim));
  return maximum(0, minimum(id.toInteger(builder.getIndexType()), count - 1));
}

Results define(OpBuilder &builder, EmbeddingOp op) {
  Definition t(builder, op.getLoc(), getElementTypeOrSelf(op.getTable().getType()));
  AffineExpr e = t.loop(2);
  return SmallVector<Value>{
      t.compute({op.getOuts()[0], t.loops(0, 3)}, {{op.getIds(), t.loops(0, 2)}}, [&](Scalar id, Scalar) {
        Value row = clampId(id, op.getTable(), 0).get();
        return t.scalar(tensor::ExtractOp::create(id.getBuilder(), op.getTable(), ValueRange{row, t.index(e).get()}));
      })};
}

Results define(OpBuilder &builder, EmbeddingGradOp op) {
  Value dtable = op.getOuts()[0];
  Definition t(builder, op.getLoc(), getElementTypeOrSelf(dtable.getType()));
  bool narrow = getElementTypeOrSelf(dtable.getType()) != t.accumulator;
  Value sum = narrow ? t.store(dtable, t.empty(t.sizes(dtable))) : dtable;

  // Tokens in order: for b, for s, for e: sum[ids[b,s], e] += dout[b,s,e].
  Value zero = arith::ConstantIndexOp::create(t.builder, 0), one = arith::ConstantIndexOp::create(t.builder, 1);
  SmallVector<Value> position;
  OpBuilder::InsertionGuard guard(t.builder);
  SmallVector<scf::ForOp> nest;
  for (int dim = 0; dim < 3; ++dim) {
    Value length = tensor::DimOp::create(t.builder, op.getDout(), dim);
    nest.push_back(
        scf::ForOp::create(t.builder, zero, length, one, nest.empty() ? sum : nest.back().getRegionIterArg(0)));
    position.push_back(nest.back().getInductionVar());
    t.builder.setInsertionPointToStart(nest.back().getBody());
  }
  Value carried = nest.back().getRegionIterArg(0);
  Scalar id(t.builder, tensor::ExtractOp::create(t.builder, op.getIds(), ArrayRef(position).take_front(2)));
  Value row = clampId(id, dtable, 0).get();
  Scalar cotangent(t.builder, tensor::ExtractOp::create(t.builder, op.getDout(), position));
  Scalar old(t.builder, tensor::ExtractOp::create(t.builder, carried, ValueRange{row, position[2]}));
  Value updated = (old + cotangent.toFloat(t.accumulator)).get();
  updated = tensor::InsertOp::create(t.builder, updated, carried, ValueRange{row, position[2]});
  for (scf::ForOp loop : llvm::reverse(nest)) {
    t.builder.setInsertionPointToEnd(loop.getBody());
    scf::YieldOp::create(t.builder, updated);
    updated = loop.getResult(0);
  }
  t.builder.setInsertionPointAfter(nest.front());
  return SmallVector<Value>{narrow ? t.store(updated, dtable) : updated};
}

namespace {
/// What forward and gradient share: the logits `[.., V]`, the number of valid rows.
template <typename Op> class Logits : public Definition {
public:
  Logits(OpBuilder &builder, Op op)
      : Definition(builder, op.getLoc(), getElementTypeOrSelf(op.getInput().getType())), op(op) {
    rank = cast<ShapedType>(op.getInput().getType()).getRank() - 1;
  }

  Access rows(Value tensor) { return {tensor, loops(0, rank)}; }
  /// Loops are the rows, then two inner ones, of which `column` names one.
  Access rowwise(Value tensor, AffineExpr column) {
    Access access = rows(tensor);
    access.indices.push_back(column);
    return access;
  }
  AffineExpr inner(unsigned number) { return loop(rank + number); }
  Access weight(Value tensor, AffineExpr e, AffineExpr v) {
    return op.getWeightsTransposed() ? Access{tensor, {v, e}} : Access{tensor, {e, v}};
  }
  int64_t vocabularyDim() { return op.getWeightsTransposed() ? 0 : 1; }

  SmallVector<OpFoldResult> rowSizes() { return sizes(op.getTargets()); }
  Value logits() {
    SmallVector<OpFoldResult> shape = rowSizes();
    shape.push_back(size(op.getWeight(), vocabularyDim()));
    return contract(rowwise(filled(shape, 0), inner(1)), rowwise(op.getInput(), inner(0)),
                    weight(op.getWeight(), inner(0), inner(1)));
  }
  /// Whether the row of this target counts.
  Scalar valid(Scalar target) {
    return notEqual(target, static_cast<double>(static_cast<int64_t>(op.getIgnoreIndex())));
  }
  /// The number of valid rows of the whole batch, 0-d.
  Value count() {
    if (op.getValidCount())
      return compute({empty({}), {}}, {{op.getValidCount(), {}}},
                     [&](Scalar count, Scalar) { return count.toFloat(accumulator); });
    Value number = tensor::EmptyOp::create(builder, ArrayRef<OpFoldResult>(), builder.getI64Type());
    number = compute({fill(number, 0), {}}, {rows(op.getTargets())}, [&](Scalar target, Scalar number) {
      return number + select(valid(target), number.constant(1), number.constant(0));
    });
    return compute({empty({}), {}}, {{number, {}}}, [&](Scalar number, Scalar) { return number.toFloat(accumulator); });
  }

  Op op;
  unsigned rank;
};
} // namespace

/// lse = log sum exp of each row of `logits`.
template <typename Op> static Value defineLse(Logits<Op> &t, Value logits, Access out) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  AffineExpr v = t.inner(0);
  Value largest = t.compute(t.rows(t.filled(t.rowSizes(), -infinity)), {t.rowwise(logits, v)},
                            [](Scalar logit, Scalar largest) { return maximum(largest, logit); });
  Value sum = t.compute(t.rows(t.filled(t.rowSizes(), 0)), {t.rowwise(logits, v), t.rows(largest)},
                        [](Scalar logit, Scalar largest, Scalar sum) { return sum + exp(logit - largest); });
  return t.compute(out, {t.rows(largest), t.rows(sum)},
                   [](Scalar largest, Scalar sum, Scalar) { return largest + log(sum); });
}

/// The mean of lse - logit of the target over the rows that count.
template <typename Op> static Value defineLoss(Logits<Op> &t, Value logits, Value lse, Value out) {
  Value loss = t.compute({t.fill(out, 0), {}}, {t.rows(t.op.getTargets()), t.rows(lse)},
                         [&](Scalar target, Scalar lse, Scalar sum) {
                           SmallVector<Value> position;
                           for (AffineExpr row : t.loops(0, t.rank))
                             position.push_back(t.index(row).get());
                           position.push_back(clampId(target, t.op.getWeight(), t.vocabularyDim()).get());
                           Scalar logit = t.scalar(tensor::ExtractOp::create(target.getBuilder(), logits, position));
                           return sum + select(t.valid(target), lse - logit, 0.0);
                         });
  return t.compute({loss, {}}, {{t.count(), {}}}, [](Scalar count, Scalar sum) { return sum / count; });
}

Results define(OpBuilder &builder, LinearCrossEntropyOp op) {
  Logits<LinearCrossEntropyOp> t(builder, op);
  Value logits = t.logits();
  Value lse = defineLse(t, logits, t.rows(op.getOuts()[1]));
  return SmallVector<Value>{defineLoss(t, logits, lse, op.getOuts()[0]), lse};
}

Results define(OpBuilder &builder, LinearCrossEntropyGradOp op) {
  Logits<LinearCrossEntropyGradOp> t(builder, op);
  AffineExpr v = t.inner(0);
  Value logits = t.logits(), lse = op.getLse();
  if (!lse)
    lse = defineLse(t, logits, t.rows(t.empty(t.rowSizes())));
  Value dlogits = t.compute(
      t.rowwise(t.empty(t.sizes(logits)), v),
      {t.rowwise(logits, v), t.rows(op.getTargets()), t.rows(lse), {op.getDloss(), {}}, {t.count(), {}}},
      [&](Scalar logit, Scalar target, Scalar lse, Scalar dloss, Scalar count, Scalar) {
        Scalar here = equal(clampId(target, op.getWeight(), t.vocabularyDim()), t.index(v));
        Scalar probability = exp(logit - lse);
        return select(t.valid(target), dloss / count * select(here, probability - 1, probability), 0.0);
      });
  AffineExpr e = t.inner(1);
  Value dinput = t.contract(t.rowwise(op.getOuts()[0], e), t.rowwise(dlogits, v), t.weight(op.getWeight(), e, v));
  Value dweight = t.contract(t.weight(op.getOuts()[1], e, v), t.rowwise(dlogits, v), t.rowwise(op.getInput(), e));
  SmallVector<Value> results{dinput, dweight};
  if (op.computesLoss())
    results.push_back(defineLoss(t, logits, lse, op.getOuts()[2]));
  return results;
}

} // namespace bpt::definition
