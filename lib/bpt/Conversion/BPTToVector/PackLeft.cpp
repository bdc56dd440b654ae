// The left operand of a product in the order in which the register tile reads it: for each step of the depth the
// elements of the tile's rows, one after another. A tile then walks a few kilobytes of consecutive memory, whatever the
// order of the matrix.
#include "Gemm.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

namespace {
/// Emits one of the two copies: what it reads is `matrix` from [row, column] on, m rows of the left operand by a depth
/// of k. Vectors are stored at every `rows` elements, a little longer than that: each overwrites what the one before
/// left over.
struct LeftPacker {
  Emitter &e;
  const GemmTiles &tiles;
  Value matrix, row, column, m, k, packed;

  void emitFromRows();
  void emitFromColumns();

private:
  SmallVector<Value> at(Value memrefRow, Value memrefColumn) {
    SmallVector<Value> indices = e.rowIndices(matrix, memrefRow);
    indices.push_back(memrefColumn);
    return indices;
  }
  void emitTileOfRows(Value tile, Value count);
  bool canInterleave() const;
  void storeInterleaved(ArrayRef<Value> rows, Value tile, Value start);
  void emitSteps(Value step, int64_t count, Value firstTile, Value endTile, bool masked);
  void emitFetch(Value tile, Value step, int64_t count);
  void store(Value value, Value tile, Value step, int64_t part) {
    e.store(value, packed, {tile, e.add(e.mul(step, tiles.rows), part)});
  }
};
} // namespace

/// Where the vectors of one step begin: several where a vector has fewer lanes than a tile has rows.
static SmallVector<int64_t> getParts(const GemmTiles &tiles) {
  SmallVector<int64_t> parts;
  for (int64_t part = 0; part < tiles.rows; part += tiles.lanes)
    parts.push_back(part);
  return parts;
}

/// Fetches the lines that `count` steps of a tile will be written to: the block lies in the second-level cache.
void LeftPacker::emitFetch(Value tile, Value step, int64_t count) {
  int64_t line = getLineElements(e.accumulator);
  for (int64_t offset = 0; offset < tiles.rows * count; offset += line)
    memref::PrefetchOp::create(e, packed, ValueRange{tile, e.add(e.mul(step, tiles.rows), offset)}, /*isWrite=*/true,
                               /*localityHint=*/3, /*isDataCache=*/true);
}

//===--- a matrix stored by rows ----------------------------------------------------------------------------------===//

/// Six rows of 32-bit elements are put together in quads of lanes, with half of the shuffles of a transposition.
bool LeftPacker::canInterleave() const {
  return tiles.rows == 6 && tiles.lanes >= 8 && e.accumulator.getIntOrFloatBitWidth() == 32;
}

/// Stores what a vector of each of the six rows a to f holds: a0 b0 c0 d0, e0 f0 a1 b1, c1 d1 e1 f1 and so on. Each
/// vector of these quads has one of every four steps.
void LeftPacker::storeInterleaved(ArrayRef<Value> rows, Value tile, Value start) {
  auto shuffle = [&](Value x, Value y, ArrayRef<int64_t> ofFour) {
    SmallVector<int64_t> lanes;
    for (int64_t quad = 0; quad < tiles.lanes; quad += 4)
      for (int64_t lane : ofFour) // 4 and above: of y
        lanes.push_back(lane < 4 ? quad + lane : tiles.lanes + quad + lane - 4);
    return Value(vector::ShuffleOp::create(e, x, y, lanes));
  };
  SmallVector<Value> low, high; // pairs of rows: steps 0 and 1, steps 2 and 3
  for (int64_t r = 0; r < 6; r += 2) {
    low.push_back(shuffle(rows[r], rows[r + 1], {0, 4, 1, 5}));
    high.push_back(shuffle(rows[r], rows[r + 1], {2, 6, 3, 7}));
  }
  SmallVector<Value> quads;
  for (ArrayRef<Value> pairs : {ArrayRef(low), ArrayRef(high)}) {
    quads.push_back(shuffle(pairs[0], pairs[1], {0, 1, 4, 5}));
    quads.push_back(shuffle(pairs[2], pairs[0], {0, 1, 6, 7}));
    quads.push_back(shuffle(pairs[1], pairs[2], {2, 3, 6, 7}));
  }
  for (int64_t step = 0; step < tiles.lanes; step += 4)
    for (auto [i, vector] : llvm::enumerate(quads)) {
      Value quad = vector::ExtractStridedSliceOp::create(e, vector, ArrayRef<int64_t>{step}, ArrayRef<int64_t>{4},
                                                         ArrayRef<int64_t>{1});
      e.store(quad, packed, {tile, e.add(e.mul(e.add(start, step), tiles.rows), 4 * static_cast<int64_t>(i))});
    }
}

/// One tile, of which `count` rows exist (null: all), a vector of steps at a time: squares of lanes x lanes, transposed
/// in registers.
void LeftPacker::emitTileOfRows(Value tile, Value count) {
  Value firstRow = e.add(row, e.mul(tile, tiles.rows));
  e.columns(k, [&](Value start, Value mask) {
    auto loadRow = [&](int64_t r) -> Value {
      auto load = [&]() -> SmallVector<Value> {
        return {e.load(matrix, at(e.add(firstRow, r), e.add(column, start)), mask)};
      };
      auto none = [&]() -> SmallVector<Value> { return {e.splat(0)}; };
      return !count ? load()[0] : e.choose(e.less(e.index(r), count), load, none)[0];
    };
    emitFetch(e.add(tile, 1), start, tiles.lanes);
    SmallVector<Value> rows;
    for (int64_t r = 0; r < tiles.rows; ++r)
      rows.push_back(loadRow(r));
    if (canInterleave())
      return storeInterleaved(rows, tile, start);
    SmallVector<SmallVector<Value>> squares;
    for (int64_t part : getParts(tiles)) {
      SmallVector<Value> square(rows.begin() + part, rows.begin() + std::min(part + tiles.lanes, tiles.rows));
      square.resize(tiles.lanes, e.splat(0));
      squares.push_back(emitTranspose(e, square));
    }
    for (int64_t step = 0; step < tiles.lanes; ++step)
      for (auto [part, square] : llvm::zip_equal(getParts(tiles), squares))
        store(square[step], tile, e.add(start, step), part);
  });
}

void LeftPacker::emitFromRows() {
  Value whole = e.div(m, tiles.rows);
  e.loop(e.index(0), whole, 1, [&](Value tile) { emitTileOfRows(tile, {}); });
  Value rest = e.sub(m, e.mul(whole, tiles.rows));
  e.ifThen(e.less(e.index(0), rest), [&] { emitTileOfRows(whole, rest); });
}

//===--- a matrix whose columns are rows of memory ----------------------------------------------------------------===//

/// Steps [step, step + count) of tiles [firstTile, endTile): of each tile a few consecutive lines.
void LeftPacker::emitSteps(Value step, int64_t count, Value firstTile, Value endTile, bool masked) {
  e.loop(firstTile, endTile, 1, [&](Value tile) {
    emitFetch(tile, e.add(step, count), count);
    for (int64_t i = 0; i < count; ++i)
      for (int64_t part : getParts(tiles)) {
        Value first = e.add(e.mul(tile, tiles.rows), part);
        Value mask = masked ? e.maskFirst(e.sub(e.max(m, first), first)) : Value();
        store(e.load(matrix, at(e.add(row, e.add(step, i)), e.add(column, first)), mask), tile, e.add(step, i), part);
      }
  });
}

void LeftPacker::emitFromColumns() {
  // Vectors of the last tiles may go beyond the matrix.
  int64_t length = llvm::alignTo(tiles.rows, tiles.lanes), beyond = length - tiles.rows;
  Value all = e.ceilDiv(m, tiles.rows), whole = e.div(e.sub(e.max(m, beyond), beyond), tiles.rows);
  auto visit = [&](Value begin, Value end, int64_t count) {
    e.loop(begin, end, count, [&](Value step) {
      emitSteps(step, count, e.index(0), whole, false);
      emitSteps(step, count, whole, all, true);
    });
  };
  constexpr int64_t together = 8;
  Value even = e.mul(e.div(k, together), together);
  visit(e.index(0), even, together);
  visit(even, k, 1);
}

void emitPackLeft(Emitter &e, KernelCache &kernels, Matrix a, Value m, Value k, Value packed) {
  const GemmTiles tiles = GemmTiles::get(e.accumulator, e.target);
  Type index = e.getIndexType();
  kernels.callHelper(e, a.transposed ? "bpt_pack_left_columns" : "bpt_pack_left_rows",
                     {a.memref, a.getRow(e), a.getColumn(e), m, k, packed},
                     {getKernelType(a.memref.getType(), cast<MemRefType>(a.memref.getType()).getRank()), index, index,
                      index, index, packed.getType()},
                     {}, [&](Emitter &e, ValueRange args) -> SmallVector<Value> {
                       LeftPacker packer{e, tiles, args[0], args[1], args[2], args[3], args[4], args[5]};
                       if (a.transposed)
                         packer.emitFromColumns();
                       else
                         packer.emitFromRows();
                       return {};
                     });
}

} // namespace bpt
