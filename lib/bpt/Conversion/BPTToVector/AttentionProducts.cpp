// Products of scores or their gradients over keys or queries, and the accumulator that takes those over keys.
#include "AttentionScores.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

//===-- Products over keys or queries ---------------------------------------------------------------------------===//

void AttentionScores::emitRowProduct(Value left, bool byStep, Value right, Value out, Value row, Value begin, Value end,
                                     bool overwrite, ArrayRef<TileFetch> fetches) {
  int64_t rows = tiles.rows, all = tiles.getPaddedDim() / tiles.lanes;
  // D in register tiles of about equal width: 80 is 48 + 32, not 64 + 16.
  int64_t parts = (all + getVectors() - 1) / getVectors(), wide = (all + parts - 1) / parts,
          wideParts = all - parts * (wide - 1);
  Value steps = e.div(e.sub(end, begin), tileUnroll);
  for (const TileFetch &fetch : fetches)
    fetch.emitFrom(e, e.mul(steps, parts));
  auto emit = [&](int64_t vectors, Value column, Value part) {
    SmallVector<Value> init, numbers, columns;
    for (int64_t r = 0; r < rows; ++r)
      numbers.push_back(e.add(row, r));
    for (int64_t v = 0; v < vectors; ++v)
      columns.push_back(e.add(column, v * tiles.lanes));
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        init.push_back(overwrite ? e.splat(0) : e.load(out, {numbers[r], columns[v]}));
    SmallVector<Value> sums = emitRegisterTile(
        e, rows, vectors, begin, end, init,
        [&](int64_t r, Value step) {
          return e.loadScalar(left, byStep ? ValueRange{step, numbers[r]} : ValueRange{numbers[r], step});
        },
        [&](Value step, int64_t v) { return e.load(right, {step, columns[v]}); },
        [&](Value step) {
          for (const TileFetch &fetch : fetches)
            fetch.emitLine(e, e.add(e.mul(part, steps), e.div(e.sub(step, begin), tileUnroll)));
        });
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < vectors; ++v)
        e.store(sums[r * vectors + v], out, {numbers[r], columns[v]});
  };
  int64_t width = wide * tiles.lanes, narrow = width - tiles.lanes, split = wideParts * width;
  e.loop(e.index(0), e.index(split), width, [&](Value column) { emit(wide, column, e.div(column, width)); });
  if (parts > wideParts)
    e.loop(e.index(split), e.index(tiles.getPaddedDim()), narrow,
           [&](Value column) { emit(wide - 1, column, e.add(e.div(e.sub(column, split), narrow), wideParts)); });
}

void AttentionScores::addKeyProducts(Value left, Value right, bool overwrite) {
  if (tiles.isMatrix)
    return addMatrixKeyProducts(left, right, overwrite);
  e.loop(e.index(0), queryCount, tiles.rows, [&](Value row) {
    BlockRange range = getKeysOfRows(row);
    emitRowProduct(left, /*byStep=*/true, right, accumulator, row, range.begin, range.end, overwrite);
  });
}

void AttentionScores::addQueryProducts(ArrayRef<QueryProduct> products, ArrayRef<Fetch> fetches) {
  int64_t rows = tiles.isMatrix ? AttentionTiles::matrixStep : tiles.rows;
  e.loop(e.index(0), keyCount, rows, [&](Value row) {
    SmallVector<TileFetch> shares;
    for (const Fetch &fetch : fetches)
      shares.emplace_back(e, fetch, e.div(row, rows), e.ceilDiv(keyCount, rows));
    if (tiles.isMatrix) {
      for (const TileFetch &share : shares)
        share.emitFrom(e, e.index(0));
      for (const QueryProduct &product : products)
        addMatrixQueryProduct(product, row);
      return;
    }
    BlockRange range = getQueriesOfRows(row, rows);
    for (const QueryProduct &product : products) {
      emitRowProduct(product.left, /*byStep=*/false, product.right, product.out, row, range.begin, range.end,
                     /*overwrite=*/false, shares);
      shares.clear(); // the first one fetches
    }
  });
}

//===-- The accumulator -----------------------------------------------------------------------------------------===//

void AttentionScores::clearAccumulator() {
  auto type = cast<MemRefType>(accumulator.getType());
  e.loop(e.index(0), e.index(type.getDimSize(0)), 1, [&](Value i) {
    e.loop(e.index(0), e.index(type.getDimSize(1)), e.lanes,
           [&](Value j) { e.store(e.splat(0), accumulator, {i, j}); });
  });
}

void AttentionScores::scaleAccumulator(Value panel) {
  auto scale = [&](Value by, Value i, Value j) {
    e.store(e.mulf(e.load(accumulator, {i, j}), by), accumulator, {i, j});
  };
  if (tiles.isMatrix) {
    for (int64_t v = 0; v < getVectors(); ++v) {
      Value factors = e.load(factor, lane(panel, v));
      e.loop(e.index(0), e.index(tiles.headDim), 1, [&](Value d) { scale(factors, d, lane(panel, v)); });
    }
    return;
  }
  Value first = lane(panel, 0);
  e.loop(first, e.add(first, tiles.getPanel()), 1, [&](Value row) {
    Value one = e.broadcast(e.loadScalar(factor, row));
    e.loop(e.index(0), e.index(tiles.getPaddedDim()), e.lanes, [&](Value d) { scale(one, row, d); });
  });
}

void AttentionScores::visitAccumulator(function_ref<void(Value, Value, Value, Value)> body) {
  if (tiles.isMatrix)
    return visitTransposed(accumulator, queryCount, e.index(tiles.headDim), body);
  e.loop(e.index(0), queryCount, 1, [&](Value row) {
    e.columns(e.index(tiles.headDim), [&](Value d, Value mask) { body(row, d, e.load(accumulator, {row, d}), mask); });
  });
}

} // namespace bpt
