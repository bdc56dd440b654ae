// Kernels of linear cross-entropy that work row by row: lse, dlogits from kept exponentials, loss and scale.
#include "CrossEntropy.h"
#include "bpt/Analysis/HopperChunks.h"

using namespace mlir;

namespace bpt::hopper {

static constexpr double log2e = 1.4426950408889634, ln2 = 0.69314718055994531;
/// Threads of a block: of lse (a warp for each row), of dlogits (a block for each row), of the loss (one block).
static constexpr int64_t lseThreads = 128, rescaleThreads = 256, lossThreads = 256;

static Value reduceWarp(KernelBuilder &e, Value value, function_ref<Value(Value, Value)> combine) {
  for (int64_t mask : {16, 8, 4, 2, 1})
    value = combine(value, e.shuffleXor(value, mask));
  return value;
}

/// Indices [outer, inner] of a flat row.
static SmallVector<Value> splitRow(KernelBuilder &e, Value row, Value inner) {
  return {e.div(row, inner), e.rem(row, inner)};
}

/// exp(a - b)
static Value emitExpOfDifference(KernelBuilder &e, Value a, Value b) {
  return e.exp2(e.mulf(e.subf(a, b), e.f32(log2e)));
}

//===-- lse -----------------------------------------------------------------------------------------------------===//

void launchLse(KernelLibrary &kernels, ImplicitLocOpBuilder &b, const LogitStatistics &statistics) {
  LaunchArguments arguments(b);
  StridedArgument maxima = arguments.addStrided(statistics.maxima), sums = arguments.addStrided(statistics.sums);
  StridedArgument lse = arguments.addStrided(statistics.lse);
  Value innerSize = arguments.dim(statistics.lse, 1), one = arguments.index(1);
  Value rowCount = arguments.mul(arguments.dim(statistics.lse, 0), innerSize);
  unsigned inner = arguments.addI32(innerSize), rows = arguments.addI32(rowCount);
  unsigned parts = arguments.addI32(arguments.dim(statistics.maxima, 2));
  Value blocks = arguments.ceilDiv(rowCount, lseThreads / warpThreads);
  kernels.launch("lse", "", arguments, {{blocks, one, one}, lseThreads, 0}, [&](KernelBuilder &e) {
    Value row = e.add(e.mul(e.getBlock(KernelBuilder::Dim::X), lseThreads / warpThreads), e.getWarp());
    Value safe = e.min(row, e.sub(e.getArgument(rows), 1)), count = e.getArgument(parts), lane = e.getLane();
    SmallVector<Value> at = splitRow(e, safe, e.getArgument(inner));
    auto load = [&](const StridedArgument &from, Value part) {
      return GlobalView(e, from, e.getF32Type()).load({at[0], at[1], part});
    };
    Value first = load(maxima, e.min(lane, e.sub(count, 1)));
    auto larger = [&](Value x, Value y) { return e.maxf(x, y); };
    Value maximum = e.loop(lane, count, e.i32(warpThreads), ValueRange(first), [&](Value part, ValueRange carried) {
      return Fragment{larger(carried[0], load(maxima, part))};
    })[0];
    maximum = reduceWarp(e, maximum, larger);
    Value zero = e.f32(0);
    Value sum = e.loop(lane, count, e.i32(warpThreads), ValueRange(zero), [&](Value part, ValueRange carried) {
      return Fragment{e.fma(emitExpOfDifference(e, load(maxima, part), maximum), load(sums, part), carried[0])};
    })[0];
    sum = reduceWarp(e, sum, [&](Value x, Value y) { return e.addf(x, y); });
    e.ifThen(e.bitAnd(e.equal(lane, 0), e.less(row, e.getArgument(rows))),
             [&] { GlobalView(e, lse, e.getF32Type()).store(e.fma(e.log2(sum), e.f32(ln2), maximum), at); });
  });
}

//===-- dlogits -------------------------------------------------------------------------------------------------===//

namespace {
struct RescaleArguments {
  StridedArgument kept, maxima, lse, targetLogit, targets;
  unsigned scale, inner, vocabulary, columns;
};
} // namespace

/// One row: 8 columns a thread at a time, all of one part.
static void emitRescale(KernelBuilder &e, const RescaleArguments &arguments, Type element, int64_t ignoreIndex) {
  Type f32 = e.getF32Type();
  SmallVector<Value> row = splitRow(e, e.getBlock(KernelBuilder::Dim::X), e.getArgument(arguments.inner));
  TargetColumns targets{arguments.targets, ignoreIndex};
  TargetColumns::Target target = targets.load(e, row, e.getArgument(arguments.vocabulary));
  Value factor = e.select(target.counts, e.load(e.getArgument(arguments.scale), f32), e.f32(0));
  Value lse = GlobalView(e, arguments.lse, f32).load(row);
  auto getAddress = [&](Value column) {
    return GlobalView(e, arguments.kept, element).getAddress({row[0], row[1], column});
  };
  e.loop(e.mul(e.getThread(), 8), e.getArgument(arguments.columns), e.i32(8 * rescaleThreads), [&](Value column) {
    Value part = e.div(column, hopperStatisticsColumns);
    Value maximum = GlobalView(e, arguments.maxima, f32).load({row[0], row[1], part});
    Value times = e.mulf(factor, emitExpOfDifference(e, maximum, lse));
    Value address = getAddress(column), eight = e.load(address, VectorType::get(4, e.getI32Type()));
    for (int64_t i = 0; i < 4; ++i) {
      auto [low, high] = e.unpack(LLVM::ExtractElementOp::create(e, eight, e.i32(i)), element);
      eight =
          LLVM::InsertElementOp::create(e, eight, e.pack(e.mulf(low, times), e.mulf(high, times), element), e.i32(i));
    }
    e.store(eight, address);
  });
  e.synchronizeBlock();
  e.ifThen(e.equal(e.getThread(), 0), [&] {
    Value p = emitExpOfDifference(e, GlobalView(e, arguments.targetLogit, f32).load(row), lse);
    e.store(e.round(e.mulf(factor, e.subf(p, e.f32(1))), element), getAddress(target.column));
  });
}

void launchRescale(KernelLibrary &kernels, ImplicitLocOpBuilder &b, const CrossEntropyRows &rows,
                   const LogitStatistics &statistics, Value scale, Value kept) {
  LaunchArguments arguments(b);
  Type element = cast<MemRefType>(kept.getType()).getElementType();
  RescaleArguments numbers;
  numbers.kept = arguments.addStrided(kept);
  numbers.maxima = arguments.addStrided(statistics.maxima);
  numbers.lse = arguments.addStrided(statistics.lse);
  numbers.targetLogit = arguments.addStrided(statistics.targetLogit);
  numbers.targets = arguments.addStrided(rows.targets);
  numbers.scale = arguments.addPointer(scale);
  Value inner = arguments.dim(kept, 1), one = arguments.index(1);
  numbers.inner = arguments.addI32(inner);
  numbers.vocabulary = arguments.addI32(rows.vocabulary);
  numbers.columns = arguments.addI32(arguments.dim(kept, 2));
  std::string key;
  llvm::raw_string_ostream(key) << element << " " << rows.ignoreIndex;
  kernels.launch("rescale", key, arguments,
                 {{arguments.mul(arguments.dim(kept, 0), inner), one, one}, rescaleThreads, 0},
                 [&](KernelBuilder &e) { emitRescale(e, numbers, element, rows.ignoreIndex); });
}

//===-- Loss and scale ------------------------------------------------------------------------------------------===//

namespace {
/// One block that adds up all rows, each thread its own and then the first thread all of them: the same order on every
/// run.
class MeanKernel {
public:
  StridedArgument targets, lse = {}, targetLogit = {};
  std::optional<unsigned> validCount;
  bool hasLoss; ///< else only the rows are counted
  unsigned inner, rows;
  unsigned numerator = 0; ///< without the loss: address of what is divided
  unsigned result;
  int64_t ignoreIndex;

  static constexpr int64_t sharedBytes = lossThreads * 16;

  void emit(KernelBuilder &e) const {
    Type f64 = e.getF64Type();
    Value thread = e.getThread(), zero = arith::ConstantOp::create(e, e.getF64FloatAttr(0));
    Value all = e.getArgument(rows);
    auto add = [&](Value x, Value y) -> Value { return arith::AddFOp::create(e, x, y); };
    Fragment mine = e.loop(thread, all, e.i32(lossThreads), ValueRange{zero, zero}, [&](Value row, ValueRange carried) {
      SmallVector<Value> at = splitRow(e, row, e.getArgument(inner));
      Value counts = TargetColumns{targets, ignoreIndex}.load(e, at, e.i32(1)).counts;
      Value one = arith::ConstantOp::create(e, e.getF64FloatAttr(1)), difference = zero;
      if (hasLoss)
        difference = arith::SubFOp::create(e, loadWide(e, lse, at), loadWide(e, targetLogit, at));
      return Fragment{add(carried[0], e.select(counts, difference, zero)),
                      add(carried[1], e.select(counts, one, zero))};
    });
    auto getPlace = [&](Value of, int64_t which) {
      return e.getElement(e.getShared(which * lossThreads * 8), of, f64);
    };
    for (int64_t which : {0, 1})
      e.store(mine[which], getPlace(thread, which));
    e.synchronizeBlock();
    e.ifThen(e.equal(thread, 0), [&] {
      Fragment sums =
          e.loop(e.i32(0), e.i32(lossThreads), e.i32(1), ValueRange{zero, zero}, [&](Value of, ValueRange carried) {
            return Fragment{add(carried[0], e.load(getPlace(of, 0), f64)),
                            add(carried[1], e.load(getPlace(of, 1), f64))};
          });
      Value count = sums[1], top = sums[0];
      if (validCount)
        count = arith::SIToFPOp::create(e, f64, e.load(e.getArgument(*validCount), e.getI64Type()));
      if (!hasLoss)
        top = arith::ExtFOp::create(e, f64, e.load(e.getArgument(numerator), e.getF32Type()));
      // 0 / 0 without a row that counts: NaN.
      Value mean = arith::DivFOp::create(e, top, count);
      e.store(arith::TruncFOp::create(e, e.getF32Type(), mean), e.getArgument(result));
    });
  }

private:
  Value loadWide(KernelBuilder &e, const StridedArgument &from, ArrayRef<Value> at) const {
    return arith::ExtFOp::create(e, e.getF64Type(), GlobalView(e, from, e.getF32Type()).load(at));
  }
};
} // namespace

static void launchMean(KernelLibrary &kernels, ImplicitLocOpBuilder &b, const CrossEntropyRows &rows, Value lse,
                       Value targetLogit, Value dloss, Value validCount, Value result) {
  LaunchArguments arguments(b);
  MeanKernel kernel;
  kernel.targets = arguments.addStrided(rows.targets);
  kernel.hasLoss = static_cast<bool>(lse);
  if (kernel.hasLoss) {
    kernel.lse = arguments.addStrided(lse);
    kernel.targetLogit = arguments.addStrided(targetLogit);
  } else {
    kernel.numerator = arguments.addPointer(dloss);
  }
  if (validCount)
    kernel.validCount = arguments.addPointer(validCount);
  kernel.result = arguments.addPointer(result);
  kernel.ignoreIndex = rows.ignoreIndex;
  Value inner = arguments.dim(rows.targets, 1), one = arguments.index(1);
  kernel.inner = arguments.addI32(inner);
  kernel.rows = arguments.addI32(arguments.mul(arguments.dim(rows.targets, 0), inner));
  std::string key = (Twine(rows.ignoreIndex) + (validCount ? " counted" : "")).str();
  kernels.launch(kernel.hasLoss ? "loss" : "scale", key, arguments,
                 {{one, one, one}, lossThreads, MeanKernel::sharedBytes}, [&](KernelBuilder &e) { kernel.emit(e); });
}

void launchLoss(KernelLibrary &kernels, ImplicitLocOpBuilder &b, const CrossEntropyRows &rows, Value lse,
                Value targetLogit, Value validCount, Value loss) {
  launchMean(kernels, b, rows, lse, targetLogit, Value(), validCount, loss);
}

void launchScale(KernelLibrary &kernels, ImplicitLocOpBuilder &b, const CrossEntropyRows &rows, Value dloss,
                 Value validCount, Value scale) {
  launchMean(kernels, b, rows, Value(), Value(), dloss, validCount, scale);
}

} // namespace bpt::hopper
