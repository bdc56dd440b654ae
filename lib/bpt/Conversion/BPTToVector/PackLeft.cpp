// The left operand of a product in the order in which the register tile reads it: for each step of the depth the
// elements of the tile's rows, one after another. A tile then walks a few kilobytes of consecutive memory, whatever the
// order of the matrix.
#include "Gemm.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

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
  void emitSquares(Value tile, Value count);
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
  int64_t line = 64 * 8 / e.accumulator.getIntOrFloatBitWidth();
  for (int64_t offset = 0; offset < tiles.rows * count; offset += line)
    memref::PrefetchOp::create(e, packed, ValueRange{tile, e.add(e.mul(step, tiles.rows), offset)}, /*isWrite=*/true,
                               /*localityHint=*/3, /*isDataCache=*/true);
}

//===--- a matrix stored by rows ----------------------------------------------------------------------------------===//

/// One tile, of which `count` rows exist (null: all): squares of lanes x lanes, transposed in registers.
void LeftPacker::emitSquares(Value tile, Value count) {
  Value firstRow = e.add(row, e.mul(tile, tiles.rows));
  e.columns(k, [&](Value start, Value mask) {
    emitFetch(e.add(tile, 1), start, tiles.lanes);
    SmallVector<SmallVector<Value>> squares;
    for (int64_t part : getParts(tiles)) {
      SmallVector<Value> rows;
      for (int64_t r = part; r < part + tiles.lanes; ++r) {
        auto load = [&]() -> SmallVector<Value> {
          return {e.load(matrix, at(e.add(firstRow, r), e.add(column, start)), mask)};
        };
        if (r >= tiles.rows)
          rows.push_back(e.splat(0));
        else if (!count)
          rows.push_back(load()[0]);
        else
          rows.push_back(
              e.choose(e.less(e.index(r), count), load, [&]() -> SmallVector<Value> { return {e.splat(0)}; })[0]);
      }
      squares.push_back(emitTranspose(e, rows));
    }
    for (int64_t step = 0; step < tiles.lanes; ++step)
      for (auto [part, square] : llvm::zip_equal(getParts(tiles), squares))
        store(square[step], tile, e.add(start, step), part);
  });
}

void LeftPacker::emitFromRows() {
  Value whole = e.div(m, tiles.rows);
  e.loop(e.index(0), whole, 1, [&](Value tile) { emitSquares(tile, {}); });
  Value rest = e.sub(m, e.mul(whole, tiles.rows));
  e.ifThen(e.less(e.index(0), rest), [&] { emitSquares(whole, rest); });
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
