// Packing: blocks of A by rows, panels of B, transposition in registers.
#include "Gemm.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

SmallVector<Value> emitTranspose(Emitter &e, ValueRange vectors) {
  // Swaps one bit of the row number with the same bit of the lane number at a time (Eklundh 1972).
  SmallVector<Value> rows(vectors);
  int64_t lanes = e.lanes;
  for (int64_t bit = 1; bit < lanes; bit *= 2)
    for (int64_t i = 0; i < lanes; ++i) {
      if (i & bit)
        continue;
      SmallVector<int64_t> low, high;
      for (int64_t lane = 0; lane < lanes; ++lane) {
        low.push_back(lane & bit ? lanes + (lane ^ bit) : lane);
        high.push_back(lane & bit ? lanes + lane : lane ^ bit);
      }
      Value a = rows[i], b = rows[i | bit];
      rows[i] = vector::ShuffleOp::create(e, a, b, low);
      rows[i | bit] = vector::ShuffleOp::create(e, a, b, high);
    }
  return rows;
}

static MemRefType getRowsType(Emitter &e, int64_t columns) {
  auto layout = StridedLayoutAttr::get(e.getContext(), ShapedType::kDynamic, {ShapedType::kDynamic, 1});
  return MemRefType::get({ShapedType::kDynamic, columns}, e.accumulator, layout);
}

/// Indices of row `row`, column `column` of a memref seen as rows.
static SmallVector<Value> getIndices(Emitter &e, Value memref, Value row, Value column) {
  SmallVector<Value> indices = e.rowIndices(memref, row);
  indices.push_back(column);
  return indices;
}

void emitPackRows(Emitter &e, KernelCache &kernels, Matrix a, Value m, Value k, Value block) {
  Type index = e.getIndexType();
  kernels.callHelper(
      e, "bpt_pack_rows", {a.memref, a.getRow(e), a.getColumn(e), m, k, block},
      {getKernelType(a.memref.getType(), cast<MemRefType>(a.memref.getType()).getRank()), index, index, index, index,
       getRowsType(e, ShapedType::kDynamic)},
      {}, [&](Emitter &e, ValueRange args) -> SmallVector<Value> {
        e.loop(e.index(0), args[3], 1, [&](Value i) {
          SmallVector<Value> from = getIndices(e, args[0], e.add(args[1], i), {});
          Value next = e.add(i, 1);
          e.columns(args[4], [&](Value j, Value mask) {
            // The block lies in the second-level cache: lines come before they are written.
            memref::PrefetchOp::create(e, args[5], ValueRange{next, j}, /*isWrite=*/true, /*localityHint=*/3, /*isDataCache=*/true);
            from.back() = e.add(args[2], j);
            e.store(e.load(args[0], from, mask), args[5], {i, j});
          });
        });
        return {};
      });
}

/// panel[0..k, 0..n) from a matrix stored by rows.
static void emitStraight(Emitter &e, Value memref, Value row, Value column, Value k, Value n, Value panel, int64_t width) {
  auto copy = [&](bool masked) {
    SmallVector<Value> masks;
    if (masked)
      for (int64_t j = 0; j < width; j += e.lanes)
        masks.push_back(e.maskFirst(e.max(e.sub(n, e.min(n, j)), 0)));
    e.loop(e.index(0), k, 1, [&](Value i) {
      SmallVector<Value> from = getIndices(e, memref, e.add(row, i), {});
      for (int64_t j = 0; j < width; j += e.lanes) {
        from.back() = e.add(column, j);
        e.store(e.load(memref, from, masked ? masks[j / e.lanes] : Value()), panel, {i, e.index(j)});
      }
    });
  };
  e.ifThen(e.equal(n, e.index(width)), [&] { copy(false); }, [&] { copy(true); });
}

/// panel[0..k, 0..n) from a matrix whose transpose is stored by rows: squares of lanes x lanes.
static void emitTransposed(Emitter &e, Value memref, Value row, Value column, Value k, Value n, Value panel, int64_t width) {
  e.loop(e.index(0), e.index(width), e.lanes, [&](Value j) {
    Value count = e.sub(n, e.min(n, j)); // rows of the memref that exist from here
    auto square = [&](Value start, Value mask, bool whole) {
      SmallVector<Value> rows;
      for (int64_t r = 0; r < e.lanes; ++r) {
        auto loadRow = [&]() -> SmallVector<Value> {
          Value position = e.add(row, e.add(j, r));
          return {e.load(memref, getIndices(e, memref, position, e.add(column, start)), mask)};
        };
        if (whole)
          rows.push_back(loadRow()[0]);
        else
          rows.push_back(e.choose(e.less(e.index(r), count), loadRow, [&]() -> SmallVector<Value> { return {e.splat(0)}; })[0]);
      }
      rows = emitTranspose(e, rows);
      for (int64_t r = 0; r < e.lanes; ++r)
        e.store(rows[r], panel, {e.add(start, r), j});
    };
    auto squares = [&](bool whole) {
      e.columns(k, [&](Value start, Value mask) { square(start, mask, whole); });
    };
    e.ifThen(e.less(count, e.index(e.lanes)), [&] { squares(false); }, [&] { squares(true); });
  });
}

void emitPackPanel(Emitter &e, KernelCache &kernels, Matrix b, Value k, Value n, Value panel) {
  Type index = e.getIndexType();
  int64_t width = cast<MemRefType>(panel.getType()).getDimSize(1);
  bool transposed = b.transposed;
  kernels.callHelper(e, transposed ? "bpt_pack_panel_transposed" : "bpt_pack_panel",
                     {b.memref, b.getRow(e), b.getColumn(e), k, n, panel},
                     {getKernelType(b.memref.getType(), cast<MemRefType>(b.memref.getType()).getRank()), index, index,
                      index, index, MemRefType::get({ShapedType::kDynamic, width}, e.accumulator)},
                     {}, [&](Emitter &e, ValueRange args) -> SmallVector<Value> {
                       auto emit = transposed ? emitTransposed : emitStraight;
                       emit(e, args[0], args[1], args[2], args[3], args[4], args[5], width);
                       return {};
                     });
}

} // namespace bpt
