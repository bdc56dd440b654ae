// bpt.attention_grad for head dims up to 128: two warpgroups with 64 keys each, and their dkey and dvalue in registers.
// Scores are computed transposed, so that probabilities and their gradients are register operands of the products that
// sum over queries. Each step:
//
//   S' = K Q'           issued           dP' = V dO'      issued
//   S' complete         P' = 2^(unit S' - lse)
//   dP' complete        dS' = P' (dP' - delta)
//   dV += P' dO         issued
//   dS' to shared memory, for both warpgroups
//   dQ = dS K           issued           dK += dS' Q      issued
//   dV, dQ complete     dQ to the staging area, from there added to the sums of dquery by the TMA unit
//   dK complete
//
// (FlashAttention-3, Shah et al. 2024, algorithm 3.)
#include "AttentionGradient.h"

using namespace mlir;

namespace bpt::hopper {

namespace {
class NarrowGradient : public AttentionGradient {
public:
  using AttentionGradient::AttentionGradient;

private:
  /// How the warpgroups share dQ = dS K of a step.
  enum class QueryShare {
    Columns, ///< 64 queries; half of the columns of D each
    Rows,    ///< 128 queries; 64 each
    Keys,    ///< 64 queries; the part of its own 64 keys each
  };
  QueryShare getShare() const {
    if (tiles.queryBlock == 128)
      return QueryShare::Rows;
    return tiles.paddedDim == 128 ? QueryShare::Columns : QueryShare::Keys;
  }

  void consume() override {
    int64_t rows = tiles.keyBlock, rowBytes = 64 * 128;
    Value mine = e.mul(group, rowBytes), zero = e.i32(0);
    key = getMatrix("key", mine, rows, false);
    value = getMatrix("value", mine, rows, false);
    // dQ = dS K: dS is [key][query] in boxes of 64 queries, K [key][D].
    Value nextBox = e.mul(group, rows * 128);
    QueryShare share = getShare();
    gradients = getMatrix("scores",
                          share == QueryShare::Rows   ? nextBox
                          : share == QueryShare::Keys ? mine
                                                      : zero,
                          rows, true);
    keyColumns = getMatrix("key",
                           share == QueryShare::Columns ? nextBox
                           : share == QueryShare::Keys  ? mine
                                                        : zero,
                           rows, true);
    place.key = e.add(firstKey, e.mul(group, 64));
    FragmentStore store(e, e.add(mine, tiles.layout.getOffset("scores")), rows * 128);
    scoreStore = &store;

    size_t registers = tiles.paddedDim / 2;
    Fragment sums = visitSteps(Fragment(2 * registers, e.f32(0)), [&](const Step &step, ValueRange carried) {
      Fragment dvalue(carried.take_front(registers)), dkey(carried.drop_front(registers));
      emitStep(step, dvalue, dkey);
      dvalue.append(dkey);
      return dvalue;
    });
    ArrayRef<Value> all(sums);
    addOut(Fragment(all.take_front(registers)), arguments.dvalue, arguments.dvalueElement, tiles.paddedDim, place.key,
           zero, scores.getKeptFactor());
    addOut(Fragment(all.drop_front(registers)), arguments.dkey, arguments.dkeyElement, tiles.paddedDim, place.key, zero,
           spec.scale);
  }

  void emitStep(const Step &step, Fragment &dvalue, Fragment &dkey) {
    int64_t steps = tiles.queryBlock / 16;
    Value zero = e.i32(0);
    place.query = step.firstQuery;
    queries.waitFull(step.slot);
    matrix.fence();
    Fragment s = multiplyRows(key, "query", step);
    douts.waitFull(step.slot);
    matrix.fence();
    Fragment dp = multiplyRows(value, "dout", step);

    matrix.wait(1, {&s});
    Fragment slopes, p = getProbabilities(s, step, place, zero, slopes);
    matrix.wait(0, {&dp});
    auto [packedP, packedS] = getScoreGradients(p, dp, slopes, step, place, zero);

    matrix.fence({&dvalue, &packedP});
    dvalue = matrix.multiply(dvalue, packedP, getStage("dout", step.slot, true), tiles.paddedDim, steps);
    matrix.commit();
    shareGradients(packedS);
    Fragment dquery = matrix.multiply(ValueRange(), gradients, keyColumns, 64,
                                      (getShare() == QueryShare::Keys ? 64 : tiles.keyBlock) / 16);
    matrix.commit();
    matrix.fence({&dkey, &packedS});
    dkey = matrix.multiply(dkey, packedS, getStage("query", step.slot, true), tiles.paddedDim, steps);
    matrix.commit();

    matrix.wait(1, {&dvalue, &dquery});
    douts.release(step.slot);
    addShare(dquery, step);
    matrix.wait(0, {&dkey});
    queries.release(step.slot);
  }

  /// Rows of this warpgroup x the queries of the step.
  Fragment multiplyRows(const SharedMatrix &rows, StringRef region, const Step &step) {
    Fragment product =
        matrix.multiply(ValueRange(), rows, getStage(region, step.slot, false), tiles.queryBlock, tiles.getDimSteps());
    matrix.commit();
    return product;
  }

  /// dS' to shared memory, where the product that sums over keys reads it.
  void shareGradients(const Fragment &packed) {
    bool isOwn = getShare() == QueryShare::Keys;
    Value free = isOwn ? e.add(group, firstOfWarpGroup) : e.i32(scoresFree);
    Value written = isOwn ? free : e.i32(scoresWritten);
    int64_t threads = isOwn ? warpGroupThreads : 2 * warpGroupThreads;
    e.synchronize(free, threads);
    scoreStore->storeAll(packed, tiles.queryBlock);
    memory.fenceWrites();
    e.synchronize(written, threads);
    matrix.fence();
  }

  void addShare(const Fragment &dquery, const Step &step) {
    Value first = e.mul(group, 64), zero = e.i32(0);
    bool isRows = getShare() == QueryShare::Rows, isColumns = getShare() == QueryShare::Columns;
    addQueryGradient(dquery, 64, isRows ? e.add(step.firstQuery, first) : step.firstQuery, isColumns ? first : zero,
                     getPlane(step.head));
  }

  SharedMatrix key, value, gradients, keyColumns;
  ScorePlace place;
  FragmentStore *scoreStore = nullptr;
};
} // namespace

std::unique_ptr<AttentionGradient> createNarrowGradient(KernelBuilder &e, const AttentionSpec &spec,
                                                        const HopperAttentionTiles &tiles,
                                                        const GradientArguments &arguments) {
  return std::make_unique<NarrowGradient>(e, spec, tiles, arguments);
}

} // namespace bpt::hopper
