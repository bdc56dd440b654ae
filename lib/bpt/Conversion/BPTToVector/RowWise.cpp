// Items of several rows, sums over the columns of a row.
#include "RowWise.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

SmallVector<Value> at(ArrayRef<Value> leading, Value column) {
  SmallVector<Value> indices(leading);
  indices.push_back(column);
  return indices;
}

/// Rows of `columns` columns that make an item.
static Value rowsOfItem(Emitter &e, Value columns) {
  return e.max(e.div(e.index(elementsPerItem), e.max(columns, 1)), 1);
}

void parallelRows(Emitter &e, Value rows, Value columns, function_ref<void(Value)> body) {
  Value rowsPerItem = rowsOfItem(e, columns);
  e.parallel(e.ceilDiv(rows, rowsPerItem), [&](Value item) {
    Value begin = e.mul(item, rowsPerItem);
    e.loop(begin, e.min(e.add(begin, rowsPerItem), rows), 1, body);
  });
}

std::function<void(Value)> fetchNextRow(Emitter &e, Value memref, Value row, Value rows) {
  SmallVector<Value> next = e.rowIndices(memref, e.min(e.add(row, 1), e.sub(rows, 1)));
  return [&e, memref, next](Value column) {
    memref::PrefetchOp::create(e, memref, at(next, column), /*isWrite=*/false, /*localityHint=*/2,
                               /*isDataCache=*/true);
  };
}

/// More than last-level caches have for one process, in bytes.
static constexpr int64_t streamedBytes = 24 << 20;

void emitStreaming(Emitter &e, Value out, function_ref<void(bool)> emit) {
  auto type = cast<MemRefType>(out.getType());
  if (e.target.hasWarps || type.getRank() == 0 || type.isDynamicDim(type.getRank() - 1) ||
      type.getShape().back() % e.lanes)
    return emit(false);
  int64_t element = type.getElementTypeBitWidth() / 8;
  auto shape = memref::ExtractStridedMetadataOp::create(e, out);
  Value first = memref::ExtractAlignedPointerAsIndexOp::create(e, out), bytes = e.index(element);
  Value rest = e.rem(e.add(first, e.mul(shape.getOffset(), element)), e.index(e.lanes * element));
  for (Value stride : shape.getStrides().drop_back())
    rest = e.add(rest, e.rem(stride, e.index(e.lanes)));
  for (Value size : shape.getSizes())
    bytes = e.mul(bytes, size);
  Value isSmall = e.less(bytes, e.index(streamedBytes));
  e.ifThen(e.equal(e.select(isSmall, e.index(1), rest), e.index(0)), [&] { emit(true); }, [&] { emit(false); });
}

Pieces::Pieces(Emitter &e, Value rows, Value columns)
    : rows(rows), columns(columns), rowsPerPiece(rowsOfItem(e, columns)),
      piecesPerRow(e.ceilDiv(columns, columnsPerPiece)) {
  count = e.mul(e.ceilDiv(rows, rowsPerPiece), piecesPerRow);
}

void Pieces::visit(Emitter &e, Value piece, function_ref<void(Value, Value, Value)> body) const {
  Value begin = e.mul(e.div(piece, piecesPerRow), rowsPerPiece);
  Value column = e.mul(e.rem(piece, piecesPerRow), e.index(columnsPerPiece));
  Value end = e.min(e.add(column, columnsPerPiece), columns);
  e.loop(begin, e.min(e.add(begin, rowsPerPiece), rows), 1, [&](Value row) { body(row, column, end); });
}

SmallVector<Value> sumColumns(Emitter &e, Value begin, Value end, unsigned count,
                              function_ref<SmallVector<Value>(Value, Value)> terms) {
  constexpr int64_t partial = 4;
  SmallVector<Value> sums(partial * count, e.splat(0));
  Value length = e.sub(end, begin);
  Value unrolled = e.add(begin, e.mul(e.div(length, partial * e.lanes), partial * e.lanes));
  sums = e.loop(begin, unrolled, partial * e.lanes, sums, [&](Value column, ValueRange carried) {
    Emitter::Values next;
    for (int64_t part = 0; part < partial; ++part) {
      SmallVector<Value> values = terms(e.add(column, part * e.lanes), Value());
      for (unsigned i = 0; i < count; ++i)
        next.push_back(e.addf(carried[part * count + i], values[i]));
    }
    return next;
  });
  auto addTo = [&](ValueRange carried, Value column, Value mask) {
    SmallVector<Value> values = terms(column, mask);
    Emitter::Values next(carried);
    for (unsigned i = 0; i < count; ++i)
      next[i] = e.addf(carried[i], mask ? Value(arith::SelectOp::create(e, mask, values[i], e.splat(0))) : values[i]);
    return next;
  };
  Value whole = e.add(begin, e.mul(e.div(length, e.lanes), e.lanes));
  sums = e.loop(unrolled, whole, e.lanes, sums,
                [&](Value column, ValueRange carried) { return addTo(carried, column, Value()); });
  sums = e.choose(
      e.less(whole, end), [&] { return addTo(sums, whole, e.maskFirst(e.sub(end, whole))); },
      [&] { return Emitter::Values(sums); });
  SmallVector<Value> results;
  for (unsigned i = 0; i < count; ++i) {
    Value low = e.addf(sums[i], sums[count + i]), high = e.addf(sums[2 * count + i], sums[3 * count + i]);
    results.push_back(e.sumLanes(e.addf(low, high)));
  }
  return results;
}

void visitColumns(Emitter &e, Value begin, Value end, function_ref<void(Value, Value)> body) {
  Value whole = e.add(begin, e.mul(e.div(e.sub(end, begin), e.lanes), e.lanes));
  e.loop(begin, whole, e.lanes, [&](Value column) { body(column, Value()); });
  e.ifThen(e.less(whole, end), [&] { body(whole, e.maskFirst(e.sub(end, whole))); });
}

Value expandScalar(OpBuilder &builder, Location loc, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  if (type.getRank() != 0)
    return memref;
  SmallVector<int64_t> one = {1};
  return memref::ExpandShapeOp::create(builder, loc, one, memref, ArrayRef<ReassociationIndices>{});
}

} // namespace bpt
