// bpt.attention: online softmax over blocks of keys, one work item for each head and block of queries; for a short
// query several, each with a share of the keys, whose sums are put together at the end.
#include "AttentionScores.h"
#include "Chunks.h"
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
/// Sums of exponentials of a block above this get a new reference.
static constexpr double largestSum = 1LL << 40;

namespace {
class AttentionForward {
public:
  AttentionForward(AttentionScores &s, Value out, Value lse, Value probabilities, Value workspace)
      : s(s), e(s.e), out(out), lse(lse), probabilities(probabilities), workspace(workspace) {}

  void emit(const AttentionTiles &tiles, const AttentionFeatures &features) {
    AttentionScratch layout = AttentionScratch::getForward(tiles, features);
    s.tiles = tiles;
    Value blocks = s.getQueryBlocks(), planes = e.mul(s.batch, s.heads);
    if (tiles.splits > 1)
      takeSums(e.mul(planes, s.queries));
    e.parallel(e.mul(blocks, e.mul(planes, tiles.splits)), [&](Value item) {
      s.takeScratch(tiles, features, layout);
      // The last queries see the most keys under a causal mask: long items first.
      Value plane = e.rem(item, planes), rest = e.div(item, planes);
      Value split = e.rem(rest, e.index(tiles.splits)), block = e.sub(e.sub(blocks, 1), e.div(rest, tiles.splits));
      s.setHead(e.div(plane, s.heads), e.rem(plane, s.heads));
      s.setQueries(block);
      emitItem(split);
    });
    if (tiles.splits > 1)
      emitCombination(e.mul(planes, s.queries));
  }

private:
  /// References of the exponentials: 0 for rows that have seen no key, so that nothing is subtracted from -inf.
  Value getReference(Value maximum) {
    Value none = e.compareFloat(arith::CmpFPredicate::OEQ, maximum, e.splat(-infinity));
    return arith::SelectOp::create(e, none, e.splat(0), maximum);
  }

  /// The sums of all shares: rows of [splits][B,H,S].
  void takeSums(Value rows) {
    WorkspaceSections sections(e, workspace);
    Value all = e.mul(rows, s.tiles.splits);
    sums = sections.take(all, e.index(s.tiles.headDim), e.accumulator);
    maxima = sections.take(e.index(1), all, e.accumulator);
    totals = sections.take(e.index(1), all, e.accumulator);
  }

  void emitItem(Value split) {
    s.packQueries(s.o.query, s.getQueryOffset(), s.getQueryFactor());
    e.loop(e.index(0), e.index(s.tiles.queryBlock), e.lanes, [&](Value i) {
      e.store(e.splat(-infinity), s.maximum, i);
      e.store(e.splat(0), s.total, i);
    });
    s.clearAccumulator();
    auto [begin, end] = s.getKeysOfQueries();
    if (s.tiles.splits > 1) {
      Value steps = e.ceilDiv(e.sub(e.max(end, begin), begin), s.tiles.keyBlock);
      Value share = e.mul(e.ceilDiv(steps, s.tiles.splits), s.tiles.keyBlock),
            first = e.add(begin, e.mul(split, share));
      e.loop(first, e.min(e.add(first, share), end), s.tiles.keyBlock, [&](Value k0) { emitBlock(k0); });
      return emitSums(split);
    }
    e.loop(begin, end, s.tiles.keyBlock, [&](Value k0) { emitBlock(k0); });
    emitResults();
    if (probabilities)
      emitProbabilities();
  }

  void emitBlock(Value k0) {
    s.setKeys(k0);
    s.packKeys(/*forGradient=*/false);
    if (s.features.bias)
      s.loadBias();
    e.loop(e.index(0), s.getPanelCount(), 1, [&](Value panel) {
      BlockRange range = s.getVisibleKeys(panel);
      e.ifThen(e.less(range.begin, range.end), [&] { emitSoftmax(panel, range); });
      s.clearOutside(s.scores, panel, range);
    });
    s.addKeyProducts(s.scores, s.value);
  }

  /// scores = exp2(z - reference), and their sums. The reference stays what it is as long as sums of a block are within
  /// bounds: no more than one pass, in registers.
  void emitSoftmax(Value panel, BlockRange range) {
    if (s.features.dropout)
      s.drawDropout(panel, range);
    int64_t vectors = s.getVectors();
    Emitter::Values reference, zeros(vectors, e.splat(0));
    Value isKnown;
    for (int64_t v = 0; v < vectors; ++v) {
      reference.push_back(e.load(s.maximum, s.lane(panel, v)));
      isKnown = all(isKnown, e.compareFloat(arith::CmpFPredicate::OGT, reference[v], e.splat(-infinity)));
    }
    Emitter::Values done = e.choose(
        holds(isKnown),
        [&] {
          auto exponentiate = [&](Value row, ValueRange z, ValueRange sums) {
            return emitExponentials(panel, row, z, reference, sums);
          };
          Emitter::Values sums =
              s.emitScores(panel, range, zeros, exponentiate, [&](Value row) { return getNextKeys(panel, row); });
          Value isBounded;
          for (int64_t v = 0; v < vectors; ++v)
            isBounded = all(isBounded, e.compareFloat(arith::CmpFPredicate::OLT, sums[v], e.splat(largestSum)));
          Value bounded = holds(isBounded);
          e.ifThen(bounded, [&] { addSums(panel, sums); });
          return Emitter::Values{bounded};
        },
        [&] { return Emitter::Values{arith::ConstantIntOp::create(e, 0, 1)}; });
    e.ifThen(done[0], [] {}, [&] { emitNewReference(panel, range); });
  }

  /// The share of a tile of the next block of keys and values.
  SmallVector<TileFetch> getNextKeys(Value panel, Value row) {
    Value tiles = e.ceilDiv(s.keyCount, s.tiles.rows);
    Value number = e.add(e.mul(panel, tiles), e.div(row, s.tiles.rows)), shares = e.mul(s.getPanelCount(), tiles);
    Value next = e.add(s.k0, s.tiles.keyBlock);
    SmallVector<TileFetch> fetches;
    for (Value memref : {s.o.key, s.o.value})
      fetches.emplace_back(e, s.getFetch(memref, s.g, next, s.tiles.keyBlock), number, shares);
    return fetches;
  }

  Value all(Value a, Value b) { return a ? Value(arith::AndIOp::create(e, a, b)) : b; }
  Value holds(Value lanes) { return vector::ReductionOp::create(e, vector::CombiningKind::AND, lanes); }

  /// scores = exp2(z - reference), times the dropout factors; returns the sums with them added.
  Emitter::Values emitExponentials(Value panel, Value row, ValueRange z, ValueRange reference, ValueRange sums) {
    Emitter::Values next(sums);
    s.visitTile(panel, row, [&](int64_t i, int64_t v, ValueRange at) {
      Value p = emitExp2(e, e.subf(z[i], reference[v]), ExpRange::Saturating);
      next[v] = e.addf(next[v], p);
      e.store(s.features.dropout ? e.mulf(p, e.load(s.keep, at)) : p, s.scores, at);
    });
    return next;
  }

  void addSums(Value panel, ValueRange sums) {
    for (int64_t v = 0; v < s.getVectors(); ++v) {
      Value lane = s.lane(panel, v);
      e.store(e.addf(e.load(s.total, lane), sums[v]), s.total, lane);
    }
  }

  /// The same with the largest score so far as the reference: rescales what was summed with another one. Where keys are
  /// first seen, and where scores have grown a lot.
  void emitNewReference(Value panel, BlockRange range) {
    int64_t vectors = s.getVectors(), rows = s.tiles.rows;
    Emitter::Values none(vectors, e.splat(-infinity)), reference, sums(vectors, e.splat(0));
    Emitter::Values largest = s.emitScores(panel, range, none, [&](Value row, ValueRange z, ValueRange carried) {
      Emitter::Values next(carried);
      s.visitTile(panel, row, [&](int64_t i, int64_t v, ValueRange at) {
        if (!s.tiles.isMatrix)
          e.store(z[i], s.scores, at);
        next[v] = e.maxf(z[i], next[v]);
      });
      return next;
    });
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
    }
    auto exponentiate = [&](Value row, ValueRange z, ValueRange carried) {
      return emitExponentials(panel, row, z, reference, carried);
    };
    if (s.tiles.isMatrix) // the block of scores is too narrow to keep them
      sums = s.emitScores(panel, range, sums, exponentiate);
    else
      sums = e.loop(range.begin, range.end, rows, sums, [&](Value row, ValueRange carried) {
        Emitter::Values z;
        s.visitTile(panel, row, [&](int64_t, int64_t, ValueRange at) { z.push_back(e.load(s.scores, at)); });
        return exponentiate(row, z, carried);
      });
    addSums(panel, sums);
    Value any = vector::ReductionOp::create(e, vector::CombiningKind::OR, grew);
    e.ifThen(any, [&] { s.scaleAccumulator(panel); });
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
    s.visitAccumulator([&](Value row, Value d, Value vector, Value mask) {
      Value scale = e.broadcast(e.loadScalar(s.factor, row));
      e.store(e.mulf(vector, scale), out, {s.b, e.add(s.q0, row), s.h, d}, mask);
    });
  }

  /// Row of query `i` of the block among all rows [B,H,S].
  Value getRow(Value i) { return e.add(e.mul(e.add(e.mul(s.b, s.heads), s.h), s.queries), e.add(s.q0, i)); }

  /// What this share of the keys gives: sums not yet divided, their reference and the sum of exponentials.
  void emitSums(Value split) {
    Value first = e.add(e.mul(split, e.mul(e.mul(s.batch, s.heads), s.queries)), getRow(e.index(0)));
    visitColumns(e, e.index(0), s.queryCount, [&](Value i, Value mask) {
      e.store(e.load(s.maximum, i), maxima, {e.index(0), e.add(first, i)}, mask);
      e.store(e.load(s.total, i), totals, {e.index(0), e.add(first, i)}, mask);
    });
    s.visitAccumulator([&](Value row, Value d, Value vector, Value mask) {
      e.store(vector, sums, {e.add(first, row), d}, mask);
    });
  }

  /// Out and lse from the sums of all shares, in their order.
  void emitCombination(Value rows) {
    int64_t together = 8, splits = s.tiles.splits;
    e.parallel(e.ceilDiv(rows, together), [&](Value item) {
      Value begin = e.mul(item, together);
      e.loop(begin, e.min(e.add(begin, together), rows), 1, [&](Value row) {
        auto position = [&](int64_t split) { return e.add(row, e.mul(rows, split)); };
        SmallVector<Value> scales;
        Value largest = e.scalar(-infinity), total = e.scalar(0);
        for (int64_t i = 0; i < splits; ++i)
          largest = e.maxf(e.loadScalar(maxima, {e.index(0), position(i)}), largest);
        Value none = e.compareFloat(arith::CmpFPredicate::OEQ, largest, e.scalar(-infinity));
        Value reference = arith::SelectOp::create(e, none, e.scalar(0), largest);
        for (int64_t i = 0; i < splits; ++i) {
          Value difference = e.subf(e.loadScalar(maxima, {e.index(0), position(i)}), reference);
          scales.push_back(emitExp2(e, difference, ExpRange::NonPositive));
          total = e.fma(e.loadScalar(totals, {e.index(0), position(i)}), scales.back(), total);
        }
        Value empty = e.compareFloat(arith::CmpFPredicate::OEQ, total, e.scalar(0));
        Value inverse = arith::SelectOp::create(e, empty, e.scalar(0), e.divf(e.scalar(1), total));
        Value query = e.rem(row, s.queries), plane = e.div(row, s.queries);
        Value b = e.div(plane, s.heads), h = e.rem(plane, s.heads);
        Value logarithm = e.fma(reference, e.scalar(ln2), emitLog(e, total));
        e.storeScalar(arith::SelectOp::create(e, empty, e.scalar(-infinity), logarithm), lse, {b, h, query});
        e.columns(e.index(s.tiles.headDim), [&](Value d, Value mask) {
          Value sum = e.splat(0);
          for (int64_t i = 0; i < splits; ++i)
            sum = e.fma(e.load(sums, {position(i), d}, mask), e.broadcast(scales[i]), sum);
          e.store(e.mulf(sum, e.broadcast(inverse)), out, {b, query, h, d}, mask);
        });
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
      s.packKeys(/*forGradient=*/false);
      if (s.features.bias)
        s.loadBias();
      e.loop(e.index(0), s.getPanelCount(), 1, [&](Value panel) {
        BlockRange range = s.getVisibleKeys(panel);
        (void)s.emitScores(panel, range, {}, [&](Value row, ValueRange z, ValueRange) {
          s.visitTile(panel, row, [&](int64_t i, int64_t v, ValueRange at) {
            Value lane = s.lane(panel, v), reference = getReference(e.load(s.maximum, lane));
            Value p = emitExp2(e, e.subf(z[i], reference), ExpRange::Saturating);
            e.store(e.mulf(p, e.load(s.factor, lane)), s.scores, at);
          });
          return Emitter::Values();
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
  Value out, lse, probabilities, workspace;
  Value sums, maxima, totals; ///< in the workspace, where keys are shared
};
} // namespace

LogicalResult lowerAttention(AttentionOp op, KernelCache &kernels) {
  auto type = cast<MemRefType>(op.getQuery().getType());
  if (type.isDynamicDim(3))
    return op.emitOpError("expected a static head dim, but got ") << type;
  AttentionTiles tiles = AttentionTiles::getForward(op, kernels.getTarget());
  if (tiles.splits > 1 && !op.getWorkspace())
    return op.emitOpError("expected a workspace; run bpt-tile-blocks before bufferization");
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
                              {op.hasProbabilities() ? outs[2] : Value(), 4},
                              {op.getWorkspace(), 1}};
  return kernels.replace(
      op, "attention", getAccumulatorType(type.getElementType()), operands,
      [&](Emitter &e, ArrayRef<Value> args) {
        AttentionOperands inputs{args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7]};
        AttentionScores scores(e, kernels, getAttentionAttributes(op), inputs);
        AttentionForward(scores, args[8], args[9], args[10], args[11]).emit(tiles, features);
        return success();
      },
      getAttentionKey(tiles));
}

} // namespace bpt
