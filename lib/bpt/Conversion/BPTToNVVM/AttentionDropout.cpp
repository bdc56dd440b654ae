// Dropout on fragments of probabilities. One Philox call decides on eight consecutive keys of a query; those lie with
// several threads, which draw a call each and exchange words.
#include "../BPTToVector/Philox.h"
#include "AttentionScores.h"

using namespace mlir;

namespace bpt::hopper {

/// Forgets what is derived from lane and seed at the begin of a fragment. The shuffle changes nothing and the seed is
/// the same, but LLVM knows no better: else a dozen values live in registers as long as the loop over blocks.
void AttentionScores::startDraws() {
  lane = e.shuffleXor(e.getLane(), 0);
  Value seed = e.load(e.getArgument(*arguments.seed), e.getI64Type());
  seedLow = arith::TruncIOp::create(e, e.getI32Type(), seed);
  seedHigh = arith::TruncIOp::create(e, e.getI32Type(), e.shiftRight(seed, 32));
}

/// The four words for keys [8 keyGroup, 8 keyGroup + 8) and local query `query`.
std::array<Value, 4> AttentionScores::draw(Value keyGroup, Value query) {
  Value plane = e.add(e.mul(batchIndex, spec.heads), head), first = e.i32(0);
  // All lanes have the same seed; so that the keys of ten rounds do not stay in registers from draw to draw.
  PhiloxKey key{e.shuffleFrom(seedLow, first), e.shuffleFrom(seedHigh, first)};
  return buildPhilox(e, {keyGroup, e.add(query, offset), plane, e.i32(spec.stream)}, key);
}

/// All bits set where bit `bit` of `value` is.
static Value spreadBit(KernelBuilder &e, Value value, int64_t bit) {
  return e.sub(e.i32(0), e.bitAnd(e.shiftRight(value, bit), 1));
}

/// a where the bits of `mask` are set, else b: one instruction. Predicates are few, and these would live as long as the
/// kernel.
static Value blend(KernelBuilder &e, Value mask, Value a, Value b) {
  return e.bitXor(e.bitAnd(e.bitXor(a, b), mask), b);
}

/// Rows are queries: a quad of lanes holds eight keys of a row, two each, and so needs one word each of one call. Lane
/// t of the quad draws call t of four, then the quad transposes four calls x four words.
std::array<Value, 8> AttentionScores::drawRows(const ScorePlace &place, int64_t group) {
  Value quad = e.bitAnd(lane, 3);
  std::array<Value, 2> bits = {spreadBit(e, quad, 0), spreadBit(e, quad, 1)};
  // Pair n of the group's four: row half n % 2 of keys [8 (n / 2), 8 (n / 2) + 8).
  Value keyGroup = e.add(e.add(e.div(place.key, 8), e.shiftRight(quad, 1)), 2 * group);
  Value row = e.add(e.shiftLeft(e.getWarpInGroup(), 4), e.shiftRight(lane, 2));
  Value query = e.add(e.add(place.query, row), e.shiftLeft(e.bitAnd(quad, 1), 3));
  std::array<Value, 4> w = draw(keyGroup, query);
  for (int64_t bit = 0; bit < 2; ++bit)
    for (int64_t i = 0; i < 4; ++i) {
      int64_t other = i | (1 << bit);
      if (i == other)
        continue;
      Value received = e.shuffleXor(blend(e, bits[bit], w[i], w[other]), 1 << bit);
      w[i] = blend(e, bits[bit], received, w[i]);
      w[other] = blend(e, bits[bit], w[other], received);
    }
  std::array<Value, 8> kept;
  int64_t threshold = getDropoutThreshold(spec.dropout);
  for (unsigned i = 0; i < 8; ++i)
    kept[i] = buildKeep(e, {w[i / 2], w[i / 2], w[i / 2], w[i / 2]}, i % 2, threshold);
  return kept;
}

/// Rows are keys: the eight lanes with one lane % 4 hold the eight keys of a call, and so need a half word each. Lane r
/// (its row) of the eight draws call r of eight; halves of the eight then exchange, so that each lane ends with its
/// word of every call.
std::array<Value, 8> AttentionScores::drawColumns(const ScorePlace &place, int64_t group) {
  Value row = e.shiftRight(lane, 2);
  std::array<Value, 3> bits = {spreadBit(e, row, 0), spreadBit(e, row, 1), spreadBit(e, row, 2)};
  Value keyGroup =
      e.add(e.div(place.key, 8), e.add(e.shiftLeft(e.getWarpInGroup(), 1), e.bitAnd(e.shiftRight(row, 1), 1)));
  Value query = e.add(e.add(place.query, e.shiftLeft(e.bitAnd(lane, 3), 1)),
                      e.add(e.shiftLeft(e.shiftRight(row, 2), 3), e.bitAnd(row, 1)));
  int64_t threshold = getDropoutThreshold(spec.dropout);
  std::array<Value, 4> w = draw(keyGroup, e.add(query, 16 * group));
  // `mine` is what this lane keeps, `theirs` what its partner wants; the result is in order of the partners' bit.
  auto exchange = [&](int64_t bit, Value mine, Value theirs) -> std::array<Value, 2> {
    Value received = e.shuffleXor(theirs, int64_t(4) << bit);
    return {blend(e, bits[bit], received, mine), blend(e, bits[bit], mine, received)};
  };
  std::array<Value, 2> first = exchange(2, blend(e, bits[2], w[2], w[0]), blend(e, bits[2], w[0], w[2]));
  std::array<Value, 2> second = exchange(2, blend(e, bits[2], w[3], w[1]), blend(e, bits[2], w[1], w[3]));
  std::array<Value, 8> kept;
  unsigned next = 0;
  for (int64_t a = 0; a < 2; ++a)
    for (Value word : exchange(1, blend(e, bits[1], second[a], first[a]), blend(e, bits[1], first[a], second[a])))
      for (Value mine : exchange(0, word, word)) {
        Value half = blend(e, bits[0], e.shiftRight(mine, 16), mine);
        kept[next++] = buildKeep(e, {half, half, half, half}, 0, threshold);
      }
  return kept;
}

std::array<Value, 8> AttentionScores::drawKept(const ScorePlace &place, int64_t group) {
  if (group == 0)
    startDraws();
  return transposed ? drawColumns(place, group) : drawRows(place, group);
}

} // namespace bpt::hopper
