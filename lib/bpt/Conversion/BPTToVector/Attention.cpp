// bpt.attention: online softmax over blocks of keys, one work item for each head and block of queries.
#include "AttentionScores.h"
#include "Lowerings.h"
#include "RowWise.h"
#include "VectorMath.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <limits>

using namespace mlir;

namespace bpt {

static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double ln2 = 0.69314718055994530942;

namespace {
class AttentionForward {
public:
  AttentionForward(AttentionScores &s, Value out, Value lse, Value probabilities)
      : s(s), e(s.e), out(out), lse(lse), probabilities(probabilities) {}

  void emit(const AttentionTiles &tiles, const AttentionFeatures &features) {
    AttentionScratch layout = AttentionScratch::getForward(tiles, features);
    s.tiles = tiles;
    Value blocks = s.getQueryBlocks(), planes = e.mul(s.batch, s.heads);
    e.parallel(e.mul(blocks, planes), [&](Value item) {
      s.takeScratch(tiles, features, layout);
      // The last queries see the most keys under a causal mask: long items first.
      Value plane = e.rem(item, planes), block = e.sub(e.sub(blocks, 1), e.div(item, planes));
      s.setHead(e.div(plane, s.heads), e.rem(plane, s.heads));
      s.setQueries(block);
      emitItem();
    });
  }

private:
  /// References of the exponentials: 0 for rows that have seen no key, so that nothing is subtracted from -inf.
  Value getReference(Value maximum) {
    Value none = e.compareFloat(arith::CmpFPredicate::OEQ, maximum, e.splat(-infinity));
    return arith::SelectOp::create(e, none, e.splat(0), maximum);
  }

  void emitItem() {
    s.packQueries(s.o.query, s.getQueryOffset(), s.getQueryFactor());
    e.loop(e.index(0), e.index(s.tiles.queryBlock), e.lanes, [&](Value i) {
      e.store(e.splat(-infinity), s.maximum, i);
      e.store(e.splat(0), s.total, i);
    });
    int64_t columns = s.tiles.getPaddedDim();
    e.loop(e.index(0), e.index(s.tiles.getPaddedQueries()), 1, [&](Value i) {
      e.loop(e.index(0), e.index(columns), e.lanes, [&](Value d) { e.store(e.splat(0), s.accumulator, {i, d}); });
    });
    auto [begin, end] = s.getKeysOfQueries();
    e.loop(begin, end, s.tiles.keyBlock, [&](Value k0) { emitBlock(k0); });
    emitResults();
    if (probabilities)
      emitProbabilities();
  }

  void emitBlock(Value k0) {
    s.setKeys(k0);
    s.copyRows(s.o.key, s.g, k0, s.keyCount, s.key);
    s.copyRows(s.o.value, s.g, k0, s.keyCount, s.value);
    if (s.features.bias)
      s.loadBias();
    e.loop(e.index(0), s.getPanelCount(), 1, [&](Value panel) {
      BlockRange range = s.getVisibleKeys(panel);
      e.ifThen(e.less(range.begin, range.end), [&] { emitSoftmax(panel, range); });
      s.clearOutside(s.scores, panel, range);
    });
    e.loop(e.index(0), s.queryCount, s.tiles.rows, [&](Value row) {
      BlockRange range = s.getKeysOfRows(row);
      s.emitRowProduct(s.scores, /*byStep=*/true, s.value, s.accumulator, row, range.begin, range.end);
    });
  }

  /// scores = exp2(z - new maximum); rescales the sums and the accumulators of lanes whose maximum grew.
  void emitSoftmax(Value panel, BlockRange range) {
    int64_t vectors = s.getVectors();
    Emitter::Values largest =
        s.emitProducts(s.key, s.getPanel(s.getQueryOffset(), panel), s.scores, panel, range, true);
    largest = s.emitVisibleScores(panel, range, largest);
    if (s.features.dropout)
      s.drawDropout(panel, range);
    Emitter::Values reference, sums;
    Value grew;
    for (int64_t v = 0; v < vectors; ++v) {
      Value lane = s.lane(panel, v), before = e.load(s.maximum, lane), after = e.maxf(largest[v], before);
      reference.push_back(getReference(after));
      Value scale = emitExp2(e, e.subf(before, reference[v]), ExpRange::NonPositive);
      e.store(after, s.maximum, lane);
      e.store(scale, s.factor, lane);
      e.store(e.mulf(e.load(s.total, lane), scale), s.total, lane);
      // A first maximum has nothing to rescale.
      Value changed = arith::AndIOp::create(e, e.compareFloat(arith::CmpFPredicate::UNE, scale, e.splat(1)),
                                            e.compareFloat(arith::CmpFPredicate::UNE, before, e.splat(-infinity)));
      grew = grew ? Value(arith::OrIOp::create(e, grew, changed)) : changed;
      sums.push_back(e.splat(0));
    }
    sums = e.loop(range.begin, range.end, 1, sums, [&](Value j, ValueRange carried) {
      Emitter::Values next;
      for (int64_t v = 0; v < vectors; ++v) {
        Value at[] = {j, s.lane(panel, v)};
        Value p = emitExp2(e, e.subf(e.load(s.scores, at), reference[v]), ExpRange::NonPositive);
        next.push_back(e.addf(carried[v], p));
        e.store(s.features.dropout ? e.mulf(p, e.load(s.keep, at)) : p, s.scores, at);
      }
      return next;
    });
    for (int64_t v = 0; v < vectors; ++v) {
      Value lane = s.lane(panel, v);
      e.store(e.addf(e.load(s.total, lane), sums[v]), s.total, lane);
    }
    Value any = vector::ReductionOp::create(e, vector::CombiningKind::OR, grew);
    e.ifThen(any, [&] { emitRescale(panel); });
  }

  void emitRescale(Value panel) {
    Value first = s.lane(panel, 0), last = e.add(first, s.tiles.getPanel());
    e.loop(first, last, 1, [&](Value row) {
      Value scale = e.broadcast(e.loadScalar(s.factor, row));
      e.loop(e.index(0), e.index(s.tiles.getPaddedDim()), e.lanes, [&](Value d) {
        Value at[] = {row, d};
        e.store(e.mulf(e.load(s.accumulator, at), scale), s.accumulator, at);
      });
    });
  }

  void emitResults() {
    visitColumns(e, e.index(0), s.queryCount, [&](Value i, Value mask) {
      Value total = e.load(s.total, i), reference = getReference(e.load(s.maximum, i));
      Value none = e.compareFloat(arith::CmpFPredicate::OEQ, total, e.splat(0));
      Value logarithm = e.fma(reference, e.splat(ln2), emitLog(e, total));
      logarithm = arith::SelectOp::create(e, none, e.splat(-infinity), logarithm);
      e.store(logarithm, lse, {s.b, s.h, e.add(s.q0, i)}, mask);
      e.store(arith::SelectOp::create(e, none, e.splat(0), e.divf(e.splat(1), total)), s.factor, i);
    });
    e.loop(e.index(0), s.queryCount, 1, [&](Value row) {
      Value scale = e.broadcast(e.loadScalar(s.factor, row));
      e.columns(e.index(s.tiles.headDim), [&](Value d, Value mask) {
        Value value = e.mulf(e.load(s.accumulator, {row, d}), scale);
        e.store(value, out, {s.b, e.add(s.q0, row), s.h, d}, mask);
      });
    });
  }

  /// Probabilities are known only once lse is: scores are computed again, a block at a time. Blocks nobody sees become
  /// 0.
  void emitProbabilities() {
    e.loop(e.index(0), e.roundUp(s.queryCount, s.tiles.getPanel()), e.lanes, [&](Value i) {
      Value total = e.load(s.total, i), none = e.compareFloat(arith::CmpFPredicate::OEQ, total, e.splat(0));
      e.store(arith::SelectOp::create(e, none, e.splat(0), e.divf(e.splat(1), total)), s.factor, i);
    });
    e.loop(e.index(0), s.keys, s.tiles.keyBlock, [&](Value k0) {
      s.setKeys(k0);
      s.copyRows(s.o.key, s.g, k0, s.keyCount, s.key);
      if (s.features.bias)
        s.loadBias();
      e.loop(e.index(0), s.getPanelCount(), 1, [&](Value panel) {
        BlockRange range = s.getVisibleKeys(panel);
        Value packed = s.getPanel(s.getQueryOffset(), panel);
        (void)s.emitProducts(s.key, packed, s.scores, panel, range, false);
        (void)s.emitVisibleScores(panel, range, {});
        e.loop(range.begin, range.end, 1, [&](Value j) {
          for (int64_t v = 0; v < s.getVectors(); ++v) {
            Value at[] = {j, s.lane(panel, v)};
            Value reference = getReference(e.load(s.maximum, at[1]));
            Value p = emitExp2(e, e.subf(e.load(s.scores, at), reference), ExpRange::NonPositive);
            e.store(e.mulf(p, e.load(s.factor, at[1])), s.scores, at);
          }
        });
        s.clearOutside(s.scores, panel, range);
      });
      s.visitTransposed(s.scores, s.queryCount, s.keyCount, [&](Value row, Value column, Value vector, Value mask) {
        e.store(vector, probabilities, {s.b, s.h, e.add(s.q0, row), e.add(k0, column)}, mask);
      });
    });
  }

  AttentionScores &s;
  Emitter &e;
  Value out, lse, probabilities;
};
} // namespace

LogicalResult lowerAttention(AttentionOp op, KernelCache &kernels) {
  auto type = cast<MemRefType>(op.getQuery().getType());
  if (type.isDynamicDim(3))
    return op.emitOpError("expected a static head dim, but got ") << type;
  AttentionTiles tiles = AttentionTiles::getForward(op, kernels.getTarget());
  AttentionFeatures features = AttentionFeatures::get(op);
  auto outs = op.getOuts();
  KernelOperand operands[] = {{op.getQuery(), 3},
                              {op.getKey(), 3},
                              {op.getValue(), 3},
                              {op.getBias(), 4},
                              {op.getQuerySegments(), 2},
                              {op.getKeySegments(), 2},
                              {op.getQueryOffset(), 0},
                              {op.getSeed(), 0},
                              {outs[0], 3},
                              {outs[1], 3},
                              {op.hasProbabilities() ? outs[2] : Value(), 4}};
  return kernels.replace(
      op, "attention", getAccumulatorType(type.getElementType()), operands,
      [&](Emitter &e, ArrayRef<Value> args) {
        AttentionOperands inputs{args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7]};
        AttentionScores scores(e, kernels, getAttentionAttributes(op), inputs);
        AttentionForward(scores, args[8], args[9], args[10]).emit(tiles, features);
        return success();
      },
      getAttentionKey(tiles));
}

} // namespace bpt
