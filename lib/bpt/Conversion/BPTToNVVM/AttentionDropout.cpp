// Dropout on fragments of probabilities. One Philox call decides on eight consecutive keys of a query; those lie with
// several threads, which draw a call each and exchange words.
#include "../BPTToVector/Philox.h"
#include "AttentionScores.h"

using namespace mlir;

namespace bpt::hopper {

/// The four words for keys [8 keyGroup, 8 keyGroup + 8) and local query `query`.
std::array<Value, 4> AttentionScores::draw(Value keyGroup, Value query) {
  Value plane = e.add(e.mul(batchIndex, spec.heads), head);
  return buildPhilox(e, {keyGroup, e.add(query, offset), plane, e.i32(spec.stream)}, {seedLow, seedHigh});
}

/// Bit `bit` of `value`, as i1.
static Value testBit(KernelBuilder &e, Value value, int64_t bit) {
  return e.compare(arith::CmpIPredicate::ne, e.bitAnd(value, int64_t(1) << bit), e.i32(0));
}

/// Rows are queries: a quad of lanes holds eight keys of a row, two each, and so needs one word each of one call. Lane
/// t of the quad draws call t of four, then the quad transposes four calls x four words.
Fragment AttentionScores::drawRows(const ScorePlace &place, int64_t count) {
  Fragment words(count / 2);
  Value lane = e.bitAnd(e.getLane(), 3), low = testBit(e, lane, 0), high = testBit(e, lane, 1);
  Value keyGroup = e.add(e.div(place.key, 8), e.shiftRight(lane, 1));
  Value query = e.add(e.add(place.query, position.row), e.shiftLeft(e.bitAnd(lane, 1), 3));
  // Unit n of a thread: row half n % 2 of key group n / 2; elements 2 n and 2 n + 1.
  for (int64_t n = 0; n < count / 2; n += 4) {
    std::array<Value, 4> w = draw(e.add(keyGroup, n / 2), query);
    for (int64_t bit = 0; bit < 2; ++bit) {
      Value set = bit ? high : low;
      for (int64_t i = 0; i < 4; ++i) {
        int64_t other = i | (1 << bit);
        if (i == other)
          continue;
        Value received = e.shuffleXor(e.select(set, w[i], w[other]), 1 << bit);
        w[i] = e.select(set, received, w[i]);
        w[other] = e.select(set, w[other], received);
      }
    }
    for (int64_t i = 0; i < 4; ++i)
      words[n + i] = w[i];
  }
  Fragment keep;
  int64_t threshold = getDropoutThreshold(spec.dropout);
  for (Value word : words)
    for (unsigned half = 0; half < 2; ++half)
      keep.push_back(buildKeep(e, {word, word, word, word}, half, threshold));
  return keep;
}

/// Rows are keys: the eight lanes with one lane % 4 hold the eight keys of a call, and so need a half word each. Lane r
/// (its row) of the eight draws call r of eight; halves of the eight then exchange, so that each lane ends with its
/// word of every call.
Fragment AttentionScores::drawColumns(const ScorePlace &place, int64_t count) {
  Value row = e.shiftRight(e.getLane(), 2);
  std::array<Value, 3> bits = {testBit(e, row, 0), testBit(e, row, 1), testBit(e, row, 2)};
  Value keyGroup =
      e.add(e.div(place.key, 8), e.add(e.shiftLeft(e.getWarpInGroup(), 1), e.bitAnd(e.shiftRight(row, 1), 1)));
  Value query =
      e.add(e.add(place.query, position.column), e.add(e.shiftLeft(e.shiftRight(row, 2), 3), e.bitAnd(row, 1)));
  Fragment keep;
  int64_t threshold = getDropoutThreshold(spec.dropout);
  // Element 8 v + r is drawn by the lane of row r.
  for (int64_t v = 0; v < count / 8; ++v) {
    std::array<Value, 4> w = draw(keyGroup, e.add(query, 16 * v));
    // `mine` is what this lane keeps, `theirs` what its partner wants; the result is in order of the partners' bit.
    auto exchange = [&](int64_t bit, Value mine, Value theirs) -> std::array<Value, 2> {
      Value received = e.shuffleXor(theirs, int64_t(4) << bit);
      return {e.select(bits[bit], received, mine), e.select(bits[bit], mine, received)};
    };
    std::array<Value, 2> first = exchange(2, e.select(bits[2], w[2], w[0]), e.select(bits[2], w[0], w[2]));
    std::array<Value, 2> second = exchange(2, e.select(bits[2], w[3], w[1]), e.select(bits[2], w[1], w[3]));
    for (int64_t a = 0; a < 2; ++a) {
      std::array<Value, 2> pair =
          exchange(1, e.select(bits[1], second[a], first[a]), e.select(bits[1], first[a], second[a]));
      for (Value word : pair)
        for (Value mine : exchange(0, word, word)) {
          Value half = e.select(bits[0], e.shiftRight(mine, 16), mine);
          keep.push_back(buildKeep(e, {half, half, half, half}, 0, threshold));
        }
    }
  }
  return keep;
}

void AttentionScores::applyDropout(ArrayRef<Fragment *> fragments, const ScorePlace &place) {
  if (spec.dropout == 0)
    return;
  int64_t count = fragments.front()->size();
  Fragment keep = transposed ? drawColumns(place, count) : drawRows(place, count);
  for (Fragment *fragment : fragments)
    for (auto [value, kept] : llvm::zip_equal(*fragment, keep))
      value = e.select(kept, value, e.f32(0));
}

} // namespace bpt::hopper
