// Ends of tiles of logits: statistics of each row in each part of the vocabulary, and the gradient where lse is known.
//
// A part's exponentials are relative to its own maximum, so that they can be kept in 16 bits before lse is known: the
// error of each is that of its own rounding, whatever the logits are.
#include "CrossEntropy.h"
#include "WarpGroupMatrix.h"
#include "bpt/Analysis/HopperChunks.h"
#include <limits>

using namespace mlir;

namespace bpt::hopper {

static constexpr double log2e = 1.4426950408889634;
static constexpr double infinity = std::numeric_limits<double>::infinity();

TargetColumns::Target TargetColumns::load(KernelBuilder &e, ValueRange row, Value vocabulary) const {
  Value target = GlobalView(e, argument, e.getI32Type()).load(SmallVector<Value>(row));
  // No i32 is an index to ignore that does not fit.
  Value counts = ignoreIndex == static_cast<int32_t>(ignoreIndex)
                     ? e.compare(arith::CmpIPredicate::ne, target, e.i32(ignoreIndex))
                     : Value(arith::ConstantOp::create(e, e.getBoolAttr(true)));
  return {e.max(e.min(target, e.sub(vocabulary, 1)), 0), counts};
}

namespace {
/// Maximum and sum of each row in each piece of a tile, and the logit of its target.
class StatisticsEpilogue : public PairEpilogue {
public:
  StatisticsEpilogue(LaunchArguments &arguments, const CrossEntropyRows &rows, const LogitStatistics &statistics,
                     bool keeps)
      : targets{arguments.addStrided(rows.targets), rows.ignoreIndex}, maxima(arguments.addStrided(statistics.maxima)),
        sums(arguments.addStrided(statistics.sums)), targetLogit(arguments.addStrided(statistics.targetLogit)),
        keeps(keeps) {}
  int64_t getStagedOuts() const override { return keeps; }

  void beginPiece(int64_t piece, ArrayRef<Fragment> tileSums) override {
    KernelBuilder &e = here->e;
    int64_t first = piece * 32;
    logits.assign(tileSums[0].begin() + first, tileSums[0].begin() + first + 32);
    Value none = e.f32(-infinity);
    for (auto [i, logit] : llvm::enumerate(logits)) {
      int64_t offset = FragmentPosition::getColumn(first + static_cast<int64_t>(i));
      logit = e.select(e.less(e.i32(offset), e.sub(here->tile.columns, here->column)), logit, none);
    }
    for (int64_t half : {0, 1}) {
      Fragment mine;
      for (auto [i, logit] : llvm::enumerate(logits))
        if (FragmentPosition::getHalf(static_cast<int64_t>(i)) == half)
          mine.push_back(logit);
      auto larger = [&](Value a, Value b) { return e.maxf(a, b); };
      maximum[half] = e.reduceQuad(e.reduceTree(mine, larger), larger);
      shift[half] = e.mulf(maximum[half], e.f32(-log2e));
      sum[half] = e.f32(0);
      storeTarget(piece, half, mine);
    }
  }

  SmallVector<Pair> finish(const PairPlace &place, ArrayRef<Pair>) override {
    KernelBuilder &e = here->e;
    // Registers of the piece: 4 for every 8 columns, 2 for each half.
    int64_t number = place.offset % 64 / 8 * 4 + 2 * place.half;
    Pair exponentials;
    for (int64_t i : {0, 1}) {
      exponentials[i] = e.exp2(e.fma(logits[number + i], e.f32(log2e), shift[place.half]));
      sum[place.half] = e.addf(sum[place.half], exponentials[i]);
    }
    return keeps ? SmallVector<Pair>{exponentials} : SmallVector<Pair>();
  }

  void endPiece(int64_t piece) override {
    KernelBuilder &e = here->e;
    Value firstColumn = e.add(here->tile.column, 64 * piece), part = e.div(firstColumn, hopperStatisticsColumns);
    Value isWriter = e.bitAnd(e.equal(e.bitAnd(e.getLane(), 3), 0), e.less(firstColumn, here->tile.columns));
    for (int64_t half : {0, 1}) {
      Value total = e.reduceQuad(sum[half], [&](Value a, Value b) { return e.addf(a, b); });
      e.ifThen(e.bitAnd(isWriter, here->rowExists[half]), [&] {
        SmallVector<Value> at(here->tile.outer);
        at.append({here->row[half], part});
        GlobalView(e, maxima, e.getF32Type()).store(maximum[half], at);
        GlobalView(e, sums, e.getF32Type()).store(total, at);
      });
    }
  }

private:
  void beginTile() override {
    for (int64_t half : {0, 1}) {
      SmallVector<Value> row(here->tile.outer);
      row.push_back(here->safeRow[half]);
      target[half] = targets.load(here->e, row, here->tile.columns).column;
    }
  }

  /// The thread that has the target among its 16 columns of a row stores its logit: few pieces have any.
  void storeTarget(int64_t piece, int64_t half, ArrayRef<Value> mine) {
    KernelBuilder &e = here->e;
    Value offset = e.sub(e.sub(target[half], here->column), 64 * piece); // from this thread's first column
    Value inPiece = e.compare(arith::CmpIPredicate::ult, offset, e.i32(64));
    Value isMine = e.bitAnd(inPiece, e.equal(e.bitAnd(offset, 6), 0));
    e.ifThen(e.bitAnd(isMine, here->rowExists[half]), [&] {
      Value logit = mine[0];
      for (int64_t i = 1; i < 16; ++i)
        logit = e.select(e.equal(offset, i / 2 * 8 + i % 2), mine[i], logit);
      SmallVector<Value> at(here->tile.outer);
      at.push_back(here->row[half]);
      GlobalView(e, targetLogit, e.getF32Type()).store(logit, at);
    });
  }

  TargetColumns targets;
  StridedArgument maxima, sums, targetLogit;
  bool keeps;
  Fragment logits; ///< of the piece; -inf beyond the vocabulary
  std::array<Value, 2> target, maximum, shift, sum;
};

class DLogitsEpilogue : public PairEpilogue {
public:
  DLogitsEpilogue(LaunchArguments &arguments, const CrossEntropyRows &rows, Value lse, Value scale)
      : targets{arguments.addStrided(rows.targets), rows.ignoreIndex}, lse(arguments.addStrided(lse)),
        scale(arguments.addPointer(scale)) {}
  int64_t getStagedOuts() const override { return 1; }

  SmallVector<Pair> finish(const PairPlace &place, ArrayRef<Pair> sums) override {
    KernelBuilder &e = here->e;
    Pair gradient;
    for (int64_t i : {0, 1}) {
      Value p = e.exp2(e.fma(sums[0][i], e.f32(log2e), shift[place.half]));
      Value isTarget = e.equal(targetOffset[place.half], place.offset + i);
      gradient[i] = e.mulf(e.select(isTarget, e.subf(p, e.f32(1)), p), factor[place.half]);
    }
    return {gradient};
  }

private:
  void beginTile() override {
    KernelBuilder &e = here->e;
    Value all = e.load(e.getArgument(scale), e.getF32Type());
    for (int64_t half : {0, 1}) {
      SmallVector<Value> row(here->tile.outer);
      row.push_back(here->safeRow[half]);
      auto [column, counts] = targets.load(e, row, here->tile.columns);
      targetOffset[half] = e.sub(column, here->column);
      factor[half] = e.select(counts, all, e.f32(0));
      shift[half] = e.mulf(GlobalView(e, lse, e.getF32Type()).load(row), e.f32(-log2e));
    }
  }

  TargetColumns targets;
  StridedArgument lse;
  unsigned scale;
  std::array<Value, 2> targetOffset, factor, shift;
};
} // namespace

void launchStatistics(KernelLibrary &kernels, ImplicitLocOpBuilder &b, const GemmProblem &logits,
                      const CrossEntropyRows &rows, const LogitStatistics &statistics, Value kept) {
  LaunchArguments arguments(b);
  StatisticsEpilogue epilogue(arguments, rows, statistics, static_cast<bool>(kept));
  std::string key = ("statistics " + Twine(rows.ignoreIndex) + (kept ? " kept" : "")).str();
  launchGemm(kernels, arguments, "logits", logits, epilogue, kept ? ValueRange(kept) : ValueRange(), key);
}

void launchDLogits(KernelLibrary &kernels, ImplicitLocOpBuilder &b, const GemmProblem &logits,
                   const CrossEntropyRows &rows, Value lse, Value scale, Value dlogits) {
  LaunchArguments arguments(b);
  DLogitsEpilogue epilogue(arguments, rows, lse, scale);
  launchGemm(kernels, arguments, "dlogits", logits, epilogue, dlogits, ("dlogits " + Twine(rows.ignoreIndex)).str());
}

} // namespace bpt::hopper
