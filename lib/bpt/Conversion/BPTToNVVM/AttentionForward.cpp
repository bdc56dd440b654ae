// bpt.attention on Hopper: one producer warpgroup and two or three consumer warpgroups of 64 queries each.
//
// The producer's one thread loads the queries of a tile and walks the blocks of keys from the last to the first; keys
// and values have a ring each, and the values lag one block behind, so that no product of queries and keys waits for
// values. A consumer, for each block:
//
//   S = Q K'            issued
//   O += P V            issued, P and V of the block before
//   S complete          softcap, bias, mask; running maximum, exponentials (while O is still being summed)
//   O complete          O and the running sum are rescaled, P is rounded and packed
//
// Named barriers let consumers issue their products in turns ("ping-pong"): while one is at its exponentials, another
// has the tensor cores. Sums of a row stay with the threads and are added over the quad once, at the end. O goes out
// through the shared memory of the warpgroup's own queries.
//
// Blocks are persistent: tiles are taken heaviest first (the last queries see most under a causal mask), forwards and
// backwards in turn, so that the work of all SMs is about the same; heads come in sections whose keys and values stay
// in the L2 cache. (FlashAttention-3, Shah et al. 2024.)
#include "AttentionScores.h"
#include "Barriers.h"
#include "Lowerings.h"
#include "TensorMemory.h"
#include "TileOrder.h"
#include <limits>

using namespace mlir;

namespace bpt::hopper {

static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double ln2 = 0.69314718055994530942;

namespace {
/// Arguments of the kernel by number.
struct ForwardArguments {
  unsigned query, key, value, out;
  StridedArgument lse;
  AttentionArguments scores;
};

/// What is known of the rows of a thread: their largest score and their sum of exponentials, as far as this thread has
/// seen.
struct RowStatistics {
  std::array<Value, 2> maximum, sum;
};

class AttentionForward {
public:
  AttentionForward(KernelBuilder &e, const AttentionSpec &spec, const HopperAttentionTiles &tiles,
                   const ForwardArguments &arguments)
      : e(e), spec(spec), tiles(tiles), arguments(arguments), barriers(e, tiles.layout.getOffset("barriers")),
        queryFull(barriers.take(1, 1)), queryEmpty(barriers.take(1, tiles.roles.consumers)),
        keys(e, barriers, tiles.stages, 4 * tiles.roles.consumers),
        values(e, barriers, tiles.stages, 4 * tiles.roles.consumers), memory(e), matrix(e, spec.element),
        scores(e, spec, arguments.scores, /*transposed=*/false) {}

  void emit() {
    Value isFirst = e.setUpBlock([&] {
      for (unsigned map : {arguments.query, arguments.key, arguments.value, arguments.out})
        memory.prefetch(e.getArgument(map));
      barriers.emitInit();
    });
    e.splitRoles(tiles.roles, isFirst, [&] { produce(); }, [&] { consume(); });
  }

private:
  //===--- tiles
  //---------------------------------------------------------------------------------------------------===//

  /// Visits the tiles of this block: body(tile, blocks of keys so far), which returns the new number.
  void visitTiles(function_ref<Value(const TileOrder::Tile &, Value counter)> body) {
    TileOrder order(e, scores.queries, tiles.queryBlock, e.mul(scores.batch, spec.heads),
                    e.mul(scores.keys, tiles.paddedDim * 4));
    order.visit([&](const TileOrder::Tile &tile, Value counter) { return body(tile, counter); });
  }

  Value getFirstQuery(const TileOrder::Tile &tile) { return e.mul(tile.row, tiles.queryBlock); }

  //===--- producer
  //------------------------------------------------------------------------------------------------===//

  int64_t getKeyBytes() const { return tiles.keyBlock * tiles.paddedDim * 2; }

  void loadTile(Value map, int64_t rows, Value shared, Value head, Value row, Value batchIndex, Value barrier) {
    barriers.arriveExpecting(barrier, rows * tiles.paddedDim * 2);
    for (int64_t box = 0; box < tiles.getBoxes(); ++box)
      memory.load(map, {e.i32(64 * box), head, row, batchIndex}, e.advance(shared, box * rows * 128), barrier);
  }

  void produce() {
    visitTiles([&](const TileOrder::Tile &tile, Value counter) {
      Value batchIndex = e.div(tile.plane, spec.heads), head = e.rem(tile.plane, spec.heads);
      Value group = e.div(head, spec.heads / spec.groups);
      Value first = getFirstQuery(tile);
      BlockLoop blocks = scores.getKeyBlocks(first, tiles.queryBlock, tiles.keyBlock);
      Value count = e.sub(blocks.end, blocks.begin), last = e.sub(blocks.end, 1);
      auto loadBlock = [&](Ring &ring, StringRef region, unsigned map, Value number) {
        RingSlot slot = ring.getSlot(e.add(counter, number));
        ring.acquire(slot);
        Value row = e.mul(e.sub(last, number), tiles.keyBlock);
        Value shared = e.getShared(e.add(e.mul(slot.stage, getKeyBytes()), tiles.layout.getOffset(region)));
        loadTile(e.getArgument(map), tiles.keyBlock, shared, group, row, batchIndex, ring.getFull(slot));
      };
      loadBlock(keys, "key", arguments.key, e.i32(0));
      barriers.wait(barriers.get(queryEmpty), e.bitXor(e.bitAnd(tile.turn, 1), 1));
      loadTile(e.getArgument(arguments.query), tiles.queryBlock, e.getShared(tiles.layout.getOffset("query")), head,
               first, batchIndex, barriers.get(queryFull));
      e.loop(e.i32(1), count, e.i32(1), [&](Value number) {
        loadBlock(keys, "key", arguments.key, number);
        loadBlock(values, "value", arguments.value, e.sub(number, 1));
      });
      loadBlock(values, "value", arguments.value, e.sub(count, 1));
      return e.add(counter, count);
    });
  }

  //===--- consumers
  //-----------------------------------------------------------------------------------------------===//

  void consume() {
    group = e.sub(e.getWarpGroup(), 1);
    // Turns: a warpgroup waits on its own barrier and lets the next one pass.
    myTurn = e.add(group, 1);
    nextTurn = e.add(e.rem(myTurn, tiles.roles.consumers), 1);
    e.ifThen(e.equal(group, 0), [&] { e.arrive(e.i32(1), turnThreads); });
    Value queryBytes = e.mul(group, 64 * 128);
    Value queryOffset = e.add(queryBytes, tiles.layout.getOffset("query"));
    query = matrix.describe(e.getShared(queryOffset), tiles.queryBlock * 128);
    visitTiles([&](const TileOrder::Tile &tile, Value counter) {
      Value batchIndex = e.div(tile.plane, spec.heads), head = e.rem(tile.plane, spec.heads);
      Value tileQuery = getFirstQuery(tile);
      BlockLoop blocks = scores.getKeyBlocks(tileQuery, tiles.queryBlock, tiles.keyBlock);
      Value count = e.sub(blocks.end, blocks.begin);
      scores.setHead(batchIndex, head);
      firstQuery = e.add(tileQuery, e.mul(group, 64));
      lastBlock = e.sub(blocks.end, 1);
      firstCounter = counter;

      barriers.wait(barriers.get(queryFull), e.bitAnd(tile.turn, 1));
      RowStatistics rows;
      Fragment probabilities = startRows(rows), sums(tiles.paddedDim / 2, e.f32(0));
      emitBlocks(count, rows, probabilities, sums);
      addValues(e.sub(count, 1), probabilities, sums);
      std::array<Value, 2> factors = finishRows(rows, batchIndex, head);
      storeOut(sums, factors, queryOffset, batchIndex, head);
      return e.add(counter, count);
    });
  }

  ScorePlace getPlace(Value number) { return {firstQuery, e.mul(e.sub(lastBlock, number), tiles.keyBlock)}; }

  SharedMatrix getStage(StringRef region, const RingSlot &slot, bool sumsRows) {
    Value offset = e.add(e.mul(slot.stage, getKeyBytes()), tiles.layout.getOffset(region));
    return matrix.describe(e.getShared(offset), tiles.keyBlock * 128, sumsRows);
  }

  /// S = Q K' of a block, in flight.
  Fragment multiplyKeys(const RingSlot &slot) {
    Fragment product =
        matrix.multiply(ValueRange(), query, getStage("key", slot, false), tiles.keyBlock, tiles.getDimSteps());
    matrix.commit();
    return product;
  }

  /// sums += P V of a block, in flight.
  void multiplyValues(const RingSlot &slot, const Fragment &probabilities, Fragment &sums) {
    sums = matrix.multiply(sums, probabilities, getStage("value", slot, true), tiles.paddedDim, tiles.keyBlock / 16);
    matrix.commit();
  }

  /// The first block: there is nothing to rescale yet. Returns its packed probabilities.
  Fragment startRows(RowStatistics &rows) {
    RingSlot slot = keys.getSlot(firstCounter);
    keys.waitFull(slot);
    matrix.fence();
    Fragment s = multiplyKeys(slot);
    matrix.wait(0, {&s});
    keys.release(slot);
    scores.modify(s, getPlace(e.i32(0)), 64, tiles.keyBlock);
    return exponentiate(s, rows, /*isFirst=*/true, getPlace(e.i32(0))).probabilities;
  }

  /// The other blocks: scores of one, values of the one before.
  void emitBlocks(Value count, RowStatistics &rows, Fragment &probabilities, Fragment &sums) {
    size_t registers = sums.size();
    Fragment init(sums);
    init.append({rows.maximum[0], rows.maximum[1], rows.sum[0], rows.sum[1]});
    init.append(probabilities);
    auto take = [&](ValueRange carried) {
      sums.assign(carried.begin(), carried.begin() + registers);
      rows.maximum = {carried[registers], carried[registers + 1]};
      rows.sum = {carried[registers + 2], carried[registers + 3]};
      probabilities.assign(carried.begin() + registers + 4, carried.end());
    };
    Fragment last = e.loop(e.i32(1), count, e.i32(1), init, [&](Value number, ValueRange carried) {
      take(carried);
      emitBlock(number, rows, probabilities, sums);
      Fragment next(sums);
      next.append({rows.maximum[0], rows.maximum[1], rows.sum[0], rows.sum[1]});
      next.append(probabilities);
      return next;
    });
    take(last);
  }

  void emitBlock(Value number, RowStatistics &rows, Fragment &probabilities, Fragment &sums) {
    Value counter = e.add(firstCounter, number);
    RingSlot keySlot = keys.getSlot(counter), valueSlot = values.getSlot(e.sub(counter, 1));
    keys.waitFull(keySlot);
    e.synchronize(myTurn, turnThreads);
    matrix.fence({&sums, &probabilities});
    Fragment s = multiplyKeys(keySlot);
    values.waitFull(valueSlot);
    // The wait is a branch: products after it need their own fence, or ptxas puts one in.
    matrix.fence();
    multiplyValues(valueSlot, probabilities, sums);
    e.arrive(nextTurn, turnThreads);
    matrix.wait(1, {&s});
    keys.release(keySlot);
    scores.modify(s, getPlace(number), 64, tiles.keyBlock);
    Exponentials exponentials = exponentiate(s, rows, /*isFirst=*/false, getPlace(number));
    matrix.wait(0, {&sums});
    values.release(valueSlot);
    probabilities = exponentials.probabilities;
    for (auto [i, sum] : llvm::enumerate(sums))
      sum = e.mulf(sum, exponentials.rescale[FragmentPosition::getHalf(i)]);
  }

  /// The values of the last block.
  void addValues(Value number, Fragment &probabilities, Fragment &sums) {
    RingSlot slot = values.getSlot(e.add(firstCounter, number));
    values.waitFull(slot);
    matrix.fence({&sums, &probabilities});
    multiplyValues(slot, probabilities, sums);
    matrix.wait(0, {&sums});
    values.release(slot);
  }

  struct Exponentials {
    Fragment probabilities;       ///< packed
    std::array<Value, 2> rescale; ///< of what was summed before
  };

  /// One step of the online softmax: the new maxima, 2^(unit (s - maximum)), the new sums.
  Exponentials exponentiate(const Fragment &s, RowStatistics &rows, bool isFirst, const ScorePlace &place) {
    Exponentials result;
    Fragment p(s.size());
    Value unit = e.f32(scores.getUnit()), none = e.f32(-infinity), zero = e.f32(0);
    auto larger = [&](Value a, Value b) { return e.maxf(a, b); };
    auto sumOf = [&](Value a, Value b) { return e.addf(a, b); };
    for (int64_t half : {0, 1}) {
      Fragment mine;
      for (auto [i, score] : llvm::enumerate(s))
        if (FragmentPosition::getHalf(i) == half)
          mine.push_back(score);
      Value largest = e.reduceQuad(e.reduceTree(mine, larger), larger), before = rows.maximum[half];
      if (!isFirst)
        largest = e.maxf(largest, before);
      // A row that has seen nothing has no maximum: nothing is subtracted from -inf.
      Value isNone = e.compareFloat(arith::CmpFPredicate::OEQ, largest, none);
      Value shift = e.mulf(e.select(isNone, zero, largest), e.f32(-scores.getUnit()));
      Fragment exponentials;
      for (auto [i, score] : llvm::enumerate(s))
        if (FragmentPosition::getHalf(i) == half)
          exponentials.push_back(p[i] = e.exp2(e.fma(score, unit, shift)));
      Value sum = e.reduceTree(exponentials, sumOf);
      if (!isFirst) {
        result.rescale[half] = e.exp2(e.fma(before, unit, shift));
        sum = e.fma(rows.sum[half], result.rescale[half], sum);
      }
      rows.maximum[half] = largest;
      rows.sum[half] = sum;
    }
    dropOut(p, place);
    result.probabilities = matrix.pack(p);
    return result;
  }

  /// Zeros for what dropout drops, after the sums.
  void dropOut(Fragment &p, const ScorePlace &place) {
    for (size_t i = 0; scores.hasDropout() && i < p.size(); i += 8)
      for (auto [n, kept] : llvm::enumerate(scores.drawKept(place, static_cast<int64_t>(i) / 8)))
        p[i + n] = e.select(kept, p[i + n], e.f32(0));
  }

  /// Stores lse and returns the factors of the rows of out: 1 / sum, 0 for a row that has seen nothing.
  std::array<Value, 2> finishRows(RowStatistics &rows, Value batchIndex, Value head) {
    std::array<Value, 2> factors;
    FragmentPosition position = FragmentPosition::get(e);
    GlobalView lse(e, arguments.lse, e.getF32Type());
    Value none = e.f32(-infinity), zero = e.f32(0), isFirstOfQuad = e.equal(position.column, 0);
    for (int64_t half : {0, 1}) {
      Value sum = e.reduceQuad(rows.sum[half], [&](Value a, Value b) { return e.addf(a, b); });
      Value isEmpty = e.compareFloat(arith::CmpFPredicate::OEQ, sum, zero);
      factors[half] = e.select(isEmpty, zero, e.mulf(e.reciprocal(sum), e.f32(scores.getKeptFactor())));
      Value logarithm = e.fma(rows.maximum[half], e.f32(scores.getUnit()), e.log2(sum));
      logarithm = e.select(isEmpty, none, e.mulf(logarithm, e.f32(ln2)));
      Value row = e.add(e.add(firstQuery, position.row), 8 * half);
      e.ifThen(e.bitAnd(isFirstOfQuad, e.less(row, scores.queries)),
               [&] { lse.store(logarithm, {batchIndex, head, row}); });
    }
    return factors;
  }

  /// Rounds out, puts it where the warpgroup's queries were, and stores it from there. The next tile's queries wait
  /// until it is read.
  void storeOut(Fragment &sums, const std::array<Value, 2> &factors, Value queryOffset, Value batchIndex, Value head) {
    for (auto [i, sum] : llvm::enumerate(sums))
      sum = e.mulf(sum, factors[FragmentPosition::getHalf(i)]);
    int64_t boxBytes = tiles.queryBlock * 128;
    FragmentStore(e, queryOffset, boxBytes).storeAll(matrix.pack(sums), tiles.paddedDim);
    memory.fenceWrites();
    e.synchronize(e.add(group, tiles.roles.consumers + 1), warpGroupThreads);
    e.ifThen(e.bitAnd(e.equal(e.getWarpInGroup(), 0), e.getElected()), [&] {
      for (int64_t box = 0; box < tiles.getBoxes(); ++box)
        memory.store(e.getArgument(arguments.out), {e.i32(64 * box), head, firstQuery, batchIndex},
                     e.getShared(e.add(queryOffset, box * boxBytes)));
      memory.commit();
      memory.waitRead();
      barriers.arrive(barriers.get(queryEmpty));
    });
  }

  static constexpr int64_t turnThreads = 2 * warpGroupThreads;
  KernelBuilder &e;
  const AttentionSpec &spec;
  const HopperAttentionTiles &tiles;
  const ForwardArguments &arguments;
  BarrierTable barriers;
  int64_t queryFull, queryEmpty;
  Ring keys, values;
  TensorMemory memory;
  WarpGroupMatrix matrix;
  AttentionScores scores;
  /// Of a consumer: its number, its barriers, its queries; of the tile: its first query, its last block, blocks before
  /// it.
  Value group, myTurn, nextTurn, firstQuery, lastBlock, firstCounter;
  SharedMatrix query;
};
} // namespace

LogicalResult lowerAttention(AttentionOp op, KernelLibrary &kernels) {
  FailureOr<HopperAttentionTiles> tiles = HopperAttentionTiles::get(op);
  if (failed(tiles))
    return failure();
  AttentionSpec spec = AttentionSpec::get(op);
  LaunchArguments launch(op);
  ForwardArguments arguments;
  arguments.query = launch.addTensorMap(op.getQuery(), {1, tiles->queryBlock, 1, 64});
  arguments.key = launch.addTensorMap(op.getKey(), {1, tiles->keyBlock, 1, 64});
  arguments.value = launch.addTensorMap(op.getValue(), {1, tiles->keyBlock, 1, 64});
  arguments.out = launch.addTensorMap(op.getOuts()[0], {1, 64, 1, 64});
  arguments.lse = launch.addStrided(op.getOuts()[1]);
  arguments.scores = AttentionArguments::add(launch, op);
  Value rows = launch.ceilDiv(launch.dim(op.getQuery(), 1), tiles->queryBlock);
  Value count = launch.mul(launch.mul(rows, launch.dim(op.getQuery(), 0)), launch.index(spec.heads));
  Value blocks = launch.min(count, launch.index(HopperLimits::multiprocessors)), one = launch.index(1);
  kernels.launch("attention", spec.key, launch,
                 {{blocks, one, one}, tiles->roles.getThreads(), tiles->layout.getBytes()},
                 [&](KernelBuilder &e) { AttentionForward(e, spec, *tiles, arguments).emit(); });
  op->erase();
  return success();
}

} // namespace bpt::hopper
