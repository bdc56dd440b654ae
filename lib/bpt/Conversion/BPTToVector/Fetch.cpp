// Lines of memory that register tiles fetch.
#include "Fetch.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bpt {

TileFetch::TileFetch(Emitter &e, const Fetch &fetch, Value number, Value count) : fetch(fetch) {
  lineElements = getLineElements(getElementTypeOrSelf(fetch.memref));
  linesOfRow = llvm::divideCeil(fetch.columns, lineElements);
  Value share = e.ceilDiv(fetch.rows, count);
  first = e.min(e.mul(number, share), fetch.rows);
  lines = e.mul(e.min(share, e.sub(fetch.rows, first)), linesOfRow);
}

void TileFetch::emitLine(Emitter &e, Value number) const {
  e.ifThen(e.less(number, lines), [&] { emit(e, number); });
}

void TileFetch::emitFrom(Emitter &e, Value begin) const {
  e.loop(begin, lines, 1, [&](Value number) { emit(e, number); });
}

void TileFetch::emit(Emitter &e, Value number) const {
  Value row = e.add(fetch.row, e.add(first, e.div(number, linesOfRow)));
  Value column = e.add(fetch.column, e.mul(e.rem(number, e.index(linesOfRow)), lineElements));
  memref::PrefetchOp::create(e, fetch.memref, ValueRange{e.min(row, e.sub(e.dim(fetch.memref, 0), 1)), column},
                             /*isWrite=*/false, /*localityHint=*/2, /*isDataCache=*/true);
}

} // namespace bpt
