// The shared parts of the kernels of bpt.attention_grad.
#include "AttentionGradient.h"

using namespace mlir;

namespace bpt::hopper {

AttentionGradient::AttentionGradient(KernelBuilder &e, const AttentionSpec &spec, const HopperAttentionTiles &tiles,
                                     const GradientArguments &arguments)
    : e(e), spec(spec), tiles(tiles), arguments(arguments), barriers(e, tiles.layout.getOffset("barriers")),
      keysFull(barriers.take(1, 1)), queries(e, barriers, tiles.stages, 4 * tiles.roles.consumers),
      douts(e, barriers, tiles.stages, 4 * tiles.roles.consumers), memory(e), matrix(e, spec.element),
      scores(e, spec, arguments.scores, /*transposed=*/true), position(FragmentPosition::get(e)) {}

void AttentionGradient::emit() {
  Value isFirst = e.setUpBlock([&] {
    for (unsigned map : {arguments.query, arguments.key, arguments.value, arguments.dout, arguments.querySums})
      memory.prefetch(e.getArgument(map));
    barriers.emitInit();
  });
  // Blocks of one plane are neighbours: they read the same queries. The first keys are seen most under a causal mask.
  Value block = e.getBlock(KernelBuilder::Dim::X), rows = e.getArgument(arguments.rows);
  Value plane = e.div(block, rows);
  Value row = e.add(e.getArgument(arguments.firstRow), e.rem(block, rows));
  firstKey = e.mul(row, tiles.keyBlock);
  batchIndex = e.div(plane, spec.groups);
  keyHead = e.rem(plane, spec.groups);
  queryBlocks = scores.getQueryBlocks(firstKey, tiles.keyBlock, tiles.queryBlock);
  e.splitRoles(
      tiles.roles, isFirst, [&] { produce(); },
      [&] {
        group = e.sub(e.getWarpGroup(), 1);
        barriers.wait(barriers.get(keysFull), e.i32(0));
        consume();
        e.ifThen(isLeader(), [&] { memory.waitRead(); });
      });
}

//===-- Steps and loads -----------------------------------------------------------------------------------------===//

AttentionGradient::Step AttentionGradient::getStep(Value number) {
  int64_t ratio = spec.heads / spec.groups;
  Value count = e.sub(queryBlocks.end, queryBlocks.begin), head = keyHead, block = number;
  if (ratio > 1) {
    head = e.add(e.mul(keyHead, ratio), e.div(number, count));
    block = e.rem(number, count);
  }
  return {head, e.mul(e.add(queryBlocks.begin, block), tiles.queryBlock), queries.getSlot(number)};
}

Fragment AttentionGradient::visitSteps(ValueRange init, function_ref<Fragment(const Step &, ValueRange)> body) {
  Value count = e.mul(e.sub(queryBlocks.end, queryBlocks.begin), spec.heads / spec.groups);
  return e.loop(e.i32(0), count, e.i32(1), init,
                [&](Value number, ValueRange carried) { return body(getStep(number), carried); });
}

void AttentionGradient::loadTile(Value map, int64_t rows, Value shared, Value head, Value row, Value barrier) {
  for (int64_t box = 0; box < tiles.getBoxes(); ++box)
    memory.load(map, {e.i32(64 * box), head, row, batchIndex}, e.advance(shared, box * rows * 128), barrier);
}

Value AttentionGradient::stagedOffset(StringRef region, const RingSlot &slot, int64_t bytes) {
  return e.add(e.mul(slot.stage, bytes), tiles.layout.getOffset(region));
}

void AttentionGradient::produce() {
  Value barrier = barriers.get(keysFull);
  barriers.arriveExpecting(barrier, 2 * tiles.keyBlock * tiles.paddedDim * 2);
  for (auto [map, region] : {std::pair<unsigned, StringRef>{arguments.key, "key"}, {arguments.value, "value"}})
    loadTile(e.getArgument(map), tiles.keyBlock, e.getShared(tiles.layout.getOffset(region)), keyHead, firstKey,
             barrier);

  int64_t rowBytes = tiles.queryBlock * 4;
  Value paddedQueries = e.mul(e.ceilDiv(scores.queries, tiles.queryBlock), tiles.queryBlock);
  (void)visitSteps({}, [&](const Step &step, ValueRange) {
    auto load = [&](Ring &ring, unsigned map, StringRef region, unsigned rows, StringRef rowRegion) {
      ring.acquire(step.slot);
      Value full = ring.getFull(step.slot);
      barriers.arriveExpecting(full, getQueryBytes() + rowBytes);
      loadTile(e.getArgument(map), tiles.queryBlock, e.getShared(stagedOffset(region, step.slot, getQueryBytes())),
               step.head, step.firstQuery, full);
      Value first = e.add(e.mul(getPlane(step.head), paddedQueries), step.firstQuery);
      memory.loadRow(e.getElement(e.getArgument(rows), first, e.getF32Type()),
                     e.getShared(stagedOffset(rowRegion, step.slot, rowBytes)), rowBytes, full);
    };
    load(queries, arguments.query, "query", arguments.lse, "lse");
    load(douts, arguments.dout, "dout", arguments.delta, "delta");
    return Fragment();
  });
}

SharedMatrix AttentionGradient::getStage(StringRef region, const RingSlot &slot, bool sumsRows, Value byteOffset) {
  Value offset = stagedOffset(region, slot, getQueryBytes());
  if (byteOffset)
    offset = e.add(offset, byteOffset);
  return matrix.describe(e.getShared(offset), tiles.queryBlock * 128, sumsRows);
}

SharedMatrix AttentionGradient::getMatrix(StringRef region, Value byteOffset, int64_t rows, bool sumsRows) {
  return matrix.describe(e.getShared(e.add(byteOffset, tiles.layout.getOffset(region))), rows * 128, sumsRows);
}

//===-- Probabilities and their gradients -----------------------------------------------------------------------===//

AttentionGradient::Statistics::Statistics(AttentionGradient &gradient, StringRef region, const RingSlot &slot,
                                          Value firstColumn)
    : e(gradient.e) {
  Value offset = gradient.stagedOffset(region, slot, gradient.tiles.queryBlock * 4);
  first = e.getShared(e.add(offset, e.shiftLeft(e.add(gradient.position.column, firstColumn), 2)));
}

Value AttentionGradient::Statistics::get(int64_t number) {
  if (loaded != number / 4) {
    loaded = number / 4;
    Value values = e.load(e.advance(first, 32 * loaded), VectorType::get(2, e.getF32Type()));
    for (int64_t i = 0; i < 2; ++i)
      pair[i] = LLVM::ExtractElementOp::create(e, values, e.i32(i));
  }
  return pair[number % 2];
}

Fragment AttentionGradient::getProbabilities(Fragment products, const Step &step, const ScorePlace &place,
                                             Value firstColumn, Fragment &slopes) {
  scores.setHead(batchIndex, step.head);
  Fragment ratios;
  scores.modify(products, place, static_cast<int64_t>(products.size()) * 2, 64, &ratios);
  for (Value &ratio : ratios) // c tanh'(x / c) / c = 1 - tanh(x / c)^2
    ratio = e.fma(e.negf(ratio), ratio, e.f32(1));
  slopes = matrix.pack(ratios);
  Value unit = e.f32(scores.getUnit());
  Statistics logarithms(*this, "lse", step.slot, firstColumn);
  Fragment probabilities;
  for (auto [number, score] : llvm::enumerate(products))
    probabilities.push_back(e.exp2(e.fma(score, unit, logarithms.get(static_cast<int64_t>(number)))));
  return probabilities;
}

AttentionGradient::Packed AttentionGradient::getScoreGradients(const Fragment &probabilities, const Fragment &products,
                                                               const Fragment &slopes, const Step &step,
                                                               const ScorePlace &place, Value firstColumn) {
  Packed packed;
  Statistics deltas(*this, "delta", step.slot, firstColumn);
  int64_t count = static_cast<int64_t>(products.size());
  std::array<Value, 8> kept;
  // The shuffle changes nothing, but LLVM knows no better: else it keeps the bias's indices in registers from their use
  // before.
  ScorePlace biasPlace = place;
  if (arguments.biasSums)
    biasPlace.query = e.shuffleFrom(place.query, e.i32(0));
  for (int64_t i = 0; i < count; i += 2) {
    if (scores.hasDropout() && i % 8 == 0)
      kept = scores.drawKept(place, i / 8);
    std::array<Value, 2> p = {probabilities[i], probabilities[i + 1]}, ds;
    for (int64_t c = 0; c < 2; ++c) {
      Value dp = products[i + c], delta = deltas.get(i + c), difference;
      if (scores.hasDropout()) {
        Value isKept = kept[i % 8 + c], zero = e.f32(0);
        difference = e.fma(e.select(isKept, dp, zero), e.f32(scores.getKeptFactor()), delta);
        ds[c] = e.mulf(p[c], difference);
        p[c] = e.select(isKept, p[c], zero);
      } else {
        ds[c] = e.mulf(p[c], e.addf(dp, delta));
      }
    }
    if (arguments.biasSums)
      for (int64_t c = 0; c < 2; ++c)
        addBiasGradient(ds[c], biasPlace, i + c);
    if (!slopes.empty()) {
      std::array<Value, 2> slope = e.unpack(slopes[i / 2], spec.element);
      ds = {e.mulf(ds[0], slope[0]), e.mulf(ds[1], slope[1])};
    }
    packed.probabilities.push_back(e.pack(p[0], p[1], spec.element));
    packed.gradients.push_back(e.pack(ds[0], ds[1], spec.element));
  }
  return packed;
}

/// What does not exist has the gradient 0, which is added to the last that does.
void AttentionGradient::addBiasGradient(Value gradient, const ScorePlace &place, int64_t number) {
  GlobalView sums(e, *arguments.biasSums, e.getF32Type());
  Value address = sums.getAddress(scores.getBiasIndices(place, number));
  address = LLVM::AddrSpaceCastOp::create(e, e.pointerType(1), address);
  LLVM::AtomicRMWOp::create(e, LLVM::AtomicBinOp::fadd, address, gradient, LLVM::AtomicOrdering::monotonic, "device");
}

//===-- Gradients on their way out ------------------------------------------------------------------------------===//

void AttentionGradient::addQueryGradient(const Fragment &fragment, int64_t columns, Value firstQuery, Value firstColumn,
                                         Value plane) {
  // Boxes of 32 columns of f32 x 64 rows, 128-byte swizzle: rows r have the 16-byte pieces of their 128 bytes xor r
  // % 8.
  Value barrier = e.add(group, firstOfWarpGroup);
  Value staging = e.add(e.mul(group, getStagingBytes()), tiles.layout.getOffset("dquery"));
  e.ifThen(isLeader(), [&] { memory.waitRead(); });
  e.synchronize(barrier, warpGroupThreads);
  Value row = e.shiftRight(e.getLane(), 2);
  Value piece = e.bitXor(e.shiftLeft(position.column, 2), e.shiftLeft(row, 4));
  Value address = e.add(e.add(staging, e.shiftLeft(position.row, 7)), piece);
  auto type = VectorType::get(2, e.getF32Type());
  for (size_t i = 0; i < fragment.size(); i += 2) {
    int64_t unit = static_cast<int64_t>(i) / 4, half = FragmentPosition::getHalf(static_cast<int64_t>(i));
    Value pair = LLVM::UndefOp::create(e, type);
    for (int64_t c = 0; c < 2; ++c)
      pair = LLVM::InsertElementOp::create(e, pair, fragment[i + c], e.i32(c));
    Value pointer = e.getShared(e.bitXor(address, unit % 4 * 32));
    e.store(pair, e.advance(pointer, unit / 4 * 64 * 128 + half * 8 * 128));
  }
  memory.fenceWrites();
  e.synchronize(barrier, warpGroupThreads);
  e.ifThen(isLeader(), [&] {
    for (int64_t box = 0; box < columns / 32; ++box)
      memory.reduceAdd(e.getArgument(arguments.querySums), {e.add(firstColumn, 32 * box), firstQuery, plane},
                       e.getShared(e.add(staging, box * 64 * 128)));
    memory.commit();
  });
}

void AttentionGradient::addOut(const Fragment &fragment, const StridedArgument &out, Type element, int64_t columns,
                               Value firstRow, Value firstColumn, double factor) {
  GlobalView view(e, out, element);
  Value scale = e.f32(factor), column = e.add(firstColumn, position.column);
  Type type = element.isF32() ? Type(VectorType::get(2, element)) : e.getI32Type();
  for (int64_t half : {0, 1}) {
    Value row = e.add(e.add(firstRow, position.row), 8 * half);
    e.ifThen(e.less(row, scores.keys), [&] {
      Value address = view.getAddress({batchIndex, row, keyHead, column});
      for (int64_t j = 0; j < columns / 8; ++j) {
        auto add = [&] {
          Value pointer = e.advance(address, j * 8 * element.getIntOrFloatBitWidth() / 8);
          Value before = e.load(pointer, type), after;
          Value low = e.mulf(fragment[4 * j + 2 * half], scale), high = e.mulf(fragment[4 * j + 2 * half + 1], scale);
          if (element.isF32()) {
            after = LLVM::UndefOp::create(e, type);
            for (auto [i, value] : {std::pair<int64_t, Value>{0, low}, {1, high}})
              after = LLVM::InsertElementOp::create(
                  e, after, e.addf(LLVM::ExtractElementOp::create(e, before, e.i32(i)), value), e.i32(i));
          } else {
            std::array<Value, 2> old = e.unpack(before, element);
            after = e.pack(e.addf(old[0], low), e.addf(old[1], high), element);
          }
          e.store(after, pointer);
        };
        // D is a multiple of 8: a unit of 8 columns exists or not.
        if (std::optional<int64_t> first = getConstantIntValue(firstColumn)) {
          if (*first + 8 * j < tiles.headDim)
            add();
        } else {
          e.ifThen(e.less(e.add(firstColumn, 8 * j), tiles.headDim), add);
        }
      }
    });
  }
}

} // namespace bpt::hopper
