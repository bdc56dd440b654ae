// Ends of tiles: addresses of pairs, plain stores, sums over chunks.
#include "GemmEpilogues.h"

#include "WarpGroupMatrix.h"

using namespace mlir;

namespace bpt::hopper {

//===-- Places --------------------------------------------------------------------------------------------------===//

ThreadTile::ThreadTile(KernelBuilder &e, const TilePlace &tile) : e(e), tile(tile) {
  FragmentPosition position = FragmentPosition::get(e);
  column = e.add(tile.column, position.column);
  for (int64_t half : {0, 1}) {
    row[half] = e.add(e.add(tile.row, position.row), 8 * half);
    rowExists[half] = e.less(row[half], tile.rows);
    safeRow[half] = e.min(row[half], e.sub(tile.rows, 1));
  }
}

Value ThreadTile::columnsExist(int64_t offset) { return e.less(e.i32(offset), e.sub(tile.columns, column)); }

Value ThreadTile::getSafeOffset(int64_t offset) {
  // Pairs come column by column in straight-line code: what one half has found is there for the other.
  Value &known = safeOffsets[offset];
  if (!known)
    known = e.min(e.i32(offset), e.sub(e.sub(tile.columns, 2), column));
  return known;
}

//===-- Pairs in memory -----------------------------------------------------------------------------------------===//

Pair loadPair(KernelBuilder &e, Value address, Type element) {
  if (!element.isF32())
    return e.unpack(e.load(address, e.getI32Type()), element);
  Value both = e.load(address, VectorType::get(2, element));
  return {LLVM::ExtractElementOp::create(e, both, e.i32(0)), LLVM::ExtractElementOp::create(e, both, e.i32(1))};
}

void storePair(KernelBuilder &e, Value address, const Pair &pair, Type element) {
  if (!element.isF32())
    return e.store(e.pack(pair[0], pair[1], element), address);
  Value both = LLVM::PoisonOp::create(e, VectorType::get(2, element));
  for (int64_t i : {0, 1})
    both = LLVM::InsertElementOp::create(e, both, pair[i], e.i32(i));
  e.store(both, address);
}

void PairMatrix::begin(ThreadTile &here, ValueRange outer) {
  tile = &here;
  KernelBuilder &e = here.e;
  for (int64_t half : {0, 1}) {
    SmallVector<Value> indices(outer);
    indices.append({here.safeRow[half], here.column});
    rows[half] = GlobalView(e, argument, element).getAddress(indices);
  }
}

Pair PairMatrix::load(const PairPlace &place) {
  KernelBuilder &e = tile->e;
  return loadPair(e, e.getElement(rows[place.half], tile->getSafeOffset(place.offset), element), element);
}

void PairMatrix::store(const PairPlace &place, const Pair &pair) {
  KernelBuilder &e = tile->e;
  e.ifThen(e.bitAnd(tile->rowExists[place.half], tile->columnsExist(place.offset)), [&] {
    int64_t bytes = place.offset * element.getIntOrFloatBitWidth() / 8;
    storePair(e, e.advance(rows[place.half], bytes), pair, element);
  });
}

void ColumnVector::begin(ThreadTile &here) {
  tile = &here;
  known.clear();
}

Pair ColumnVector::load(const PairPlace &place) {
  auto [entry, isNew] = known.try_emplace(place.offset);
  if (isNew) {
    KernelBuilder &e = tile->e;
    Value column = e.add(tile->column, tile->getSafeOffset(place.offset));
    entry->second = loadPair(e, e.getElement(e.getArgument(pointer), column, element), element);
  }
  return entry->second;
}

PairMatrix addPairMatrix(LaunchArguments &arguments, Value memref) {
  return {arguments.addStrided(memref), cast<MemRefType>(memref.getType()).getElementType()};
}

ColumnVector addColumnVector(LaunchArguments &arguments, Value memref) {
  if (!memref)
    return {};
  return {arguments.addPointer(memref), cast<MemRefType>(memref.getType()).getElementType()};
}

static Pair add(KernelBuilder &e, const Pair &a, const Pair &b) { return {e.addf(a[0], b[0]), e.addf(a[1], b[1])}; }

//===-- Epilogues -----------------------------------------------------------------------------------------------===//

void StoreEpilogue::beginTile() {
  if (bias)
    bias.begin(*here);
  if (added)
    added.begin(*here, here->tile.outer);
}

SmallVector<Pair> StoreEpilogue::finish(const PairPlace &place, ArrayRef<Pair> sums) {
  Pair value = sums[0];
  if (bias)
    value = add(here->e, value, bias.load(place));
  if (added)
    value = add(here->e, value, added.load(place));
  return {value};
}

SmallVector<Pair> WideStoreEpilogue::finish(const PairPlace &place, ArrayRef<Pair> sums) {
  out.store(place, adds ? add(here->e, sums[0], out.load(place)) : sums[0]);
  return {};
}

void ChunkSumEpilogue::beginTile() {
  KernelBuilder &e = here->e;
  out.begin(*here, here->tile.outer);
  between.begin(*here, here->tile.outer);
  isFirst = e.less(e.i32(0), e.getArgument(first));
  isLast = e.less(e.i32(0), e.getArgument(last));
}

SmallVector<Pair> ChunkSumEpilogue::finish(const PairPlace &place, ArrayRef<Pair> sums) {
  KernelBuilder &e = here->e;
  auto loadFrom = [&](PairMatrix &from) {
    Pair pair = from.load(place);
    return Fragment{pair[0], pair[1]};
  };
  // Inside the branches, so that nothing that is found there is used elsewhere.
  (void)here->getSafeOffset(place.offset);
  Fragment before = e.choose(isFirst, [&] { return loadFrom(out); }, [&] { return loadFrom(between); });
  Pair sum = add(e, sums[0], {before[0], before[1]});
  e.ifThen(isLast, [&] { out.store(place, sum); }, [&] { between.store(place, sum); });
  return {};
}

} // namespace bpt::hopper
