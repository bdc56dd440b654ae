// The order in which persistent blocks take the tiles of an attention kernel.
#pragma once

#include "KernelBuilder.h"

namespace bpt::hopper {

/// Tiles are rows (blocks of queries or keys) x planes (heads of all batch elements). Planes come in sections whose
/// shared operands stay in the L2 cache together; within a section, the last row of all planes first. Blocks take one
/// tile in turn, in ascending order of blocks, then in descending order, and so on: whoever had the heaviest of a round
/// gets the lightest of the next.
class TileOrder {
public:
  using Value = mlir::Value;
  struct Tile {
    Value row, plane;
    Value turn; ///< how many tiles this block had before
  };

  /// `length` rows' elements in blocks of `block`; `planeBytes`: what all tiles of a plane read.
  TileOrder(KernelBuilder &e, Value length, int64_t block, Value planes, Value planeBytes);
  /// Visits this block's tiles; `body` gets and returns a counter that begins at 0.
  void visit(llvm::function_ref<Value(const Tile &, Value counter)> body);

private:
  Tile getTile(Value number, Value turn);
  KernelBuilder &e;
  Value rows, planes, section;
};

} // namespace bpt::hopper
