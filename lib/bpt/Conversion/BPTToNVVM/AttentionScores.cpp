// Work of an attention kernel; softcap, bias, segments and mask on fragments of scores.
#include "AttentionScores.h"

#include <limits>

using namespace mlir;

namespace bpt::hopper {

static constexpr double log2e = 1.44269504088896340736;
static constexpr double infinity = std::numeric_limits<double>::infinity();

template <typename Op> AttentionSpec AttentionSpec::get(Op op) {
  auto query = cast<ShapedType>(op.getQuery().getType()), key = cast<ShapedType>(op.getKey().getType());
  AttentionSpec spec{query.getElementType(),
                     query.getDimSize(2),
                     key.getDimSize(2),
                     query.getDimSize(3),
                     op.getScale().convertToDouble(),
                     op.getSoftcap().convertToDouble(),
                     op.getDropout().convertToDouble(),
                     static_cast<int64_t>(op.getStream()),
                     op.getMask(),
                     {},
                     AttentionFeatures::get(op),
                     ""};
  llvm::raw_string_ostream stream(spec.key);
  stream << op->getAttrDictionary() << " " << spec.element << " " << spec.heads << "/" << spec.groups << "x"
         << spec.headDim;
  if (Value bias = op.getBias())
    for (auto [dim, size] : llvm::enumerate(cast<ShapedType>(bias.getType()).getShape())) {
      spec.biasIsOne[dim] = size == 1;
      stream << (size == 1 ? " 1" : " n");
    }
  return spec;
}
template AttentionSpec AttentionSpec::get(AttentionOp);
template AttentionSpec AttentionSpec::get(AttentionGradOp);

template <typename Op> AttentionArguments AttentionArguments::add(LaunchArguments &arguments, Op op) {
  AttentionArguments result;
  result.batch = arguments.addI32(arguments.dim(op.getQuery(), 0));
  result.queries = arguments.addI32(arguments.dim(op.getQuery(), 1));
  result.keys = arguments.addI32(arguments.dim(op.getKey(), 1));
  if (Value offset = op.getQueryOffset())
    result.offset = arguments.addI32(offset);
  if (Value seed = op.getSeed())
    result.seed = arguments.addPointer(seed);
  if (Value bias = op.getBias())
    result.bias = arguments.addStrided(bias);
  if (Value segments = op.getQuerySegments()) {
    result.querySegments = arguments.addStrided(segments);
    result.keySegments = arguments.addStrided(op.getKeySegments());
  }
  return result;
}
template AttentionArguments AttentionArguments::add(LaunchArguments &, AttentionOp);
template AttentionArguments AttentionArguments::add(LaunchArguments &, AttentionGradOp);

AttentionScores::AttentionScores(KernelBuilder &e, const AttentionSpec &spec, const AttentionArguments &arguments,
                                 bool transposed)
    : batch(e.getArgument(arguments.batch)), queries(e.getArgument(arguments.queries)),
      keys(e.getArgument(arguments.keys)), offset(arguments.offset ? e.getArgument(*arguments.offset) : e.i32(0)), e(e),
      spec(spec), arguments(arguments), transposed(transposed), position(FragmentPosition::get(e)) {}

//===-- Blocks --------------------------------------------------------------------------------------------------===//

BlockLoop AttentionScores::getKeyBlocks(Value first, int64_t count, int64_t keyBlock) {
  Value last = e.min(e.add(first, count), queries);
  auto [begin, end] = spec.mask.buildColumnBounds(e, e.getLoc(), e.add(first, offset), e.add(last, offset), keys);
  Value firstBlock = e.div(begin, keyBlock);
  return {firstBlock, e.max(e.ceilDiv(end, keyBlock), e.add(firstBlock, 1))};
}

BlockLoop AttentionScores::getQueryBlocks(Value first, int64_t count, int64_t queryBlock) {
  Value last = e.min(e.add(first, count), keys);
  auto [begin, end] = spec.mask.buildRowBounds(e, e.getLoc(), first, last, queries, offset);
  return {e.div(begin, queryBlock), e.ceilDiv(end, queryBlock)};
}

void AttentionScores::setHead(Value newBatchIndex, Value newHead) {
  batchIndex = newBatchIndex;
  head = newHead;
}

Value AttentionScores::getQuery(const ScorePlace &place, int64_t number) {
  Value first = e.add(place.query, transposed ? position.column : position.row);
  return e.add(first, transposed ? FragmentPosition::getColumn(number) : 8 * FragmentPosition::getHalf(number));
}

Value AttentionScores::getKey(const ScorePlace &place, int64_t number) {
  Value first = e.add(place.key, transposed ? position.row : position.column);
  return e.add(first, transposed ? 8 * FragmentPosition::getHalf(number) : FragmentPosition::getColumn(number));
}

//===-- Scores --------------------------------------------------------------------------------------------------===//

double AttentionScores::getUnit() const {
  if (spec.features.bias || (spec.softcap == 0 && spec.scale <= 0))
    return log2e;
  return (spec.softcap > 0 ? spec.softcap : spec.scale) * log2e;
}

/// tanh(scale x / softcap) = 1 - 2 / (1 + e^(2 scale x / softcap)): the tanh instruction is good to 11 bits only.
Value AttentionScores::cap(Value product) {
  Value power = e.exp2(e.mulf(product, e.f32(2 * log2e * spec.scale / spec.softcap)));
  return e.fma(e.f32(-2), e.reciprocal(e.addf(power, e.f32(1))), e.f32(1));
}

void AttentionScores::modify(Fragment &scores, const ScorePlace &place, int64_t queryCount, int64_t keyCount,
                             Fragment *ratios) {
  if (spec.softcap > 0) {
    for (Value &score : scores)
      score = cap(score);
    if (ratios)
      *ratios = scores;
  }
  if (spec.features.bias)
    addBias(scores, place);
  else if (spec.softcap == 0 && spec.scale <= 0)
    for (Value &score : scores)
      score = e.mulf(score, e.f32(spec.scale));
  if (spec.features.segments)
    maskSegments(scores, place);
  scores =
      e.choose(needsMask(place, queryCount, keyCount), [&] { return mask(scores, place); }, [&] { return scores; });
}

std::array<Value, 4> AttentionScores::getBiasIndices(const ScorePlace &place, int64_t number) {
  std::array<Value, 4> indices = {batchIndex, head, e.min(getQuery(place, number), e.sub(queries, 1)),
                                  e.min(getKey(place, number), e.sub(keys, 1))};
  for (auto [dim, index] : llvm::enumerate(indices))
    if (spec.biasIsOne[dim])
      index = e.i32(0);
  return indices;
}

void AttentionScores::addBias(Fragment &scores, const ScorePlace &place) {
  GlobalView bias(e, *arguments.bias, spec.element);
  Value factor = e.f32(spec.softcap > 0 ? spec.softcap : spec.scale);
  for (auto [number, score] : llvm::enumerate(scores))
    score = e.fma(score, factor, e.expand(bias.load(getBiasIndices(place, static_cast<int64_t>(number)))));
}

void AttentionScores::maskSegments(Fragment &scores, const ScorePlace &place) {
  GlobalView querySegments(e, *arguments.querySegments, e.getI32Type()),
      keySegments(e, *arguments.keySegments, e.getI32Type());
  Value none = e.f32(-infinity), lastQuery = e.sub(queries, 1), lastKey = e.sub(keys, 1);
  // One load for each row and column, not for each element.
  llvm::SmallDenseMap<int64_t, Value> rows, columns;
  auto lookUp = [&](auto &known, int64_t number, function_ref<Value()> load) {
    Value &value = known[number];
    return value ? value : value = load();
  };
  for (int64_t number = 0, count = scores.size(); number < count; ++number) {
    int64_t half = FragmentPosition::getHalf(number), column = FragmentPosition::getColumn(number);
    Value mine = lookUp(rows, transposed ? column : half,
                        [&] { return querySegments.load({batchIndex, e.min(getQuery(place, number), lastQuery)}); });
    Value theirs = lookUp(columns, transposed ? half : column,
                          [&] { return keySegments.load({batchIndex, e.min(getKey(place, number), lastKey)}); });
    scores[number] = e.select(e.compare(arith::CmpIPredicate::eq, mine, theirs), scores[number], none);
  }
}

Value AttentionScores::needsMask(const ScorePlace &place, int64_t queryCount, int64_t keyCount) {
  Value end = e.add(place.key, keyCount), first = e.add(place.query, offset);
  Value outside = e.less(keys, end);
  if (isa<FullMaskAttr>(spec.mask))
    return outside;
  Value all = spec.mask.buildAllVisible(e, e.getLoc(), first, e.add(first, queryCount), place.key, end);
  return e.bitOr(outside, e.bitXor(all, arith::ConstantIntOp::create(e, 1, 1)));
}

Fragment AttentionScores::mask(const Fragment &scores, const ScorePlace &place) {
  Fragment masked(scores);
  Value none = e.f32(-infinity);
  // Columns are compared as constants with what is left of the keys from this thread's first.
  Value left = e.sub(keys, getKey(place, 0));
  for (auto [number, score] : llvm::enumerate(masked)) {
    int64_t distance = transposed ? 8 * FragmentPosition::getHalf(number) : FragmentPosition::getColumn(number);
    Value visible = e.less(e.i32(distance), left);
    Value i = e.add(getQuery(place, number), offset), j = getKey(place, number);
    if (Value seen = spec.mask.buildPredicate(e, e.getLoc(), i, j))
      visible = e.bitAnd(visible, seen);
    score = e.select(visible, score, none);
  }
  return masked;
}

} // namespace bpt::hopper
