// Decoding of tile numbers.
#include "TileOrder.h"
#include "bpt/Analysis/HopperTiles.h"

using namespace mlir;

namespace bpt::hopper {

TileOrder::TileOrder(KernelBuilder &e, Value length, int64_t block, Value planes, Value planeBytes)
    : e(e), rows(e.ceilDiv(length, block)), planes(planes) {
  section = e.max(e.min(e.div(e.i32(HopperLimits::l2Bytes), e.max(planeBytes, 1)), planes), 1);
}

TileOrder::Tile TileOrder::getTile(Value number, Value turn) {
  Value perSection = e.mul(section, rows), sectionNumber = e.div(number, perSection);
  Value first = e.mul(sectionNumber, section), rest = e.rem(number, perSection);
  Value width = e.min(section, e.sub(planes, first)); // the last section may be narrower
  Value row = e.sub(e.sub(rows, 1), e.div(rest, width));
  return {row, e.add(first, e.rem(rest, width)), turn};
}

void TileOrder::visit(function_ref<Value(const Tile &, Value)> body) {
  Value blocks = e.getGridSize(KernelBuilder::Dim::X), block = e.getBlock(KernelBuilder::Dim::X);
  Value total = e.mul(rows, planes), zero = e.i32(0);
  (void)e.loop(block, total, blocks, ValueRange{zero, zero}, [&](Value forwards, ValueRange carried) {
    Value counter = carried[0], turn = carried[1];
    Value begin = e.sub(forwards, block), width = e.min(blocks, e.sub(total, begin));
    Value backwards = e.add(begin, e.sub(e.sub(width, 1), block));
    Value number = e.select(e.equal(e.bitAnd(turn, 1), 0), forwards, backwards);
    Value next = body(getTile(number, turn), counter);
    return Fragment{next, e.add(turn, 1)};
  });
}

} // namespace bpt::hopper
