// Products of attention and its gradient by AMX: operands are packed as bf16, probabilities and their gradients are
// rounded to bf16 when they are stored. Sums of scores go through a small block to registers, where everything else
// happens as on other targets. What is summed over keys is computed transposed: rows of the head dim, columns of
// queries, so that scores need no transposition; their rows are interleaved in pairs.
#include "AttentionScores.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace bpt {

static constexpr int64_t step = AttentionTiles::matrixStep, halves = 2;

/// Tiles whose left operands have this depth.
GemmTiles AttentionScores::getMatrixTiles(int64_t depth) {
  GemmTiles gemm = GemmTiles::get(e.accumulator, e.target, e.getBF16Type());
  gemm.blockDepth = depth;
  return gemm;
}

Value AttentionScores::getRowPanel(Value block, int64_t number) {
  int64_t pairs = tiles.queryBlock / 2, width = 2 * tiles.getPanel(), offset = number * pairs * width;
  Type type = MemRefType::get({pairs, width}, e.getBF16Type(), StridedLayoutAttr::get(e.getContext(), offset, {width, 1}));
  return memref::ReinterpretCastOp::create(e, cast<MemRefType>(type), block, offset, ArrayRef<int64_t>{pairs, width},
                                           ArrayRef<int64_t>{width, 1});
}

Value AttentionScores::getPairs(Value panel) {
  int64_t pairs = tiles.keyBlock / 2, width = 2 * tiles.getPanel();
  return e.view(scratchBytes, e.add(e.mul(panel, pairs * width * 2), layout.pairs), {pairs, width}, {}, e.getBF16Type());
}

//===--- packing --------------------------------------------------------------------------------------------------===//

void AttentionScores::packMatrixQueries(Matrix rows, int64_t offset) {
  GemmTiles gemm = getMatrixTiles(tiles.getPaddedDim());
  e.loop(e.index(0), getPanelCount(), 1, [&](Value panel) {
    Value first = e.mul(panel, tiles.getPanel());
    emitPackMatrixPanel(e, kernels, gemm, rows.dropColumns(e, first), e.index(tiles.headDim),
                        e.min(e.sub(queryCount, first), tiles.getPanel()), getPanel(offset, panel));
  });
}

void AttentionScores::packMatrixKeys(bool forGradient) {
  Value dim = e.index(tiles.headDim);
  auto packRows = [&](Value memref, Value block) {
    emitPackMatrixLeft(e, kernels, getMatrixTiles(tiles.getPaddedDim()), {getHead(memref, g), /*transposed=*/false, k0},
                       keyCount, dim, block);
  };
  auto packColumns = [&](Value memref, Value block) {
    emitPackMatrixLeft(e, kernels, getMatrixTiles(tiles.keyBlock), {getHead(memref, g), /*transposed=*/true, k0}, dim,
                       keyCount, block);
  };
  packRows(o.key, key);
  if (!forGradient)
    return packColumns(o.value, value);
  packRows(o.value, value);
  if (keyColumns)
    packColumns(o.key, keyColumns);
}

//===--- products -------------------------------------------------------------------------------------------------===//

Emitter::Values AttentionScores::emitMatrixProducts(Value left, Value packed, BlockRange range, ValueRange carried,
                                                    TileBody body, TileFetches fetches) {
  GemmTiles gemm = getMatrixTiles(tiles.getPaddedDim());
  return e.loop(e.div(range.begin, step), e.ceilDiv(range.end, step), 1, carried, [&](Value tile, ValueRange before) {
    MatrixProduct product{e.index(0), e.index(tiles.getPaddedDim() / step), packed, [&](int64_t half, Value depth) {
                            return loadPackedTile(e, gemm, left, tile, half, depth);
                          }};
    emitMatrixProduct(e, product, halves, /*overwrite=*/true, products, e.index(0), e.index(0));
    Value first = e.mul(tile, step);
    Value begin = e.sub(e.max(range.begin, first), first), end = e.sub(e.min(range.end, e.add(first, step)), first);
    return e.loop(begin, end, tiles.rows, before, [&](Value row, ValueRange carried) {
      if (fetches)
        for (const TileFetch &fetch : fetches(e.add(first, row)))
          fetch.emitFrom(e, e.index(0));
      Emitter::Values sums;
      for (int64_t r = 0; r < tiles.rows; ++r)
        for (int64_t v = 0; v < getVectors(); ++v)
          sums.push_back(e.load(products, {e.add(row, r), e.index(v * tiles.lanes)}));
      return body(e.add(first, row), sums, carried);
    });
  });
}

void AttentionScores::addMatrixKeyProducts(Value left, Value right, bool overwrite) {
  GemmTiles gemm = getMatrixTiles(tiles.keyBlock);
  e.loop(e.index(0), getPanelCount(), 1, [&](Value panel) {
    BlockRange range = getVisibleKeys(panel);
    Value column = e.mul(panel, tiles.getPanel()), pairs = getPairs(panel);
    emitPackMatrixPanel(e, kernels, gemm, {left, /*transposed=*/false, e.index(0), column}, keyCount,
                        e.index(tiles.getPanel()), pairs);
    e.loop(e.index(0), e.index(tiles.getPaddedDim() / step), 1, [&](Value tile) {
      MatrixProduct product{e.div(range.begin, step), e.ceilDiv(range.end, step), pairs, [&](int64_t half, Value depth) {
                              return loadPackedTile(e, gemm, right, tile, half, depth);
                            }};
      emitMatrixProduct(e, product, halves, overwrite, accumulator, e.mul(tile, step), column);
    });
  });
}

void AttentionScores::addMatrixQueryProduct(const QueryProduct &product, Value row) {
  BlockRange range = getQueriesOfRows(row, step);
  for (int64_t number = 0; number < tiles.getPaddedDim() / step; ++number) {
    MatrixProduct tile{e.div(range.begin, step), e.ceilDiv(range.end, step), getRowPanel(product.right, number),
                       [&](int64_t half, Value depth) {
                         return loadOperandTile(e, product.left, e.add(row, half * step / halves), e.mul(depth, step));
                       }};
    emitMatrixProduct(e, tile, halves, /*overwrite=*/false, product.out, row, e.index(number * step));
  }
}

} // namespace bpt
