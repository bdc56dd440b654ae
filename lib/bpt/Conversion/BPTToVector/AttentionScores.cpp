// Blocks of queries and keys, and the scores of a block.
#include "AttentionScores.h"
#include "VectorMath.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include <cmath>
#include <limits>

using namespace mlir;

namespace bpt {

static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double log2e = 1.44269504088896340736;

AttentionScores::AttentionScores(Emitter &e, KernelCache &kernels, const AttentionAttributes &attributes,
                                 const AttentionOperands &operands)
    : e(e), kernels(kernels), attributes(attributes), o(operands), batch(e.dim(o.query, 0)), queries(e.dim(o.query, 1)),
      keys(e.dim(o.key, 1)), heads(e.dim(o.query, 2)), groups(e.dim(o.key, 2)) {}

//===-- Scratch and blocks --------------------------------------------------------------------------------------===//

Value AttentionScores::getBlock(int64_t offset, int64_t rows, int64_t columns, Type element) {
  if (offset < 0)
    return {};
  return e.view(scratchBytes, e.index(offset), {rows, columns}, {}, element ? element : e.accumulator);
}

void AttentionScores::takeScratch(const AttentionTiles &newTiles, const AttentionFeatures &newFeatures,
                                  const AttentionScratch &newLayout) {
  tiles = newTiles;
  features = newFeatures;
  layout = newLayout;
  scratchBytes = e.scratch({layout.bytes}, e.getI8Type());
  auto getScores = [&](int64_t offset, Type element = {}) {
    return getBlock(offset, tiles.keyBlock, tiles.getScoreLength(), element);
  };
  Type narrow = tiles.isMatrix ? Type(e.getBF16Type()) : e.accumulator;
  scores = getScores(layout.scores, narrow);
  gradient = getScores(layout.gradient, narrow);
  keep = getScores(layout.keep);
  softcap = getScores(layout.softcap);
  bias = getScores(layout.bias);
  sum = getScores(layout.sum);
  auto getOperand = [&](int64_t offset, int64_t rows) {
    if (!tiles.isMatrix)
      return getBlock(offset, rows, tiles.getRowLength());
    constexpr int64_t step = AttentionTiles::matrixStep;
    return getBlock(offset, rows * tiles.getPaddedDim() / step, step, narrow);
  };
  key = getOperand(layout.key, tiles.keyBlock);
  value = getOperand(layout.value, tiles.keyBlock);
  keyColumns = getOperand(layout.keyColumns, tiles.keyBlock);
  queryRows = getOperand(layout.queryRows, tiles.queryBlock);
  doutRows = getOperand(layout.doutRows, tiles.queryBlock);
  products = getBlock(layout.products, AttentionTiles::matrixStep, tiles.getPanel());
  auto getRows = [&](int64_t offset, int64_t rows) { return getBlock(offset, rows, tiles.getPaddedDim()); };
  accumulator = tiles.isMatrix ? getBlock(layout.accumulator, tiles.getPaddedDim(), tiles.queryBlock)
                               : getRows(layout.accumulator, tiles.getPaddedQueries());
  dkey = getRows(layout.dkey, tiles.keyBlock);
  dvalue = getRows(layout.dvalue, tiles.keyBlock);
  for (auto [target, offset] :
       {std::pair<Value *, int64_t>{&maximum, layout.maximum}, {&total, layout.total}, {&factor, layout.factor}})
    *target = offset < 0 ? Value() : e.view(scratchBytes, e.index(offset), {tiles.queryBlock}, {}, e.accumulator);
}

void AttentionScores::setHead(Value batchIndex, Value head) {
  b = batchIndex;
  h = head;
  // Inside an item there is a head, so the division is safe.
  g = e.div(head, e.div(heads, groups));
}

void AttentionScores::setQueries(Value block) {
  q0 = e.mul(block, tiles.queryBlock);
  queryCount = e.min(e.sub(queries, q0), tiles.queryBlock);
}

void AttentionScores::setKeys(Value begin) {
  k0 = begin;
  keyCount = e.min(e.sub(keys, k0), tiles.keyBlock);
}

Value getMatrix(Emitter &e, Value memref, ArrayRef<Value> leading, int64_t rowDim) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t rank = type.getRank();
  SmallVector<OpFoldResult> offsets, sizes, strides(rank, e.getIndexAttr(1));
  SmallVector<int64_t> shape;
  unsigned next = 0;
  for (int64_t dim = 0; dim < rank; ++dim) {
    bool kept = dim == rowDim || dim == rank - 1;
    offsets.push_back(kept ? OpFoldResult(e.getIndexAttr(0)) : OpFoldResult(leading[next++]));
    sizes.push_back(kept ? getAsOpFoldResult(e.dim(memref, dim)) : OpFoldResult(e.getIndexAttr(1)));
    if (kept)
      shape.push_back(type.getDimSize(dim));
  }
  auto result = memref::SubViewOp::inferRankReducedResultType(shape, type, offsets, sizes, strides);
  return memref::SubViewOp::create(e, cast<MemRefType>(result), memref, offsets, sizes, strides);
}

Value AttentionScores::getHead(Value memref, Value head) { return getMatrix(e, memref, {b, head}, 1); }

Value AttentionScores::getPanel(int64_t offset, Value panel) {
  if (tiles.isMatrix) {
    int64_t pairs = tiles.getPaddedDim() / 2, width = 2 * tiles.getPanel();
    return e.view(scratchBytes, e.add(e.mul(panel, pairs * width * 2), offset), {pairs, width}, {}, e.getBF16Type());
  }
  int64_t rows = tiles.getPaddedDim(), bytes = rows * tiles.getPanel() * tiles.bytes;
  return e.view(scratchBytes, e.add(e.mul(panel, bytes), offset), {rows, tiles.getPanel()}, {}, e.accumulator);
}

double AttentionScores::getQueryFactor() const {
  return features.softcap ? attributes.scale / attributes.softcap : attributes.scale * log2e;
}

void AttentionScores::packQueries(Value memref, int64_t offset, double scale) {
  Matrix rows{getHead(memref, h), /*transposed=*/true, q0};
  if (tiles.isMatrix)
    return packMatrixQueries(rows, offset);
  e.loop(e.index(0), getPanelCount(), 1, [&](Value panel) {
    Value first = e.mul(panel, tiles.getPanel()), packed = getPanel(offset, panel);
    emitPackPanel(e, kernels, rows.dropColumns(e, first), e.index(tiles.headDim),
                  e.min(e.sub(queryCount, first), tiles.getPanel()), packed);
    if (scale == 1)
      return;
    e.loop(e.index(0), e.index(tiles.headDim), 1, [&](Value d) {
      for (int64_t v = 0; v < getVectors(); ++v) {
        Value indices[] = {d, e.index(v * tiles.lanes)};
        e.store(e.mulf(e.load(packed, indices), e.splat(scale)), packed, indices);
      }
    });
  });
}

void AttentionScores::copyRows(Value memref, Value head, Value begin, Value count, Value block) {
  Matrix rows{getHead(memref, head), /*transposed=*/false, begin};
  emitPackRows(e, kernels, rows, count, e.index(tiles.headDim), block);
}

void AttentionScores::packKeys(bool forGradient) {
  if (tiles.isMatrix)
    return packMatrixKeys(forGradient);
  copyRows(o.key, g, k0, keyCount, key);
  copyRows(o.value, g, k0, keyCount, value);
}

void AttentionScores::packQueryRows(Value memref, Value block) {
  if (!tiles.isMatrix)
    return copyRows(memref, h, q0, queryCount, block);
  // Panels of 32 columns, in which pairs of queries stand together.
  GemmTiles gemm = getMatrixTiles(tiles.queryBlock);
  Matrix rows{getHead(memref, h), /*transposed=*/false, q0};
  for (int64_t d = 0; d < tiles.headDim; d += gemm.getPanel())
    emitPackMatrixPanel(e, kernels, gemm, rows.dropColumns(e, e.index(d)), queryCount,
                        e.index(std::min(tiles.headDim - d, gemm.getPanel())), getRowPanel(block, d / gemm.getPanel()));
}

Fetch AttentionScores::getFetch(Value memref, Value head, Value begin, int64_t count) {
  Value matrix = getHead(memref, head), all = e.dim(matrix, 0);
  return {matrix, begin, e.index(0), e.min(e.sub(e.max(all, begin), begin), count), tiles.headDim};
}

//===-- Visibility ----------------------------------------------------------------------------------------------===//

BlockRange AttentionScores::getKeysOfQueries() { return getKeysOfQueries(q0, e.add(q0, queryCount)); }
BlockRange AttentionScores::getKeysOfAllQueries() { return getKeysOfQueries(e.index(0), queries); }

BlockRange AttentionScores::getKeysOfQueries(Value first, Value last) {
  auto [begin, end] = attributes.mask.buildColumnBounds(e, e.getLoc(), globalRow(first), globalRow(last), keys);
  return {e.mul(e.div(begin, tiles.keyBlock), tiles.keyBlock), end};
}

BlockRange AttentionScores::getQueriesOfKeys() {
  Value shift = o.offset ? o.offset : e.index(0);
  auto [begin, end] = attributes.mask.buildRowBounds(e, e.getLoc(), k0, e.add(k0, keyCount), queries, shift);
  return {e.mul(e.div(begin, tiles.queryBlock), tiles.queryBlock), end};
}

BlockRange AttentionScores::getVisibleKeys(Value panel) {
  if (isa<FullMaskAttr>(attributes.mask))
    return {e.index(0), keyCount};
  Value first = e.add(q0, e.mul(panel, tiles.getPanel()));
  Value last = e.min(e.add(first, tiles.getPanel()), e.add(q0, queryCount));
  auto [begin, end] = attributes.mask.buildColumnBounds(e, e.getLoc(), globalRow(first), globalRow(last), keys);
  begin = e.min(e.max(e.sub(begin, k0), 0), keyCount);
  end = e.max(e.min(e.sub(end, k0), keyCount), begin);
  // An empty range stays empty: it is not stretched to the tile around it.
  Value whole = e.mul(e.div(begin, tiles.rows), tiles.rows);
  Value stretched = e.min(e.roundUp(end, tiles.rows), keyCount);
  Value empty = e.equal(begin, end);
  return {e.select(empty, begin, whole), e.select(empty, begin, stretched)};
}

Value AttentionScores::isMixed(Value panel, Value row) {
  Value cut = e.less(keyCount, e.add(row, tiles.rows));
  if (isa<FullMaskAttr>(attributes.mask))
    return cut;
  Value first = e.add(q0, e.mul(panel, tiles.getPanel()));
  Value last = e.min(e.add(first, tiles.getPanel()), e.add(q0, queryCount)), column = e.add(k0, row);
  Value all = attributes.mask.buildAllVisible(e, e.getLoc(), globalRow(first), globalRow(last), column,
                                              e.add(column, tiles.rows));
  Value some = arith::XOrIOp::create(e, all, arith::ConstantIntOp::create(e, 1, 1));
  return arith::OrIOp::create(e, cut, some);
}

BlockRange AttentionScores::getKeysOfRows(Value row) {
  if (isa<FullMaskAttr>(attributes.mask))
    return {e.index(0), keyCount};
  Value first = e.add(q0, row), last = e.add(q0, e.min(e.add(row, tiles.rows), queryCount));
  auto [begin, end] = attributes.mask.buildColumnBounds(e, e.getLoc(), globalRow(first), globalRow(last), keys);
  begin = e.min(e.max(e.sub(begin, k0), 0), keyCount);
  return {begin, e.max(e.min(e.sub(end, k0), keyCount), begin)};
}

BlockRange AttentionScores::getQueriesOfRows(Value row, int64_t count) {
  if (isa<FullMaskAttr>(attributes.mask))
    return {e.index(0), queryCount};
  Value first = e.add(k0, row), last = e.add(k0, e.min(e.add(row, count), keyCount));
  Value shift = o.offset ? o.offset : e.index(0);
  auto [begin, end] = attributes.mask.buildRowBounds(e, e.getLoc(), first, last, queries, shift);
  begin = e.min(e.max(e.sub(begin, q0), 0), queryCount);
  return {begin, e.max(e.min(e.sub(end, q0), queryCount), begin)};
}

//===-- Scores --------------------------------------------------------------------------------------------------===//

Emitter::Values AttentionScores::emitProducts(Value left, Value packed, BlockRange range, ValueRange carried,
                                              TileBody body, TileFetches fetches) {
  if (tiles.isMatrix)
    return emitMatrixProducts(left, packed, range, carried, body, fetches);
  int64_t rows = tiles.rows, vectors = getVectors();
  return e.loop(range.begin, range.end, rows, carried, [&](Value j, ValueRange before) {
    SmallVector<Value> zeros(rows * vectors, e.splat(0)), numbers, columns;
    for (int64_t r = 0; r < rows; ++r)
      numbers.push_back(e.add(j, r));
    for (int64_t v = 0; v < vectors; ++v)
      columns.push_back(e.index(v * tiles.lanes));
    SmallVector<TileFetch> own = fetches ? fetches(j) : SmallVector<TileFetch>();
    for (const TileFetch &fetch : own)
      fetch.emitFrom(e, e.index(tiles.headDim / tileUnroll));
    SmallVector<Value> products = emitRegisterTile(
        e, rows, vectors, e.index(0), e.index(tiles.headDim), zeros,
        [&](int64_t r, Value d) { return e.loadScalar(left, {numbers[r], d}); },
        [&](Value d, int64_t v) { return e.load(packed, {d, columns[v]}); },
        [&](Value d) {
          for (const TileFetch &fetch : own)
            fetch.emitLine(e, e.div(d, tileUnroll));
        });
    return body(j, products, before);
  });
}

Emitter::Values AttentionScores::emitScores(Value panel, BlockRange range, ValueRange carried, TileBody body,
                                            TileFetches fetches) {
  Value packed = getPanel(getQueryOffset(), panel);
  auto finish = [&](Value j, ValueRange products, ValueRange before) {
    Emitter::Values z(products);
    if (tiles.isMatrix) // queries are not scaled: they would be rounded again
      for (Value &score : z)
        score = e.mulf(score, e.splat(getQueryFactor()));
    visitTile(panel, j, [&](int64_t i, int64_t, ValueRange at) {
      if (features.softcap) {
        Value t = emitTanh(e, z[i]);
        if (softcap)
          e.store(e.subf(e.splat(1), e.mulf(t, t)), softcap, at);
        z[i] = e.mulf(t, e.splat(attributes.softcap * log2e));
      }
      if (features.bias)
        z[i] = e.fma(e.load(bias, at), e.splat(log2e), z[i]);
    });
    if (features.segments)
      emitSegments(panel, j, z);
    z = e.choose(isMixed(panel, j), [&] { return emitMask(panel, j, z); }, [&] { return z; });
    return body(j, z, before);
  };
  return emitProducts(key, packed, range, carried, finish, fetches);
}

void AttentionScores::visitTile(Value panel, Value row, function_ref<void(int64_t, int64_t, ValueRange)> body) {
  for (int64_t r = 0; r < tiles.rows; ++r)
    for (int64_t v = 0; v < getVectors(); ++v) {
      Value at[] = {e.add(row, r), lane(panel, v)};
      body(r * getVectors() + v, v, at);
    }
}

void AttentionScores::emitSegments(Value panel, Value row, MutableArrayRef<Value> z) {
  for (int64_t v = 0; v < getVectors(); ++v) {
    Value first = e.add(q0, lane(panel, v)), mask = e.maskFirst(e.max(e.sub(queries, first), 0));
    Value mine = e.load(o.querySegments, {b, first}, mask);
    for (int64_t r = 0; r < tiles.rows; ++r) {
      Value column = e.min(e.add(k0, e.add(row, r)), e.sub(keys, 1));
      Value theirs = e.broadcast(memref::LoadOp::create(e, o.keySegments, ValueRange{b, column}));
      Value same = arith::CmpIOp::create(e, arith::CmpIPredicate::eq, mine, theirs);
      Value &score = z[r * getVectors() + v];
      score = arith::SelectOp::create(e, same, score, e.splat(-infinity));
    }
  }
}

Emitter::Values AttentionScores::emitMask(Value panel, Value row, ValueRange z) {
  Emitter::Values visible(z);
  VectorType words = e.vectorOf(e.getI32Type());
  auto toI32 = [&](Value index) -> Value { return arith::IndexCastOp::create(e, e.getI32Type(), index); };
  Value steps = arith::IndexCastOp::create(e, words, vector::StepOp::create(e, e.vectorOf(e.getIndexType())));
  for (int64_t v = 0; v < getVectors(); ++v) {
    Value rows = arith::AddIOp::create(e, e.broadcast(toI32(globalRow(e.add(q0, lane(panel, v))))), steps);
    for (int64_t r = 0; r < tiles.rows; ++r) {
      Value number = e.add(row, r), &score = visible[r * getVectors() + v];
      if (Value seen = attributes.mask.buildPredicate(e, e.getLoc(), rows, e.broadcast(toI32(e.add(k0, number)))))
        score = arith::SelectOp::create(e, seen, score, e.splat(-infinity));
      score = arith::SelectOp::create(e, e.less(number, keyCount), score, e.splat(-infinity));
    }
  }
  return visible;
}

void AttentionScores::clearOutside(Value target, Value panel, BlockRange range) {
  auto clear = [&](Value begin, Value end) {
    e.loop(begin, end, 1, [&](Value j) {
      for (int64_t v = 0; v < getVectors(); ++v)
        e.store(e.splat(0), target, {j, lane(panel, v)});
    });
  };
  clear(e.index(0), range.begin);
  clear(range.end, keyCount);
}

void AttentionScores::drawDropout(Value panel, BlockRange range) {
  VectorType words = e.vectorOf(e.getI32Type());
  auto splat = [&](Value index) -> Value { return e.broadcast(arith::IndexCastOp::create(e, e.getI32Type(), index)); };
  PhiloxKey key = loadPhiloxKey(e, o.seed);
  Value all = attributes.headCount > 0 ? e.index(attributes.headCount) : heads;
  Value plane = splat(e.add(e.add(e.mul(b, all), h), attributes.headOffset));
  Value stream =
      e.broadcast(arith::ConstantOp::create(e, e.getI32IntegerAttr(static_cast<int32_t>(attributes.stream))));
  Value steps = arith::IndexCastOp::create(e, words, vector::StepOp::create(e, e.vectorOf(e.getIndexType())));
  Value kept = e.splat(1 / (1 - attributes.dropout)), dropped = e.splat(0);
  int64_t threshold = getDropoutThreshold(attributes.dropout);
  // Blocks of keys begin at multiples of eight: a call covers eight rows of the block.
  e.loop(e.mul(e.div(range.begin, 8), 8), range.end, 8, [&](Value j) {
    Value call = splat(e.div(e.add(k0, j), 8));
    e.loop(e.index(0), e.index(tiles.getPanel()), tiles.lanes, [&](Value start) {
      Value position = e.add(e.mul(panel, tiles.getPanel()), start);
      Value row = arith::AddIOp::create(e, splat(globalRow(e.add(q0, position))), steps);
      std::array<Value, 4> bits = buildPhilox(e, {call, row, plane, stream}, key, /*asPairs=*/!e.target.hasWarps);
      for (unsigned k = 0; k < 8; ++k)
        e.store(arith::SelectOp::create(e, buildKeep(e, bits, k, threshold), kept, dropped), keep,
                {e.add(j, k), position});
    });
  });
}

//===-- Bias and probabilities ----------------------------------------------------------------------------------===//

void AttentionScores::loadTransposed(Value matrix, Value i0, Value rows, Value j0, Value columns, Value target) {
  Value last = e.sub(rows, 1);
  e.loop(e.index(0), columns, tiles.lanes, [&](Value j) {
    Value mask = e.maskFirst(e.sub(columns, j));
    e.loop(e.index(0), rows, tiles.lanes, [&](Value i) {
      SmallVector<Value> square;
      for (int64_t r = 0; r < tiles.lanes; ++r)
        square.push_back(e.load(matrix, {e.add(i0, e.min(e.add(i, r), last)), e.add(j0, j)}, mask));
      square = emitTranspose(e, square);
      for (int64_t r = 0; r < tiles.lanes; ++r)
        e.store(square[r], target, {e.add(j, r), i});
    });
  });
}

void AttentionScores::visitTransposed(Value source, Value rows, Value columns,
                                      function_ref<void(Value, Value, Value, Value)> body) {
  e.loop(e.index(0), columns, tiles.lanes, [&](Value j) {
    Value mask = e.maskFirst(e.sub(columns, j));
    e.loop(e.index(0), rows, tiles.lanes, [&](Value i) {
      SmallVector<Value> square;
      for (int64_t r = 0; r < tiles.lanes; ++r)
        square.push_back(e.load(source, {e.add(j, r), i}));
      square = emitTranspose(e, square);
      for (int64_t r = 0; r < tiles.lanes; ++r)
        e.ifThen(e.less(e.add(i, r), rows), [&] { body(e.add(i, r), j, square[r], mask); });
    });
  });
}

void AttentionScores::loadBias() {
  auto type = cast<MemRefType>(o.bias.getType());
  auto isOne = [&](int64_t dim) { return type.getDimSize(dim) == 1; };
  Value matrix = getMatrix(e, o.bias, {isOne(0) ? e.index(0) : b, isOne(1) ? e.index(0) : h}, 2);
  if (!isOne(2) && !isOne(3))
    return loadTransposed(matrix, q0, queryCount, k0, keyCount, bias);
  // One row: each key has one value for all lanes. One column: each lane has one for all keys.
  Value end = e.roundUp(queryCount, tiles.getPanel());
  if (isOne(2)) {
    e.loop(e.index(0), keyCount, 1, [&](Value j) {
      Value one = e.broadcast(e.loadScalar(matrix, {e.index(0), isOne(3) ? e.index(0) : e.add(k0, j)}));
      e.loop(e.index(0), end, tiles.lanes, [&](Value i) { e.store(one, bias, {j, i}); });
    });
    return;
  }
  e.loop(e.index(0), queryCount, 1,
         [&](Value i) { e.storeScalar(e.loadScalar(matrix, {e.add(q0, i), e.index(0)}), bias, {e.index(0), i}); });
  e.loop(e.index(1), keyCount, 1, [&](Value j) {
    e.loop(e.index(0), end, tiles.lanes, [&](Value i) { e.store(e.load(bias, {e.index(0), i}), bias, {j, i}); });
  });
}

std::string getAttentionKey(ArrayRef<AttentionTiles> tiles) {
  std::string key;
  for (const AttentionTiles &pass : tiles)
    key +=
        "q" + std::to_string(pass.queryBlock) + "k" + std::to_string(pass.keyBlock) + "s" + std::to_string(pass.splits);
  return key;
}

} // namespace bpt
