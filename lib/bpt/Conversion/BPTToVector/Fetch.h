// Memory that the next products will need, fetched into the second-level cache while register tiles multiply.
#pragma once

#include "Emitter.h"

namespace bpt {

/// Rows of a matrix in memory.
struct Fetch {
  mlir::Value memref, row, column; ///< where they begin
  mlir::Value rows;
  int64_t columns;
};

/// The share of a Fetch that one of several tiles takes over, line by line. A line that is fetched costs as much of the
/// way to the caches as one that the tile reads: none is fetched twice.
class TileFetch {
public:
  /// Of tile `number` of `count`.
  TileFetch(Emitter &e, const Fetch &fetch, mlir::Value number, mlir::Value count);

  /// Line `number`, if the share has so many.
  void emitLine(Emitter &e, mlir::Value number) const;
  /// Lines from `begin` on at once.
  void emitFrom(Emitter &e, mlir::Value begin) const;

private:
  void emit(Emitter &e, mlir::Value number) const;

  Fetch fetch;
  int64_t lineElements, linesOfRow;
  mlir::Value first, lines;
};

} // namespace bpt
