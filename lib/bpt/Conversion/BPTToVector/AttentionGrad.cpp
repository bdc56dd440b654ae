// bpt.attention_grad, without atomics or order between threads: delta, then dquery by blocks of queries, then dkey and
// dvalue by blocks of keys over all heads of the group, then dbias by its own blocks. Every sum has one fixed order.
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
  AttentionBackward(AttentionScores &s, const GradientOperands &o, const AttentionFeatures &features)
      : s(s), e(s.e), o(o), features(features) {
    Value count = e.mul(e.mul(s.batch, s.heads), s.queries);
    delta = e.view(o.workspace, e.index(0), {ShapedType::kDynamic}, count, e.accumulator);
  }

  void emitDelta();
  void emitQueryPass(const AttentionTiles &tiles);
  void emitKeyPass(const AttentionTiles &tiles);
  void emitBiasPass(const AttentionTiles &tiles);

private:
  void loadQueries();
  void loadKeys(Value k0);
  /// gradient = gradient of the scores of a panel; with `keepProbabilities`, scores = probabilities after dropout; with
  /// `addToSum`, sum += gradient before the derivative of the softcap, which the bias does not pass through.
  BlockRange emitPanel(Value panel, bool keepProbabilities, bool addToSum);
  void emitGradientRows(Value panel, BlockRange range, bool keepProbabilities, bool addToSum);
  void clear(Value block, Value rows, int64_t columns);
  /// out[b, first + row, head, :] += factor * block[row, :]
  void addRows(Value block, Value out, Value head, Value first, Value count, double factor);
  /// dbias += sum, over its lanes and rows where dbias has one row or column. `block`: batch, head, blocks of queries
  /// and keys.
  void addBias(ArrayRef<Value> block);

  AttentionScores &s;
  Emitter &e;
  GradientOperands o;
  AttentionFeatures features;
  Value delta; ///< [B * H * S]
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

/// Packs queries and cotangents; factor = -lse in base 2 (-inf for rows without a visible column: their exponentials
/// are 0).
void AttentionBackward::loadQueries() {
  s.packQueries(s.o.query, s.getQueryOffset(), s.getQueryFactor());
  s.packQueries(o.dout, s.getDoutOffset(), 1);
  Value first = e.mul(e.add(e.mul(s.b, s.heads), s.h), s.queries);
  visitColumns(e, e.index(0), s.queryCount, [&](Value i, Value mask) {
    Value row = e.add(s.q0, i), lse = e.load(o.lse, {s.b, s.h, row}, mask);
    Value none = e.compareFloat(arith::CmpFPredicate::OEQ, lse, e.splat(-infinity));
    e.store(arith::SelectOp::create(e, none, lse, e.mulf(lse, e.splat(-log2e))), s.factor, i);
    e.store(e.load(delta, e.add(first, row), mask), s.total, i);
  });
}

void AttentionBackward::loadKeys(Value k0) {
  s.setKeys(k0);
  s.copyRows(s.o.key, s.g, k0, s.keyCount, s.key);
  s.copyRows(s.o.value, s.g, k0, s.keyCount, s.value);
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
    if (!features.probabilities) {
      (void)s.emitProducts(s.key, s.getPanel(s.getQueryOffset(), panel), s.scores, panel, range, false);
      (void)s.emitVisibleScores(panel, range, {});
    }
    if (features.dropout)
      s.drawDropout(panel, range);
    (void)s.emitProducts(s.value, s.getPanel(s.getDoutOffset(), panel), s.gradient, panel, range, false);
    emitGradientRows(panel, range, keepProbabilities, addToSum);
  });
  return range;
}

void AttentionBackward::emitGradientRows(Value panel, BlockRange range, bool keepProbabilities, bool addToSum) {
  int64_t vectors = s.getVectors();
  Emitter::Values minusLse, deltas, present;
  for (int64_t v = 0; v < vectors; ++v) {
    minusLse.push_back(e.load(s.factor, s.lane(panel, v)));
    deltas.push_back(e.load(s.total, s.lane(panel, v)));
    // Lanes beyond the last query hold anything; in the sum they are lanes of other blocks.
    if (addToSum)
      present.push_back(e.maskFirst(e.max(e.sub(s.queryCount, s.lane(panel, v)), 0)));
  }
  e.loop(range.begin, range.end, 1, [&](Value j) {
    for (int64_t v = 0; v < vectors; ++v) {
      Value at[] = {j, s.lane(panel, v)};
      Value p = e.load(s.scores, at), dp = e.load(s.gradient, at);
      if (!features.probabilities)
        p = emitExp2(e, e.addf(p, minusLse[v]));
      Value kept = features.dropout ? e.load(s.keep, at) : Value();
      if (kept)
        dp = e.mulf(dp, kept);
      Value dz = e.mulf(p, e.subf(dp, deltas[v]));
      if (addToSum)
        e.store(arith::SelectOp::create(e, present[v], e.addf(e.load(s.sum, at), dz), e.load(s.sum, at)), s.sum, at);
      if (keepProbabilities)
        e.store(kept ? e.mulf(p, kept) : p, s.scores, at);
      if (features.softcap)
        dz = e.mulf(dz, e.load(s.softcap, at));
      e.store(dz, s.gradient, at);
    }
  });
}

//===-- Passes --------------------------------------------------------------------------------------------------===//

void AttentionBackward::emitQueryPass(const AttentionTiles &tiles) {
  AttentionScratch layout = AttentionScratch::getQueryPass(tiles, features);
  s.tiles = tiles;
  Value blocks = s.getQueryBlocks(), planes = e.mul(s.batch, s.heads);
  e.parallel(e.mul(blocks, planes), [&](Value item) {
    s.takeScratch(tiles, features, layout);
    Value plane = e.rem(item, planes), block = e.sub(e.sub(blocks, 1), e.div(item, planes));
    s.setHead(e.div(plane, s.heads), e.rem(plane, s.heads));
    s.setQueries(block);
    loadQueries();
    clear(s.accumulator, e.index(tiles.getPaddedQueries()), tiles.getPaddedDim());
    auto [begin, end] = s.getKeysOfQueries();
    e.loop(begin, end, tiles.keyBlock, [&](Value k0) {
      loadKeys(k0);
      if (features.bias)
        s.loadBias();
      if (features.probabilities)
        s.loadTransposed(getMatrix(e, o.probabilities, {s.b, s.h}, 2), s.q0, s.queryCount, k0, s.keyCount, s.scores);
      e.loop(e.index(0), s.getPanelCount(), 1, [&](Value panel) {
        BlockRange range = emitPanel(panel, false, false);
        s.clearOutside(s.gradient, panel, range);
      });
      e.loop(e.index(0), s.queryCount, tiles.rows, [&](Value row) {
        BlockRange range = s.getKeysOfRows(row);
        s.emitRowProduct(s.gradient, /*byStep=*/true, s.key, s.accumulator, row, range.begin, range.end);
      });
    });
    addRows(s.accumulator, o.dquery, s.h, s.q0, s.queryCount, s.attributes.scale);
  });
}

void AttentionBackward::emitKeyPass(const AttentionTiles &tiles) {
  AttentionScratch layout = AttentionScratch::getKeyPass(tiles, features);
  s.tiles = tiles;
  Value blocks = s.getKeyBlocks(), planes = e.mul(s.batch, s.groups);
  e.parallel(e.mul(blocks, planes), [&](Value item) {
    s.takeScratch(tiles, features, layout);
    // The first keys are seen by the most queries under a causal mask: long items first.
    Value plane = e.rem(item, planes), group = e.rem(plane, s.groups), heads = e.div(s.heads, s.groups);
    Value k0 = e.mul(e.div(item, planes), tiles.keyBlock);
    s.setHead(e.div(plane, s.groups), e.mul(group, heads));
    loadKeys(k0);
    clear(s.accumulator, s.keyCount, tiles.getPaddedDim());
    clear(s.second, s.keyCount, tiles.getPaddedDim());
    auto [begin, end] = s.getQueriesOfKeys();
    e.loop(e.mul(group, heads), e.add(e.mul(group, heads), heads), 1, [&, begin = begin, end = end](Value head) {
      s.h = head;
      e.loop(begin, end, tiles.queryBlock, [&](Value q0) {
        s.setQueries(e.div(q0, tiles.queryBlock));
        loadQueries();
        s.copyRows(s.o.query, head, q0, s.queryCount, s.queryRows);
        s.copyRows(o.dout, head, q0, s.queryCount, s.doutRows);
        if (features.bias)
          s.loadBias();
        if (features.probabilities)
          s.loadTransposed(getMatrix(e, o.probabilities, {s.b, head}, 2), q0, s.queryCount, k0, s.keyCount, s.scores);
        e.loop(e.index(0), s.getPanelCount(), 1, [&](Value panel) {
          BlockRange range = emitPanel(panel, true, false);
          s.clearOutside(s.scores, panel, range);
          s.clearOutside(s.gradient, panel, range);
        });
        e.loop(e.index(0), s.keyCount, tiles.rows, [&](Value row) {
          BlockRange range = s.getQueriesOfRows(row);
          s.emitRowProduct(s.scores, /*byStep=*/false, s.doutRows, s.second, row, range.begin, range.end);
          s.emitRowProduct(s.gradient, /*byStep=*/false, s.queryRows, s.accumulator, row, range.begin, range.end);
        });
      });
    });
    addRows(s.accumulator, o.dkey, s.g, k0, s.keyCount, s.attributes.scale);
    addRows(s.second, o.dvalue, s.g, k0, s.keyCount, 1);
  });
}

/// Items are the blocks of dbias; each goes over everything its broadcast dims stand for, in order.
void AttentionBackward::emitBiasPass(const AttentionTiles &tiles) {
  AttentionScratch layout = AttentionScratch::getBiasPass(tiles, features);
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
    addBias(begin);
  });
}

void AttentionBackward::addBias(ArrayRef<Value> block) {
  auto type = cast<MemRefType>(o.dbias.getType());
  Value matrix = getMatrix(e, o.dbias, {block[0], block[1]}, 2);
  Value i0 = e.mul(block[2], s.tiles.queryBlock), j0 = e.mul(block[3], s.tiles.keyBlock);
  Value rows = e.min(e.sub(s.queries, i0), s.tiles.queryBlock), columns = e.min(e.sub(s.keys, j0), s.tiles.keyBlock);
  auto addScalar = [&](Value term, Value i, Value j) {
    e.storeScalar(e.addf(e.loadScalar(matrix, {i, j}), term), matrix, {i, j});
  };
  bool oneRow = type.getDimSize(2) == 1, oneColumn = type.getDimSize(3) == 1;
  if (!oneRow && !oneColumn)
    return s.visitTransposed(s.sum, rows, columns, [&](Value i, Value j, Value vector, Value mask) {
      Value at[] = {e.add(i0, i), e.add(j0, j)};
      e.store(e.addf(e.load(matrix, at, mask), vector), matrix, at, mask);
    });
  if (!oneRow) {
    e.loop(e.index(0), rows, e.lanes, [&](Value i) {
      Value total = e.loop(e.index(0), columns, 1, ValueRange(e.splat(0)), [&](Value j, ValueRange carried) {
        return Emitter::Values{e.addf(carried[0], e.load(s.sum, {j, i}))};
      })[0];
      e.store(total, s.factor, i);
    });
    return e.loop(e.index(0), rows, 1,
                  [&](Value i) { addScalar(e.loadScalar(s.factor, i), e.add(i0, i), e.index(0)); });
  }
  auto sumRow = [&](Value j) {
    return e.sumLanes(e.loop(e.index(0), rows, e.lanes, ValueRange(e.splat(0)), [&](Value i, ValueRange carried) {
      return Emitter::Values{e.addf(carried[0], e.load(s.sum, {j, i}))};
    })[0]);
  };
  if (!oneColumn)
    return e.loop(e.index(0), columns, 1, [&](Value j) { addScalar(sumRow(j), e.index(0), e.add(j0, j)); });
  Value total = e.loop(e.index(0), columns, 1, ValueRange(e.scalar(0)),
                       [&](Value j, ValueRange carried) { return Emitter::Values{e.addf(carried[0], sumRow(j))}; })[0];
  addScalar(total, e.index(0), e.index(0));
}

LogicalResult lowerAttentionGrad(AttentionGradOp op, KernelCache &kernels) {
  auto type = cast<MemRefType>(op.getQuery().getType());
  if (type.isDynamicDim(3))
    return op.emitOpError("expected a static head dim, but got ") << type;
  if (!op.getWorkspace())
    return op.emitOpError("expected a workspace; run bpt-tile-blocks first");
  AttentionTiles queryPass = AttentionTiles::getQueryPass(op, kernels.getTarget());
  AttentionTiles keyPass = AttentionTiles::getKeyPass(op, kernels.getTarget());
  AttentionFeatures features = AttentionFeatures::get(op);
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
        AttentionBackward backward(scores, gradients, features);
        backward.emitDelta();
        backward.emitQueryPass(queryPass);
        backward.emitKeyPass(keyPass);
        if (features.bias)
          backward.emitBiasPass(queryPass);
        return success();
      },
      getAttentionKey({queryPass, keyPass}));
}

} // namespace bpt
