// bpt.attention_grad, without atomics or order between threads: delta, then all gradients by blocks of keys over all
// heads of the group (five products), then dbias by its own blocks. A work item owns a head's keys, or a share of them
// and then a sum of dquery of its own, which are added up at the end. Every sum has one fixed order.
#include "AttentionScores.h"
#include "Lowerings.h"
#include "RowWise.h"
#include "VectorMath.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include <limits>

using namespace mlir;

namespace bpt {

static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double log2e = 1.44269504088896340736;

namespace {
struct GradientOperands {
  Value dout, dlse, out, lse, probabilities, dquery, dkey, dvalue, dbias, workspace;
};

class AttentionBackward {
public:
  /// `addsBias`: no two steps have a part of dbias in common, so that emitGradients adds to it as it goes.
  AttentionBackward(AttentionScores &s, const GradientOperands &o, const AttentionFeatures &features, bool addsBias)
      : s(s), e(s.e), o(o), features(features), addsBias(addsBias) {
    Value count = e.mul(e.mul(s.batch, s.heads), s.queries);
    delta = e.view(o.workspace, e.index(0), {ShapedType::kDynamic}, count, e.accumulator);
    sumsOffset = e.roundUp(e.mul(count, e.accumulator.getIntOrFloatBitWidth() / 8), 64);
  }

  void emitDelta();
  /// dkey, dvalue, and dquery: the last `sums` shares of the keys sum it in the workspace.
  void emitGradients(const AttentionTiles &tiles, int64_t sums);
  void emitBiasGradient(const AttentionTiles &tiles);

private:
  void loadQueries();
  void loadKeys(Value k0);
  /// gradient = gradient of the scores of a panel; with `keepProbabilities`, scores = probabilities after dropout; with
  /// `addToSum`, sum += gradient before the derivative of the softcap, which the bias does not pass through.
  BlockRange emitPanel(Value panel, bool keepProbabilities, bool addToSum);
  /// scores = probabilities
  void emitProbabilities(Value panel, BlockRange range);
  void emitGradientTiles(Value panel, BlockRange range, bool keepProbabilities, bool addToSum);
  void clear(Value block, Value rows, int64_t columns);
  /// out[b, first + row, head, :] += factor * block[row, :]
  void addRows(Value block, Value out, Value head, Value first, Value count, double factor);
  /// dbias += a block [keys][queries] of gradients of scores, summed where dbias has one row or column. `block`: batch,
  /// head, blocks of queries and keys.
  void addBias(Value gradients, ArrayRef<Value> block);
  /// What a share of the keys adds dquery to, and times what.
  struct QuerySum {
    Value memref, factor;
  };
  /// Sum `number` of dquery in the workspace: [B, S, H, D].
  Value getQuerySum(Value number);
  QuerySum takeQuerySum(Value split, int64_t sums);
  void emitQuerySums(int64_t sums);
  /// One block of keys: its products with all queries that see it, of all heads of the group.
  void emitKeyBlock(Value k0, const QuerySum &dquery);
  void emitStep(Value head, Value q0, const QuerySum &dquery);

  AttentionScores &s;
  Emitter &e;
  GradientOperands o;
  AttentionFeatures features;
  bool addsBias;
  Value delta;      ///< [B * H * S]
  Value sumsOffset; ///< bytes of the workspace before the sums of dquery
};
} // namespace

/// delta(b,h,i) = dout . out - dlse; 0 for rows without a visible column, whose lse cotangent means nothing. One chain
/// of multiply-adds for each query, as in the products dout . value: where a row sees one key, dP - delta is exactly 0.
void AttentionBackward::emitDelta() {
  Value columns = e.dim(o.dout, 3), last = e.sub(s.queries, 1), blocks = e.ceilDiv(s.queries, e.lanes);
  e.parallel(e.mul(s.batch, blocks), [&](Value item) {
    Value b = e.div(item, blocks), i = e.mul(e.rem(item, blocks), e.lanes);
    Value mask = e.maskFirst(e.sub(s.queries, i));
    e.loop(e.index(0), s.heads, 1, [&](Value h) {
      auto loadSquare = [&](Value memref, Value d, Value columnMask) {
        SmallVector<Value> rows;
        for (int64_t r = 0; r < e.lanes; ++r)
          rows.push_back(e.load(memref, {b, e.min(e.add(i, r), last), h, d}, columnMask));
        return emitTranspose(e, rows);
      };
      Value sum = e.columns(columns, ValueRange(e.splat(0)), [&](Value d, Value columnMask, ValueRange carried) {
        SmallVector<Value> dout = loadSquare(o.dout, d, columnMask), out = loadSquare(o.out, d, columnMask);
        Value next = carried[0];
        for (int64_t r = 0; r < e.lanes; ++r)
          next = e.fma(out[r], dout[r], next);
        return Emitter::Values{next};
      })[0];
      Value position[] = {b, h, i};
      if (o.dlse)
        sum = e.subf(sum, e.load(o.dlse, position, mask));
      Value none = e.compareFloat(arith::CmpFPredicate::OEQ, e.load(o.lse, position, mask), e.splat(-infinity));
      e.store(arith::SelectOp::create(e, none, e.splat(0), sum), delta,
              e.add(e.mul(e.add(e.mul(b, s.heads), h), s.queries), i), mask);
    });
  });
}

//===-- Blocks --------------------------------------------------------------------------------------------------===//

/// Packs queries and cotangents; factor = -lse in base 2 (-inf for rows without a visible column and lanes beyond the
/// last query: their exponentials are 0).
void AttentionBackward::loadQueries() {
  s.packQueries(s.o.query, s.getQueryOffset(), s.getQueryFactor());
  s.packQueries(o.dout, s.getDoutOffset(), 1);
  Value first = e.mul(e.add(e.mul(s.b, s.heads), s.h), s.queries);
  visitColumns(e, e.index(0), s.queryCount, [&](Value i, Value mask) {
    Value row = e.add(s.q0, i), lse = e.load(o.lse, {s.b, s.h, row}, mask), none = e.splat(-infinity);
    Value isNone = e.compareFloat(arith::CmpFPredicate::OEQ, lse, none);
    Value minusLse = arith::SelectOp::create(e, isNone, lse, e.mulf(lse, e.splat(-log2e)));
    if (mask)
      minusLse = arith::SelectOp::create(e, mask, minusLse, none);
    e.store(minusLse, s.factor, i);
    e.store(e.load(delta, e.add(first, row), mask), s.total, i);
  });
  Value end = e.mul(s.getPanelCount(), s.tiles.getPanel());
  e.loop(e.roundUp(s.queryCount, e.lanes), end, e.lanes, [&](Value i) {
    e.store(e.splat(-infinity), s.factor, i);
    e.store(e.splat(0), s.total, i);
  });
}

void AttentionBackward::loadKeys(Value k0) {
  s.setKeys(k0);
  s.packKeys(/*forGradient=*/true);
}

void AttentionBackward::clear(Value block, Value rows, int64_t columns) {
  e.loop(e.index(0), rows, 1, [&](Value row) {
    e.loop(e.index(0), e.index(columns), e.lanes, [&](Value column) { e.store(e.splat(0), block, {row, column}); });
  });
}

void AttentionBackward::addRows(Value block, Value out, Value head, Value first, Value count, double factor) {
  e.loop(e.index(0), count, 1, [&](Value row) {
    e.columns(e.index(s.tiles.headDim), [&](Value d, Value mask) {
      Value at[] = {s.b, e.add(first, row), head, d};
      e.store(e.fma(e.load(block, {row, d}), e.splat(factor), e.load(out, at, mask)), out, at, mask);
    });
  });
}

BlockRange AttentionBackward::emitPanel(Value panel, bool keepProbabilities, bool addToSum) {
  BlockRange range = s.getVisibleKeys(panel);
  e.ifThen(e.less(range.begin, range.end), [&] {
    if (!features.probabilities)
      emitProbabilities(panel, range);
    if (features.dropout)
      s.drawDropout(panel, range);
    emitGradientTiles(panel, range, keepProbabilities, addToSum);
  });
  return range;
}

void AttentionBackward::emitProbabilities(Value panel, BlockRange range) {
  Emitter::Values minusLse;
  for (int64_t v = 0; v < s.getVectors(); ++v)
    minusLse.push_back(e.load(s.factor, s.lane(panel, v)));
  (void)s.emitScores(panel, range, {}, [&](Value row, ValueRange z, ValueRange) {
    s.visitTile(panel, row, [&](int64_t i, int64_t v, ValueRange at) {
      e.store(emitExp2(e, e.addf(z[i], minusLse[v]), ExpRange::Saturating), s.scores, at);
    });
    return Emitter::Values();
  });
}

void AttentionBackward::emitGradientTiles(Value panel, BlockRange range, bool keepProbabilities, bool addToSum) {
  Value dout = s.getPanel(s.getDoutOffset(), panel);
  (void)s.emitProducts(s.value, dout, range, {}, [&](Value row, ValueRange tile, ValueRange) {
    s.visitTile(panel, row, [&](int64_t i, int64_t v, ValueRange at) {
      // dP starts at 0, not at -delta: where a row sees one key, the difference is exactly 0.
      Value dp = tile[i], delta = e.load(s.total, s.lane(panel, v)), p = e.load(s.scores, at);
      Value kept = features.dropout ? e.load(s.keep, at) : Value();
      if (kept)
        dp = e.mulf(dp, kept);
      Value dz = e.mulf(p, e.subf(dp, delta));
      if (addToSum) {
        // Lanes beyond the last query hold anything; in the sum they are lanes of other blocks.
        Value present = e.maskFirst(e.max(e.sub(s.queryCount, s.lane(panel, v)), 0)), before = e.load(s.sum, at);
        e.store(arith::SelectOp::create(e, present, e.addf(before, dz), before), s.sum, at);
      }
      if (keepProbabilities && kept)
        e.store(e.mulf(p, kept), s.scores, at);
      if (features.softcap)
        dz = e.mulf(dz, e.load(s.softcap, at));
      e.store(dz, s.gradient, at);
    });
    return Emitter::Values();
  });
}

//===-- Passes --------------------------------------------------------------------------------------------------===//

Value AttentionBackward::getQuerySum(Value number) {
  int64_t columns = s.tiles.headDim, bytes = e.accumulator.getIntOrFloatBitWidth() / 8;
  Value size = e.mul(e.mul(e.mul(s.batch, s.queries), s.heads), columns * bytes);
  return e.view(o.workspace, e.add(sumsOffset, e.mul(number, size)),
                {ShapedType::kDynamic, ShapedType::kDynamic, ShapedType::kDynamic, columns},
                {s.batch, s.queries, s.heads}, e.accumulator);
}

/// The sum of a share of the keys, zero for the heads of this item.
AttentionBackward::QuerySum AttentionBackward::takeQuerySum(Value split, int64_t sums) {
  Value scale = e.scalar(s.attributes.scale), one = e.scalar(1);
  if (sums == 0)
    return {o.dquery, scale};
  bool addsAtOnce = sums < s.tiles.splits;
  Value isFirst = addsAtOnce ? e.equal(split, e.index(0)) : e.bit(false);
  Value sum = getQuerySum(addsAtOnce ? e.sub(e.max(split, 1), 1) : split);
  auto clear = [&] {
    e.loop(e.index(0), s.queries, 1, [&](Value row) {
      e.loop(s.h, e.add(s.h, e.div(s.heads, s.groups)), 1, [&](Value head) {
        e.columns(e.index(s.tiles.headDim),
                  [&](Value d, Value mask) { e.store(e.splat(0), sum, {s.b, row, head, d}, mask); });
      });
    });
  };
  e.ifThen(isFirst, [] {}, clear);
  if (!addsAtOnce)
    return {sum, one};
  constexpr int64_t any = ShapedType::kDynamic;
  auto layout = StridedLayoutAttr::get(e.getContext(), any, {any, any, any, 1});
  auto type = MemRefType::get({any, any, any, s.tiles.headDim}, e.accumulator, layout);
  auto cast = [&](Value memref) { return memref::CastOp::create(e, type, memref).getResult(); };
  return {e.select(isFirst, cast(o.dquery), cast(sum)), e.select(isFirst, scale, one)};
}

void AttentionBackward::emitGradients(const AttentionTiles &tiles, int64_t sums) {
  AttentionScratch layout = AttentionScratch::getGradient(tiles, features);
  s.tiles = tiles;
  Value planes = e.mul(s.batch, s.groups);
  // Of the keys that any query sees.
  auto [visible, end] = s.getKeysOfAllQueries();
  Value blocks = e.ceilDiv(e.sub(e.max(end, visible), visible), tiles.keyBlock);
  Value share = e.mul(e.ceilDiv(blocks, tiles.splits), tiles.keyBlock);
  e.parallel(e.mul(planes, tiles.splits), [&, visible = visible, end = end](Value item) {
    s.takeScratch(tiles, features, layout);
    // The first keys are seen by the most queries under a causal mask: long items first.
    Value plane = e.rem(item, planes), split = e.div(item, planes), heads = e.div(s.heads, s.groups);
    s.setHead(e.div(plane, s.groups), e.mul(e.rem(plane, s.groups), heads));
    QuerySum dquery = takeQuerySum(split, sums);
    Value begin = e.add(visible, e.mul(split, share));
    e.loop(begin, e.min(e.add(begin, share), end), tiles.keyBlock, [&](Value k0) { emitKeyBlock(k0, dquery); });
  });
  if (sums)
    emitQuerySums(sums);
}

void AttentionBackward::emitKeyBlock(Value k0, const QuerySum &dquery) {
  Value first = s.h, heads = e.div(s.heads, s.groups);
  loadKeys(k0);
  clear(s.dkey, s.keyCount, s.tiles.getPaddedDim());
  clear(s.dvalue, s.keyCount, s.tiles.getPaddedDim());
  auto [begin, end] = s.getQueriesOfKeys();
  e.loop(first, e.add(first, heads), 1, [&, begin = begin, end = end](Value head) {
    e.loop(begin, end, s.tiles.queryBlock, [&](Value q0) { emitStep(head, q0, dquery); });
  });
  s.h = first;
  addRows(s.dkey, o.dkey, s.g, k0, s.keyCount, s.attributes.scale);
  addRows(s.dvalue, o.dvalue, s.g, k0, s.keyCount, 1);
}

void AttentionBackward::emitStep(Value head, Value q0, const QuerySum &dquery) {
  s.h = head;
  s.setQueries(e.div(q0, s.tiles.queryBlock));
  loadQueries();
  s.packQueryRows(s.o.query, s.queryRows);
  s.packQueryRows(o.dout, s.doutRows);
  if (features.bias)
    s.loadBias();
  if (features.probabilities) {
    if (s.tiles.isMatrix) // lanes beyond the last query are part of products
      clear(s.scores, s.keyCount, s.tiles.getScoreLength());
    s.loadTransposed(getMatrix(e, o.probabilities, {s.b, head}, 2), q0, s.queryCount, s.k0, s.keyCount, s.scores);
  }
  e.loop(e.index(0), s.getPanelCount(), 1, [&](Value panel) {
    BlockRange range = emitPanel(panel, true, false);
    s.clearOutside(s.scores, panel, range);
    s.clearOutside(s.gradient, panel, range);
  });
  if (addsBias) {
    auto type = cast<MemRefType>(o.dbias.getType());
    addBias(s.gradient, {type.getDimSize(0) == 1 ? e.index(0) : s.b, type.getDimSize(1) == 1 ? e.index(0) : head,
                         e.div(q0, s.tiles.queryBlock), e.div(s.k0, s.tiles.keyBlock)});
  }
  // What comes next: the sums of these queries, and the next block of queries.
  int64_t count = s.tiles.queryBlock;
  Value next = e.add(q0, count);
  s.addQueryProducts({{s.scores, s.doutRows, s.dvalue}, {s.gradient, s.queryRows, s.dkey}},
                     {s.getFetch(dquery.memref, head, q0, count), s.getFetch(s.o.query, head, next, count),
                      s.getFetch(o.dout, head, next, count)});
  s.addKeyProducts(s.gradient, s.tiles.isMatrix ? s.keyColumns : s.key, /*overwrite=*/true);
  s.visitAccumulator([&](Value row, Value d, Value vector, Value mask) {
    Value at[] = {s.b, e.add(q0, row), head, d};
    e.store(e.fma(vector, e.broadcast(dquery.factor), e.load(dquery.memref, at, mask)), dquery.memref, at, mask);
  });
}

/// dquery += scale * (sums of the shares, in their order).
void AttentionBackward::emitQuerySums(int64_t sums) {
  Value rows = e.mul(s.batch, s.queries);
  parallelRows(e, rows, e.mul(s.heads, s.tiles.headDim), [&](Value row) {
    Value b = e.div(row, s.queries), i = e.rem(row, s.queries);
    SmallVector<Value> terms;
    for (int64_t number = 0; number < sums; ++number)
      terms.push_back(getQuerySum(e.index(number)));
    e.loop(e.index(0), s.heads, 1, [&](Value head) {
      e.columns(e.index(s.tiles.headDim), [&](Value d, Value mask) {
        Value at[] = {b, i, head, d}, total = e.load(terms[0], at, mask);
        for (Value sum : ArrayRef(terms).drop_front())
          total = e.addf(total, e.load(sum, at, mask));
        e.store(e.fma(total, e.splat(s.attributes.scale), e.load(o.dquery, at, mask)), o.dquery, at, mask);
      });
    });
  });
}

/// Items are the blocks of dbias; each goes over everything its broadcast dims stand for, in order.
void AttentionBackward::emitBiasGradient(const AttentionTiles &tiles) {
  AttentionScratch layout = AttentionScratch::getBiasGradient(tiles, features);
  s.tiles = tiles;
  auto type = cast<MemRefType>(o.dbias.getType());
  // Items of each dim, and what an item visits of it.
  const Value all[] = {s.batch, s.heads, s.getQueryBlocks(), s.getKeyBlocks()};
  Value items[4];
  for (int64_t dim = 0; dim < 4; ++dim)
    items[dim] = type.getDimSize(dim) == 1 ? e.index(1) : all[dim];
  Value count = e.mul(e.mul(items[0], items[1]), e.mul(items[2], items[3]));
  e.parallel(count, [&](Value item) {
    s.takeScratch(tiles, features, layout);
    Value begin[4], end[4];
    for (int64_t dim = 3; dim >= 0; --dim) {
      bool one = type.getDimSize(dim) == 1;
      begin[dim] = one ? e.index(0) : e.rem(item, items[dim]);
      end[dim] = one ? all[dim] : e.add(begin[dim], 1);
      if (!one)
        item = e.div(item, items[dim]);
    }
    clear(s.sum, e.index(tiles.keyBlock), tiles.getScoreLength());
    e.loop(begin[0], end[0], 1, [&](Value b) {
      e.loop(begin[1], end[1], 1, [&](Value h) {
        e.loop(begin[2], end[2], 1, [&](Value qBlock) {
          s.setHead(b, h);
          s.setQueries(qBlock);
          loadQueries();
          e.loop(begin[3], end[3], 1, [&](Value kBlock) {
            loadKeys(e.mul(kBlock, tiles.keyBlock));
            s.loadBias();
            if (features.probabilities)
              s.loadTransposed(getMatrix(e, o.probabilities, {b, h}, 2), s.q0, s.queryCount, s.k0, s.keyCount,
                               s.scores);
            e.loop(e.index(0), s.getPanelCount(), 1, [&](Value panel) { (void)emitPanel(panel, false, true); });
          });
        });
      });
    });
    addBias(s.sum, begin);
  });
}

void AttentionBackward::addBias(Value gradients, ArrayRef<Value> block) {
  auto type = cast<MemRefType>(o.dbias.getType());
  Value matrix = getMatrix(e, o.dbias, {block[0], block[1]}, 2);
  Value i0 = e.mul(block[2], s.tiles.queryBlock), j0 = e.mul(block[3], s.tiles.keyBlock);
  Value rows = e.min(e.sub(s.queries, i0), s.tiles.queryBlock), columns = e.min(e.sub(s.keys, j0), s.tiles.keyBlock);
  auto addScalar = [&](Value term, Value i, Value j) {
    e.storeScalar(e.addf(e.loadScalar(matrix, {i, j}), term), matrix, {i, j});
  };
  bool oneRow = type.getDimSize(2) == 1, oneColumn = type.getDimSize(3) == 1;
  if (!oneRow && !oneColumn)
    return s.visitTransposed(gradients, rows, columns, [&](Value i, Value j, Value vector, Value mask) {
      Value at[] = {e.add(i0, i), e.add(j0, j)};
      e.store(e.addf(e.load(matrix, at, mask), vector), matrix, at, mask);
    });
  if (!oneRow) {
    e.loop(e.index(0), rows, e.lanes, [&](Value i) {
      Value total = e.loop(e.index(0), columns, 1, ValueRange(e.splat(0)), [&](Value j, ValueRange carried) {
        return Emitter::Values{e.addf(carried[0], e.load(gradients, {j, i}))};
      })[0];
      e.store(total, s.factor, i);
    });
    return e.loop(e.index(0), rows, 1,
                  [&](Value i) { addScalar(e.loadScalar(s.factor, i), e.add(i0, i), e.index(0)); });
  }
  auto sumRow = [&](Value j) {
    return e.sumLanes(e.loop(e.index(0), rows, e.lanes, ValueRange(e.splat(0)), [&](Value i, ValueRange carried) {
      return Emitter::Values{e.addf(carried[0], e.load(gradients, {j, i}))};
    })[0]);
  };
  if (!oneColumn)
    return e.loop(e.index(0), columns, 1, [&](Value j) { addScalar(sumRow(j), e.index(0), e.add(j0, j)); });
  Value total = e.loop(e.index(0), columns, 1, ValueRange(e.scalar(0)),
                       [&](Value j, ValueRange carried) { return Emitter::Values{e.addf(carried[0], sumRow(j))}; })[0];
  addScalar(total, e.index(0), e.index(0));
}

/// Whether each element of dbias belongs to one pair of query and key, and is the gradient of the scores as the other
/// gradients need it.
static bool isElementwiseBias(AttentionGradOp op, const AttentionFeatures &features) {
  if (!features.bias || features.softcap)
    return false;
  auto bias = cast<MemRefType>(op.getBias().getType()), query = cast<MemRefType>(op.getQuery().getType());
  auto isShared = [&](int64_t dim, int64_t queryDim) {
    return bias.getDimSize(dim) == 1 && query.getDimSize(queryDim) != 1;
  };
  return !isShared(0, 0) && !isShared(1, 2) && bias.getDimSize(2) != 1 && bias.getDimSize(3) != 1;
}

LogicalResult lowerAttentionGrad(AttentionGradOp op, KernelCache &kernels) {
  auto type = cast<MemRefType>(op.getQuery().getType());
  if (type.isDynamicDim(3))
    return op.emitOpError("expected a static head dim, but got ") << type;
  if (!op.getWorkspace())
    return op.emitOpError("expected a workspace; run bpt-tile-blocks first");
  AttentionTiles tiles = AttentionTiles::getGradient(op, kernels.getTarget());
  AttentionTiles biasTiles = AttentionTiles::getBiasGradient(op, kernels.getTarget());
  AttentionFeatures features = AttentionFeatures::get(op);
  bool addsBias = isElementwiseBias(op, features);
  auto outs = op.getOuts();
  Value bias = op.getBias();
  KernelOperand operands[] = {{op.getQuery(), 3},
                              {op.getKey(), 3},
                              {op.getValue(), 3},
                              {bias, 4},
                              {op.getQuerySegments(), 2},
                              {op.getKeySegments(), 2},
                              {op.getQueryOffset(), 0},
                              {op.getSeed(), 0},
                              {op.getDout(), 3},
                              {op.getDlse(), 3},
                              {op.getOut(), 3},
                              {op.getLse(), 3},
                              {features.probabilities ? op.getProbabilities() : Value(), 4},
                              {outs[0], 3},
                              {outs[1], 3},
                              {outs[2], 3},
                              {bias ? outs[3] : Value(), 4},
                              {op.getWorkspace(), 1}};
  return kernels.replace(
      op, "attention_grad", getAccumulatorType(type.getElementType()), operands,
      [&](Emitter &e, ArrayRef<Value> args) {
        AttentionOperands inputs{args[0], args[1], args[2], args[3], args[4], args[5], args[6], args[7]};
        GradientOperands gradients{args[8],  args[9],  args[10], args[11], args[12],
                                   args[13], args[14], args[15], args[16], args[17]};
        AttentionScores scores(e, kernels, getAttentionAttributes(op), inputs);
        AttentionBackward backward(scores, gradients, features, addsBias);
        backward.emitDelta();
        backward.emitGradients(tiles, getQuerySums(op, tiles));
        if (features.bias && !addsBias)
          backward.emitBiasGradient(biasTiles);
        return success();
      },
      getAttentionKey({tiles, biasTiles}) + (addsBias ? "elementwise bias" : ""));
}

} // namespace bpt
