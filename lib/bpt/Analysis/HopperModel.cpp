// Cycles of steps, and the time of tiles dealt to SMs.
#include "bpt/Analysis/HopperModel.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/MathExtras.h"
#include <algorithm>

namespace bpt {

namespace {
constexpr double clockHertz = 1.83e9, flopsPerCycle = 4096, exponentialsPerCycle = 16, lanesPerCycle = 128,
                 sharedBytesPerCycle = 128, l2BytesPerCycle = 64;
constexpr double handOver = 64, barrierOfTwo = 96, shuffle = 24;
constexpr double powerFlops = 788e12, joulesOfInstruction = 5e-12, joulesOfFlop = 0.76e-12, launchSeconds = 3e-6;
/// Instructions of a lane for one score, forward: maximum, multiply-add before the exponential, sum, half a conversion.
constexpr double forwardInstructions = 3.5;
/// Gradient: multiply-add before the exponential, subtraction of delta, product with P, two halves of conversions.
constexpr double gradientInstructions = 4;
} // namespace

/// Units that work at the same time: as long as the busiest.
static double busiest(const HopperStepCycles &step) {
  return std::max({step.tensor, step.exponentials, step.lanes, step.sharedReads + step.sharedWrites, step.l2});
}

HopperStepCycles getForwardStep(const HopperAttentionTiles &tiles) {
  double rows = double(tiles.queryBlock), keys = double(tiles.keyBlock), dim = double(tiles.paddedDim),
         scores = rows * keys, groups = double(tiles.roles.consumers);
  HopperStepCycles step;
  step.flops = 4 * scores * dim;
  step.instructions = scores * (forwardInstructions + 1) + rows * dim; // sums are rescaled
  step.tensor = step.flops / flopsPerCycle;
  step.exponentials = scores / exponentialsPerCycle;
  step.lanes = step.instructions / lanesPerCycle;
  // Each warpgroup reads all of K and V, and its own queries.
  step.sharedReads = (groups * 2 * keys * dim * 2 + rows * dim * 2) / sharedBytesPerCycle;
  step.sharedWrites = 2 * keys * dim * 2 / sharedBytesPerCycle;
  step.l2 = 2 * keys * dim * 2 / l2BytesPerCycle;
  // Warpgroups take turns at the tensor cores. What one does between its products: maxima (two shuffles each),
  // exponentials with what goes along with them, conversions and rescaling.
  double part = 1 / groups;
  double between = scores * part / lanesPerCycle + 2 * shuffle + step.exponentials * part +
                   (1.5 * scores + rows * dim) * part / lanesPerCycle;
  double turn = step.tensor * part + handOver;
  // The products of the others hide it, and half of its own: those with V of the block before.
  double hidden = (groups - 1) * turn + step.tensor * part / 2;
  step.total = std::max(busiest(step), groups * turn + std::max(0.0, between - hidden));
  // A tile begins with scores whose exponentials nothing hides, and ends with values and with the store of out.
  step.edge = step.tensor / 2 + between + step.tensor / 2 + rows * dim * 2 * 2 / sharedBytesPerCycle + 4 * handOver;
  return step;
}

HopperStepCycles getGradientStep(const HopperAttentionTiles &tiles) {
  double queries = double(tiles.queryBlock), keys = double(tiles.keyBlock), dim = double(tiles.paddedDim),
         scores = queries * keys, groups = double(tiles.roles.consumers);
  HopperStepCycles step;
  step.flops = 10 * scores * dim;
  step.instructions = scores * (gradientInstructions + 1) + queries * dim; // dquery goes through registers
  step.tensor = step.flops / flopsPerCycle;
  step.exponentials = scores / exponentialsPerCycle;
  step.lanes = step.instructions / lanesPerCycle;
  // S' and dP': own keys or values and all queries or cotangents; dV and dK: all of dO and Q; dQ: all of dS and K,
  // shared out over the warpgroups by columns of one of them.
  double ofQueries = queries * dim * 2, ofKeys = keys * dim * 2, ofScores = scores * 2;
  step.sharedReads = (groups * 4 * ofQueries + 2 * ofKeys + groups * ofScores + ofKeys) / sharedBytesPerCycle;
  // Q and dO come, dS is written, dQ is written and read back in f32.
  step.sharedWrites = (2 * ofQueries + ofScores + 2 * 2 * ofQueries) / sharedBytesPerCycle;
  step.l2 = (2 * ofQueries + 2 * ofQueries) / l2BytesPerCycle;
  // The warpgroups meet where they exchange dS, so they do the same at the same time: nothing hides what lies between
  // the products but dP', under which the exponentials are taken.
  double product = step.tensor / 5;
  double probabilities = step.exponentials + scores / lanesPerCycle;
  double gradients = 3 * scores / lanesPerCycle + ofScores / sharedBytesPerCycle + 2 * barrierOfTwo;
  step.total = std::max(busiest(step), product + std::max(product, probabilities) + gradients + 3 * product + handOver);
  // dkey and dvalue go out at the end, in f32 at most.
  step.edge = 2 * ofKeys / l2BytesPerCycle + 2 * keys * dim * 4 / l2BytesPerCycle + 4 * handOver;
  return step;
}

HopperStepCycles getGemmStep(const HopperGemmTiles &tiles) {
  double rows = double(tiles.rows), columns = double(tiles.columns), depth = double(tiles.depth),
         groups = double(tiles.roles.consumers);
  HopperStepCycles step;
  step.flops = 2 * rows * columns * depth;
  step.tensor = step.flops / flopsPerCycle;
  step.sharedReads = (rows * depth * 2 + groups * columns * depth * 2) / sharedBytesPerCycle;
  step.sharedWrites = double(tiles.stageBytes) / sharedBytesPerCycle;
  step.l2 = double(tiles.stageBytes) / l2BytesPerCycle;
  step.total = busiest(step);
  // Sums are rounded and staged (written, read by the TMA unit) while no product runs.
  step.edge = 2 * rows * columns * 2 / sharedBytesPerCycle + rows * columns * 1.5 / lanesPerCycle + 4 * handOver;
  return step;
}

/// `turns` are the cycles of each SM; FLOPs that count are `modelFlops`, those that are done `doneFlops`.
static HopperPrediction finish(const HopperStepCycles &step, llvm::ArrayRef<double> turns, double steps,
                               double modelFlops) {
  HopperPrediction result;
  result.step = step;
  double longest = *llvm::max_element(turns), sum = 0;
  for (double cycles : turns)
    sum += cycles;
  result.use = sum / (longest * double(turns.size()));
  result.cyclesSeconds = longest / clockHertz;
  double flops = steps * step.flops, instructions = steps * step.instructions;
  result.powerSeconds = flops / powerFlops * (1 + instructions * joulesOfInstruction / (flops * joulesOfFlop));
  result.seconds = std::max(result.cyclesSeconds, result.powerSeconds) + launchSeconds;
  result.teraflops = modelFlops / result.seconds * 1e-12;
  return result;
}

HopperPrediction predictAttention(const HopperAttentionTiles &tiles, bool isGradient, bool causal, int64_t length,
                                  int64_t heads) {
  HopperStepCycles step = isGradient ? getGradientStep(tiles) : getForwardStep(tiles);
  int64_t own = isGradient ? tiles.keyBlock : tiles.queryBlock, other = isGradient ? tiles.queryBlock : tiles.keyBlock;
  int64_t perPlane = llvm::divideCeil(length, own), count = perPlane * heads;
  auto getSteps = [&](int64_t tile) -> int64_t {
    int64_t all = llvm::divideCeil(length, other);
    if (!causal)
      return all;
    return isGradient ? all - tile * own / other : llvm::divideCeil(std::min((tile + 1) * own, length), other);
  };
  // Forward: the heaviest first, forwards and backwards in turn. Gradient: in the order of blocks, each to the SM that
  // is free first.
  llvm::SmallVector<double> turns(HopperLimits::multiprocessors, 0);
  double steps = 0;
  for (int64_t i = 0; i < count; ++i) {
    int64_t tile = isGradient ? i % perPlane : perPlane - 1 - i / heads;
    int64_t round = i / HopperLimits::multiprocessors, place = i % HopperLimits::multiprocessors;
    double *sm =
        isGradient ? llvm::min_element(turns) : &turns[round % 2 ? HopperLimits::multiprocessors - 1 - place : place];
    *sm += double(getSteps(tile)) * step.total + step.edge;
    steps += double(getSteps(tile));
  }
  double visible = double(length) * double(length) * (causal ? 0.5 : 1);
  return finish(step, turns, steps, (isGradient ? 10 : 4) * double(tiles.headDim) * visible * double(heads));
}

HopperPrediction predictGemm(const HopperGemmTiles &tiles, int64_t rows, int64_t columns, int64_t depth) {
  HopperStepCycles step = getGemmStep(tiles);
  int64_t count = llvm::divideCeil(rows, tiles.rows) * llvm::divideCeil(columns, tiles.columns);
  double steps = double(llvm::divideCeil(depth, tiles.depth));
  llvm::SmallVector<double> turns(HopperLimits::multiprocessors, 0);
  for (int64_t i = 0; i < count; ++i)
    turns[i % HopperLimits::multiprocessors] += steps * step.total + step.edge;
  return finish(step, turns, double(count) * steps, 2 * double(rows) * double(columns) * double(depth));
}

} // namespace bpt
