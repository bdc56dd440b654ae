// Block masks: visibility of blocks, bounds of loops, the elementwise predicate, counts. Every mask of the dialect is a
// list of bands, and everything below is written once for bands.
#include "bpt/IR/BPT.h"

using namespace mlir;
using bpt::BlockMaskAttrInterface;
using bpt::BlockVisibility;

namespace {
/// The columns one rule shows to row i are an interval: j >= i + low where there is a `low`, and j < max(floor, i +
/// high) where there is a `high`. Both ends grow with i, so a block's bounds come from its first and last row.
struct Band {
  std::optional<int64_t> low, high;
  std::optional<int64_t> floor;
};
using Bands = SmallVector<Band, 2>;
using BoundPair = std::pair<Value, Value>;
using Wide = __int128;

/// Shifts beyond this show everything; bounded, so that no sum with an index overflows.
constexpr int64_t farAway = int64_t(1) << 61;

/// The bands of `mask`, nested intersections included; masks of other dialects go to `others`.
void collect(Attribute mask, Bands &bands, SmallVectorImpl<BlockMaskAttrInterface> &others) {
  if (isa<bpt::FullMaskAttr>(mask))
    return;
  if (isa<bpt::CausalMaskAttr>(mask)) {
    bands.push_back({std::nullopt, 1, std::nullopt});
  } else if (auto window = dyn_cast<bpt::SlidingWindowMaskAttr>(mask)) {
    int64_t size = std::min(window.getSize(), farAway);
    bands.push_back({1 - size, size, std::nullopt});
  } else if (auto prefix = dyn_cast<bpt::PrefixMaskAttr>(mask)) {
    bands.push_back({std::nullopt, 1, std::min(prefix.getLength(), farAway)});
  } else if (auto intersection = dyn_cast<bpt::IntersectionMaskAttr>(mask)) {
    for (Attribute member : intersection.getMasks())
      collect(member, bands, others);
  } else {
    others.push_back(cast<BlockMaskAttrInterface>(mask));
  }
}

struct Rules {
  explicit Rules(Attribute mask) { collect(mask, bands, others); }
  bool isTrivial() const { return bands.empty() && others.empty(); }
  Bands bands;
  SmallVector<BlockMaskAttrInterface, 0> others;
};

//===-- Static ranges -------------------------------------------------------------------------------------------===//

/// Number of columns in [j0, j1) that the bands show to row i.
Wide widthOfRow(const Bands &bands, Wide i, Wide j0, Wide j1) {
  for (const Band &band : bands) {
    if (band.low)
      j0 = std::max<Wide>(j0, i + *band.low);
    if (band.high)
      j1 = std::min<Wide>(j1, band.floor ? std::max<Wide>(*band.floor, i + *band.high) : i + *band.high);
  }
  return std::max<Wide>(0, j1 - j0);
}

/// Visible pairs of the block, saturated. The width of a row is piecewise linear in i; it bends only where i + shift
/// meets a constant (an end of the columns or a floor), so the sum is one trapezium per piece, whatever the lengths.
Wide countPairs(const Bands &bands, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
  if (i0 >= i1 || j0 >= j1)
    return 0;
  SmallVector<Wide> constants = {j0, j1};
  SmallVector<Wide> bends = {i0, i1};
  for (const Band &band : bands)
    if (band.floor)
      constants.push_back(*band.floor);
  for (const Band &band : bands)
    for (std::optional<int64_t> shift : {band.low, band.high})
      for (Wide constant : constants)
        if (shift && constant - *shift > i0 && constant - *shift < i1)
          bends.push_back(constant - *shift);
  llvm::sort(bends);
  Wide total = 0;
  for (auto [from, to] : llvm::zip(ArrayRef(bends).drop_back(), ArrayRef(bends).drop_front())) {
    if (from == to)
      continue;
    Wide ends = widthOfRow(bands, from, j0, j1) + widthOfRow(bands, to - 1, j0, j1);
    Wide pairs = 0;
    if (__builtin_mul_overflow(ends, to - from, &pairs) || __builtin_add_overflow(total, pairs / 2, &total))
      return Wide(std::numeric_limits<int64_t>::max());
  }
  return total;
}

BlockVisibility classify(const Rules &rules, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
  Wide visible = countPairs(rules.bands, i0, i1, j0, j1);
  if (visible == 0)
    return BlockVisibility::None;
  bool all = visible == (Wide(i1) - i0) * (Wide(j1) - j0);
  for (BlockMaskAttrInterface other : rules.others) {
    BlockVisibility part = other.classifyBlock(i0, i1, j0, j1);
    if (part == BlockVisibility::None)
      return part;
    all &= part == BlockVisibility::All;
  }
  return all ? BlockVisibility::All : BlockVisibility::Mixed;
}

/// Counts with masks of other dialects, which only classify: quarters mixed blocks.
Wide countByQuarters(const Rules &rules, int64_t i0, int64_t i1, int64_t j0, int64_t j1) {
  switch (classify(rules, i0, i1, j0, j1)) {
  case BlockVisibility::None:
    return 0;
  case BlockVisibility::All:
    return Wide(i1 - i0) * (j1 - j0);
  case BlockVisibility::Mixed:
    break;
  }
  if (i1 - i0 == 1 && j1 - j0 == 1)
    return llvm::all_of(rules.others, [&](BlockMaskAttrInterface other) { return other.isVisible(i0, j0); });
  int64_t i = i0 + (i1 - i0) / 2, j = j0 + (j1 - j0) / 2;
  return countByQuarters(rules, i0, i, j0, j) + countByQuarters(rules, i0, i, j, j1) +
         countByQuarters(rules, i, i1, j0, j) + countByQuarters(rules, i, i1, j, j1);
}

int64_t count(const Rules &rules, int64_t rows, int64_t columns, int64_t offset) {
  int64_t end = 0;
  if (rows <= 0 || columns <= 0 || llvm::AddOverflow(rows, offset, end))
    return 0;
  Wide pairs = rules.others.empty() ? countPairs(rules.bands, offset, end, 0, columns)
                                    : countByQuarters(rules, offset, end, 0, columns);
  return static_cast<int64_t>(std::min<Wide>(pairs, std::numeric_limits<int64_t>::max()));
}

bool isPairVisible(const Rules &rules, int64_t i, int64_t j) {
  return widthOfRow(rules.bands, i, j, Wide(j) + 1) == 1 &&
         llvm::all_of(rules.others, [&](BlockMaskAttrInterface other) { return other.isVisible(i, j); });
}

//===-- Ranges known at run time --------------------------------------------------------------------------------===//

/// Integer arithmetic on index, integers and vectors of them, folded where it can be.
struct Arithmetic {
  OpBuilder &builder;
  Location loc;

  Value constant(Type type, int64_t value) const {
    // Half of the type's range is left for the index the constant is added to.
    if (auto integer = dyn_cast<IntegerType>(getElementTypeOrSelf(type)))
      if (integer.getWidth() < 64) {
        int64_t bound = int64_t(1) << (integer.getWidth() > 2 ? integer.getWidth() - 2 : 0);
        value = std::clamp(value, -bound, bound - 1);
      }
    TypedAttr attribute = builder.getIntegerAttr(getElementTypeOrSelf(type), value);
    if (auto vector = dyn_cast<VectorType>(type))
      attribute = DenseElementsAttr::get(vector, attribute);
    return arith::ConstantOp::create(builder, loc, type, attribute);
  }
  Value add(Value a, int64_t b) const {
    return b == 0 ? a : builder.createOrFold<arith::AddIOp>(loc, a, constant(a.getType(), b));
  }
  Value sub(Value a, Value b) const { return builder.createOrFold<arith::SubIOp>(loc, a, b); }
  Value min(Value a, Value b) const { return builder.createOrFold<arith::MinSIOp>(loc, a, b); }
  Value max(Value a, Value b) const { return builder.createOrFold<arith::MaxSIOp>(loc, a, b); }
  Value max(Value a, int64_t b) const { return max(a, constant(a.getType(), b)); }
  Value compare(arith::CmpIPredicate predicate, Value a, Value b) const {
    return builder.createOrFold<arith::CmpIOp>(loc, predicate, a, b);
  }
  /// `a` and `b`; null stands for true.
  Value both(Value a, Value b) const { return !a ? b : !b ? a : builder.createOrFold<arith::AndIOp>(loc, a, b); }
  /// The last column that `band` shows to row i: max(floor - 1, i + high - 1), which is i itself for causal masks.
  Value lastColumn(const Band &band, Value i) const {
    Value last = add(i, *band.high - 1);
    return band.floor ? max(last, *band.floor - 1) : last;
  }
  /// [begin, end) cut to [0, size) and to begin <= end.
  BoundPair clamp(Value begin, Value end, Value size) const {
    begin = min(max(begin, 0), size);
    return {begin, max(min(end, size), begin)};
  }
};

Value predicateOf(const Rules &rules, OpBuilder &builder, Location loc, Value i, Value j) {
  Arithmetic math{builder, loc};
  Value all;
  for (const Band &band : rules.bands) {
    if (band.low)
      all = math.both(all, math.compare(arith::CmpIPredicate::sge, j, math.add(i, *band.low)));
    if (band.high)
      all = math.both(all, math.compare(arith::CmpIPredicate::sle, j, math.lastColumn(band, i)));
  }
  for (BlockMaskAttrInterface other : rules.others)
    all = math.both(all, other.buildPredicate(builder, loc, i, j));
  return all;
}

BoundPair columnBoundsOf(const Rules &rules, OpBuilder &builder, Location loc, Value i0, Value i1, Value columns) {
  Arithmetic math{builder, loc};
  Value begin = math.constant(columns.getType(), 0), end = columns;
  for (const Band &band : rules.bands) {
    if (band.low)
      begin = math.max(begin, math.add(i0, *band.low));
    if (band.high)
      end = math.min(end, math.add(math.lastColumn(band, math.add(i1, -1)), 1));
  }
  for (BlockMaskAttrInterface other : rules.others) {
    BoundPair bounds = other.buildColumnBounds(builder, loc, i0, i1, columns);
    begin = math.max(begin, bounds.first);
    end = math.min(end, bounds.second);
  }
  return rules.isTrivial() ? BoundPair{begin, end} : math.clamp(begin, end, columns);
}

BoundPair rowBoundsOf(const Rules &rules, OpBuilder &builder, Location loc, Value j0, Value j1, Value rows,
                      Value offset) {
  Arithmetic math{builder, loc};
  Value zero = math.constant(rows.getType(), 0);
  Value begin = zero, end = rows;
  for (const Band &band : rules.bands) {
    if (band.low) // i <= j - low for the last column
      end = math.min(end, math.sub(math.add(j1, -*band.low), offset));
    if (!band.high)
      continue;
    // i > j - high for the first column, unless that is below the floor and so visible to every row.
    Value first = math.sub(math.add(j0, 1 - *band.high), offset);
    if (band.floor) {
      Value below = math.compare(arith::CmpIPredicate::slt, j0, math.constant(j0.getType(), *band.floor));
      first = builder.createOrFold<arith::SelectOp>(loc, below, zero, first);
    }
    begin = math.max(begin, first);
  }
  for (BlockMaskAttrInterface other : rules.others) {
    BoundPair bounds = other.buildRowBounds(builder, loc, j0, j1, rows, offset);
    begin = math.max(begin, bounds.first);
    end = math.min(end, bounds.second);
  }
  return rules.isTrivial() ? BoundPair{begin, end} : math.clamp(begin, end, rows);
}

Value allVisibleOf(const Rules &rules, OpBuilder &builder, Location loc, Value i0, Value i1, Value j0, Value j1) {
  Arithmetic math{builder, loc};
  Value all;
  for (const Band &band : rules.bands) {
    if (band.low)
      all = math.both(all, math.compare(arith::CmpIPredicate::sge, j0, math.add(i1, *band.low - 1)));
    if (band.high)
      all = math.both(all, math.compare(arith::CmpIPredicate::sle, math.add(j1, -1), math.lastColumn(band, i0)));
  }
  for (BlockMaskAttrInterface other : rules.others)
    all = math.both(all, other.buildAllVisible(builder, loc, i0, i1, j0, j1));
  return all ? all : arith::ConstantOp::create(builder, loc, builder.getBoolAttr(true)).getResult();
}
} // namespace

namespace bpt {

#define BPT_MASK_METHODS(Mask)                                                                                         \
  BlockVisibility Mask::classifyBlock(int64_t i0, int64_t i1, int64_t j0, int64_t j1) const {                          \
    return classify(Rules(*this), i0, i1, j0, j1);                                                                     \
  }                                                                                                                    \
  bool Mask::isVisible(int64_t i, int64_t j) const { return isPairVisible(Rules(*this), i, j); }                       \
  Value Mask::buildPredicate(OpBuilder &builder, Location loc, Value i, Value j) const {                               \
    return predicateOf(Rules(*this), builder, loc, i, j);                                                              \
  }                                                                                                                    \
  BoundPair Mask::buildColumnBounds(OpBuilder &builder, Location loc, Value i0, Value i1, Value columns) const {       \
    return columnBoundsOf(Rules(*this), builder, loc, i0, i1, columns);                                                \
  }                                                                                                                    \
  BoundPair Mask::buildRowBounds(OpBuilder &builder, Location loc, Value j0, Value j1, Value rows, Value offset)       \
      const {                                                                                                          \
    return rowBoundsOf(Rules(*this), builder, loc, j0, j1, rows, offset);                                              \
  }                                                                                                                    \
  Value Mask::buildAllVisible(OpBuilder &builder, Location loc, Value i0, Value i1, Value j0, Value j1) const {        \
    return allVisibleOf(Rules(*this), builder, loc, i0, i1, j0, j1);                                                   \
  }                                                                                                                    \
  int64_t Mask::countVisible(int64_t rows, int64_t columns, int64_t offset) const {                                    \
    return count(Rules(*this), rows, columns, offset);                                                                 \
  }
BPT_MASK_METHODS(FullMaskAttr)
BPT_MASK_METHODS(CausalMaskAttr)
BPT_MASK_METHODS(SlidingWindowMaskAttr)
BPT_MASK_METHODS(PrefixMaskAttr)
BPT_MASK_METHODS(IntersectionMaskAttr)
#undef BPT_MASK_METHODS

/// Whether whatever `a` shows, `b` shows too; false when in doubt.
static bool implies(Attribute a, Attribute b) {
  if (a == b)
    return true;
  if (isa<PrefixMaskAttr>(b) && isa<CausalMaskAttr>(a))
    return true;
  if (auto smaller = dyn_cast<PrefixMaskAttr>(a))
    if (auto larger = dyn_cast<PrefixMaskAttr>(b))
      return smaller.getLength() <= larger.getLength();
  if (auto smaller = dyn_cast<SlidingWindowMaskAttr>(a))
    if (auto larger = dyn_cast<SlidingWindowMaskAttr>(b))
      return smaller.getSize() <= larger.getSize();
  return false;
}

static void flatten(Attribute mask, SmallVectorImpl<Attribute> &members) {
  if (auto intersection = dyn_cast<IntersectionMaskAttr>(mask)) {
    for (Attribute member : intersection.getMasks())
      flatten(member, members);
    return;
  }
  if (isa<FullMaskAttr>(mask) || llvm::any_of(members, [&](Attribute known) { return implies(known, mask); }))
    return;
  llvm::erase_if(members, [&](Attribute known) { return implies(mask, known); });
  members.push_back(mask);
}

BlockMaskAttrInterface simplifyMask(BlockMaskAttrInterface mask) {
  SmallVector<Attribute> members;
  flatten(mask, members);
  if (members.empty())
    return FullMaskAttr::get(mask.getContext());
  if (members.size() == 1)
    return cast<BlockMaskAttrInterface>(members.front());
  return IntersectionMaskAttr::get(mask.getContext(), members);
}

LogicalResult SlidingWindowMaskAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t size) {
  return size > 0 ? success() : emitError() << "expected a positive size of the window, but got " << size;
}

LogicalResult PrefixMaskAttr::verify(function_ref<InFlightDiagnostic()> emitError, int64_t length) {
  return length > 0 ? success() : emitError() << "expected a positive length of the prefix, but got " << length;
}

LogicalResult IntersectionMaskAttr::verify(function_ref<InFlightDiagnostic()> emitError, ArrayRef<Attribute> masks) {
  if (masks.empty())
    return emitError() << "expected one mask or more, but got none; the mask of everything is #bpt.full";
  for (Attribute mask : masks)
    if (!isa_and_nonnull<BlockMaskAttrInterface>(mask))
      return emitError() << "expected masks, but got " << mask;
  return success();
}

} // namespace bpt
