// bpt.attention_grad where registers are scarce (head dims from 129 to 256, or many modifiers of scores): two
// warpgroups own half of the columns of D each, in dkey and dvalue of 64 keys. For the scores of a step, each warpgroup
// takes half of the queries; probabilities and their gradients are exchanged through shared memory:
//
//   S' = K Q'  and  dP' = V dO'               64 keys x 32 queries each, then P' and dS' to shared memory
//   dV += P' dO,  dQ = dS K,  dK += dS' Q     half of the columns of D each
#include "AttentionGradient.h"

using namespace mlir;

namespace bpt::hopper {

namespace {
class SplitGradient : public AttentionGradient {
public:
  using AttentionGradient::AttentionGradient;

private:
  /// Queries of a warpgroup's scores, and its columns of D.
  static constexpr int64_t queriesOfGroup = 32;
  int64_t getColumns() const { return tiles.paddedDim / 2; }

  void consume() override {
    firstQueryOfGroup = e.mul(group, queriesOfGroup);
    firstColumn = e.mul(group, getColumns());
    size_t registers = getColumns() / 2;
    Fragment sums = visitSteps(Fragment(2 * registers, e.f32(0)), [&](const Step &step, ValueRange carried) {
      Fragment dvalue(carried.take_front(registers)), dkey(carried.drop_front(registers));
      emitStep(step, dvalue, dkey);
      dvalue.append(dkey);
      return dvalue;
    });
    ArrayRef<Value> all(sums);
    addOut(Fragment(all.take_front(registers)), arguments.dvalue, arguments.dvalueElement, getColumns(), firstKey,
           firstColumn, scores.getKeptFactor());
    addOut(Fragment(all.drop_front(registers)), arguments.dkey, arguments.dkeyElement, getColumns(), firstKey,
           firstColumn, spec.scale);
  }

  /// Byte offset of this warpgroup's columns of D in boxes of `rows` rows.
  Value getColumnOffset(int64_t rows) { return e.mul(group, getColumns() / 64 * rows * 128); }

  void emitStep(const Step &step, Fragment &dvalue, Fragment &dkey) {
    Value zero = e.i32(0), rowOffset = e.mul(group, queriesOfGroup * 128);
    ScorePlace place{e.add(step.firstQuery, firstQueryOfGroup), firstKey};
    queries.waitFull(step.slot);
    matrix.fence();
    Fragment s = multiplyRows("key", "query", step, rowOffset);
    douts.waitFull(step.slot);
    matrix.fence();
    Fragment dp = multiplyRows("value", "dout", step, rowOffset);
    matrix.wait(1, {&s});
    Fragment slopes, p = getProbabilities(s, step, place, firstQueryOfGroup, slopes);
    matrix.wait(0, {&dp});
    Packed packed = getScoreGradients(p, dp, slopes, step, place, firstQueryOfGroup);

    e.synchronize(e.i32(scoresFree), 2 * warpGroupThreads);
    storeScores("probabilities", packed.probabilities);
    storeScores("scores", packed.gradients);
    memory.fenceWrites();
    e.synchronize(e.i32(scoresWritten), 2 * warpGroupThreads);

    int64_t keySteps = tiles.keyBlock / 16, querySteps = tiles.queryBlock / 16;
    matrix.fence({&dvalue, &dkey});
    dvalue =
        matrix.multiply(dvalue, getMatrix("probabilities", zero, tiles.keyBlock, false),
                        getStage("dout", step.slot, true, getColumnOffset(tiles.queryBlock)), getColumns(), querySteps);
    Fragment dquery = matrix.multiply(ValueRange(), getMatrix("scores", zero, tiles.keyBlock, true),
                                      getMatrix("key", getColumnOffset(tiles.keyBlock), tiles.keyBlock, true),
                                      getColumns(), keySteps);
    matrix.commit();
    dkey = matrix.multiply(dkey, getMatrix("scores", zero, tiles.keyBlock, false),
                           getStage("query", step.slot, true, getColumnOffset(tiles.queryBlock)), getColumns(),
                           querySteps);
    matrix.commit();
    matrix.wait(1, {&dvalue, &dquery});
    douts.release(step.slot);
    addQueryGradient(dquery, getColumns(), step.firstQuery, firstColumn, getPlane(step.head));
    matrix.wait(0, {&dkey});
    queries.release(step.slot);
  }

  /// 64 keys x this warpgroup's queries.
  Fragment multiplyRows(StringRef keys, StringRef region, const Step &step, Value rowOffset) {
    Fragment product =
        matrix.multiply(ValueRange(), getMatrix(keys, e.i32(0), tiles.keyBlock, false),
                        getStage(region, step.slot, false, rowOffset), queriesOfGroup, tiles.getDimSteps());
    matrix.commit();
    return product;
  }

  /// Stores a packed fragment into this warpgroup's 32 columns of a box of 64.
  void storeScores(StringRef region, const Fragment &packed) {
    FragmentStore store(e, e.i32(tiles.layout.getOffset(region)), tiles.keyBlock * 128, e.shiftLeft(group, 6));
    store.storeAll(packed, queriesOfGroup);
  }

  Value firstQueryOfGroup, firstColumn;
};
} // namespace

std::unique_ptr<AttentionGradient> createSplitGradient(KernelBuilder &e, const AttentionSpec &spec,
                                                       const HopperAttentionTiles &tiles,
                                                       const GradientArguments &arguments) {
  return std::make_unique<SplitGradient>(e, spec, tiles, arguments);
}

} // namespace bpt::hopper
