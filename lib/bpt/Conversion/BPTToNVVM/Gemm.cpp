// Matrix products: one producer warpgroup and two consumer warpgroups of 64 rows of C each.
//
// The producer's one thread walks the tiles of this block and fills a ring of stages, each 64 of the summed dim of A
// and B, across the borders of tiles: while consumers are at the end of a tile, the stages of the next one arrive. A
// consumer, for each stage:
//
//   sums += A B         issued
//   the product of the stage before is complete: that stage is released
//
// so that one product is always in flight. At the end of a tile the epilogue takes the sums in pairs of columns. What
// leaves in 16 bits goes through pieces of 64 x 64 in shared memory and TMA stores, which clip what is outside of C;
// the pieces of a warpgroup take turns, and a store is waited for only when its piece is needed again.
//
// Blocks are persistent. Tiles come in groups of rows, column by column in a group and back in the next, so that what
// all SMs read at a time stays in the L2 cache. (fast.cu, Mosaic GPU, DeepGEMM: performance.md, A5.)
#include "Gemm.h"

#include "Barriers.h"
#include "TensorMemory.h"
#include "WarpGroupMatrix.h"
#include "mlir/IR/Remarks.h"

using namespace mlir;

namespace bpt::hopper {

/// Rows of tiles that are walked together.
static constexpr int64_t rowsTogether = 16;

namespace {
/// What of a problem the kernel's code depends on, and where its arguments are.
struct GemmSpec {
  struct Operand {
    unsigned map;
    bool sumsRows;
    SmallVector<unsigned> loops;
  };
  Type element;
  Operand left;
  SmallVector<Operand> right;
  std::optional<Operand> secondLeft, secondRight;
  SmallVector<unsigned> staged;
  unsigned rows, columns, depth;
  SmallVector<unsigned> parallel, sequential;
};

class GemmKernel {
public:
  GemmKernel(KernelBuilder &e, const GemmSpec &spec, const HopperGemmTiles &tiles, GemmEpilogue &epilogue)
      : e(e), spec(spec), tiles(tiles), epilogue(epilogue), barriers(e, tiles.layout.getOffset("barriers")),
        ring(e, barriers, tiles.stages, 4 * tiles.roles.consumers), memory(e), matrix(e, spec.element) {}

  void emit() {
    Value isFirst = e.setUpBlock([&] {
      memory.prefetch(e.getArgument(spec.left.map));
      for (const GemmSpec::Operand &operand : spec.right)
        memory.prefetch(e.getArgument(operand.map));
      for (unsigned map : spec.staged)
        memory.prefetch(e.getArgument(map));
      barriers.emitInit();
    });
    e.splitRoles(tiles.roles, isFirst, [&] { produce(); }, [&] { consume(); });
  }

private:
  //===--- tiles
  //---------------------------------------------------------------------------------------------------===//

  struct Tile {
    SmallVector<Value> outer;
    Value row, column; ///< first of the tile
  };

  /// Indices of the loops with these sizes at a position in row-major order.
  SmallVector<Value> split(Value position, ArrayRef<unsigned> sizes) {
    SmallVector<Value> indices(sizes.size());
    for (size_t i = sizes.size(); i-- > 0;) {
      Value size = e.getArgument(sizes[i]);
      indices[i] = i == 0 ? position : e.rem(position, size);
      position = i == 0 ? position : e.div(position, size);
    }
    return indices;
  }

  Tile getTile(Value number, Value rowTiles, Value columnTiles) {
    Value perMatrix = e.mul(rowTiles, columnTiles);
    Tile tile;
    Value inMatrix = number;
    if (!spec.parallel.empty()) {
      tile.outer = split(e.div(number, perMatrix), spec.parallel);
      inMatrix = e.rem(number, perMatrix);
    }
    Value perGroup = e.mul(columnTiles, rowsTogether), group = e.div(inMatrix, perGroup);
    Value firstRow = e.mul(group, rowsTogether), inGroup = e.rem(inMatrix, perGroup);
    Value height = e.min(e.sub(rowTiles, firstRow), rowsTogether); // the last group may be lower
    Value column = e.div(inGroup, height), row = e.add(firstRow, e.rem(inGroup, height));
    Value back = e.sub(e.sub(columnTiles, 1), column);
    column = e.select(e.equal(e.bitAnd(group, 1), 0), column, back);
    tile.row = e.mul(row, tiles.rows);
    tile.column = e.mul(column, tiles.columns);
    return tile;
  }

  /// Visits the tiles of this block: body(tile, stages so far, stages of a tile).
  void visitTiles(function_ref<void(const Tile &, Value counter, Value steps)> body) {
    Value rowTiles = e.ceilDiv(e.getArgument(spec.rows), tiles.rows);
    Value columnTiles = e.ceilDiv(e.getArgument(spec.columns), tiles.columns), total = e.mul(rowTiles, columnTiles);
    depthSteps = e.ceilDiv(e.getArgument(spec.depth), tiles.depth);
    Value steps = depthSteps, zero = e.i32(0);
    for (unsigned size : spec.parallel)
      total = e.mul(total, e.getArgument(size));
    for (unsigned size : spec.sequential)
      steps = e.mul(steps, e.getArgument(size));
    termSteps = steps;
    if (spec.secondLeft)
      steps = e.mul(steps, 2);
    (void)e.loop(e.getBlock(KernelBuilder::Dim::X), total, e.getGridSize(KernelBuilder::Dim::X), ValueRange{zero},
                 [&](Value number, ValueRange carried) {
                   body(getTile(number, rowTiles, columnTiles), carried[0], steps);
                   return Fragment{e.add(carried[0], steps)};
                 });
  }

  //===--- producer
  //------------------------------------------------------------------------------------------------===//

  void produce() {
    visitTiles([&](const Tile &tile, Value counter, Value steps) {
      e.loop(e.i32(0), steps, e.i32(1), [&](Value step) {
        RingSlot slot = ring.getSlot(e.add(counter, step));
        SmallVector<Value> loops(tile.outer);
        Value isFirstTerm = e.less(step, termSteps);
        Value depth = spec.secondLeft ? e.select(isFirstTerm, step, e.sub(step, termSteps)) : step;
        if (!spec.sequential.empty()) {
          llvm::append_range(loops, split(e.div(depth, depthSteps), spec.sequential));
          depth = e.rem(depth, depthSteps);
        }
        depth = e.mul(depth, tiles.depth);
        ring.acquire(slot);
        barriers.arriveExpecting(ring.getFull(slot), tiles.stageBytes);
        Value stage = e.add(e.mul(slot.stage, tiles.stageBytes), tiles.layout.getOffset("stages"));
        auto loadBoth = [&](const GemmSpec::Operand &left, ArrayRef<GemmSpec::Operand> right) {
          load(left, tile.row, tiles.rows, depth, loops, stage, slot);
          for (auto [i, operand] : llvm::enumerate(right))
            load(operand, tile.column, tiles.columns, depth, loops,
                 e.add(stage, tiles.getLeftBytes() + i * tiles.getRightBytes()), slot);
        };
        if (!spec.secondLeft)
          return loadBoth(spec.left, spec.right);
        e.ifThen(
            isFirstTerm, [&] { loadBoth(spec.left, spec.right); },
            [&] { loadBoth(*spec.secondLeft, *spec.secondRight); });
      });
    });
  }

  /// `count` rows of A or columns of B from `first` on, 64 of the depth: one box, or one for every 64 of them.
  void load(const GemmSpec::Operand &operand, Value first, int64_t count, Value depth, ArrayRef<Value> loops,
            Value shared, const RingSlot &slot) {
    SmallVector<Value> coordinates;
    for (unsigned loop : llvm::reverse(operand.loops))
      coordinates.push_back(loops[loop]);
    auto loadBox = [&](Value inner, Value outer, int64_t bytes) {
      SmallVector<Value> all{inner, outer};
      llvm::append_range(all, coordinates);
      memory.load(e.getArgument(operand.map), all, e.getShared(e.add(shared, bytes)), ring.getFull(slot));
    };
    if (!operand.sumsRows)
      return loadBox(depth, first, 0);
    for (int64_t box = 0; box < count / 64; ++box)
      loadBox(e.add(first, 64 * box), depth, box * tiles.depth * 128);
  }

  //===--- consumers
  //-----------------------------------------------------------------------------------------------===//

  void consume() {
    group = e.sub(e.getWarpGroup(), 1);
    isStorer = e.bitAnd(e.equal(e.getWarpInGroup(), 0), e.getElected());
    stagingOffset =
        e.add(e.mul(group, tiles.stagingSlots * HopperGemmTiles::pieceBytes), tiles.layout.getOffset("staging"));
    visitTiles([&](const Tile &tile, Value counter, Value steps) {
      SmallVector<Fragment> sums = sumUp(counter, steps);
      finishTile(tile, sums);
    });
    // Shared memory has to stay until everything is read.
    if (!spec.staged.empty())
      e.ifThen(isStorer, [&] { memory.waitRead(); });
  }

  SharedMatrix getLeft(Value stage) {
    // 64 rows: 64 lines of the one box, or a box.
    Value offset = e.add(stage, e.mul(group, 64 * 128));
    return matrix.describe(e.getShared(offset), spec.left.sumsRows ? tiles.depth * 128 : tiles.rows * 128,
                           spec.left.sumsRows);
  }

  SharedMatrix getRight(Value stage, int64_t number) {
    bool sumsRows = spec.right[number].sumsRows;
    Value offset = e.add(stage, tiles.getLeftBytes() + number * tiles.getRightBytes());
    return matrix.describe(e.getShared(offset), sumsRows ? tiles.depth * 128 : tiles.columns * 128, sumsRows);
  }

  /// The sums of a tile, one fragment for each product.
  SmallVector<Fragment> sumUp(Value counter, Value steps) {
    size_t products = spec.right.size(), registers = static_cast<size_t>(tiles.columns / 2);
    Fragment zeros(products * registers, e.f32(0));
    Fragment all = e.loop(e.i32(0), steps, e.i32(1), zeros, [&](Value step, ValueRange carried) {
      Value use = e.add(counter, step);
      RingSlot slot = ring.getSlot(use);
      ring.waitFull(slot);
      matrix.fence();
      Value stage = e.add(e.mul(slot.stage, tiles.stageBytes), tiles.layout.getOffset("stages"));
      SharedMatrix left = getLeft(stage);
      Fragment next;
      for (size_t i = 0; i < products; ++i)
        llvm::append_range(next,
                           matrix.multiply(carried.slice(i * registers, registers), left,
                                           getRight(stage, static_cast<int64_t>(i)), tiles.columns, tiles.depth / 16));
      matrix.commit();
      // Not tied to the sums: they stay in flight.
      matrix.wait(1);
      e.ifThen(e.less(e.i32(0), step), [&] { ring.release(ring.getSlot(e.sub(use, 1))); });
      return next;
    });
    matrix.wait(0, {&all});
    e.ifThen(e.less(e.i32(0), steps), [&] { ring.release(ring.getSlot(e.sub(e.add(counter, steps), 1))); });
    SmallVector<Fragment> sums;
    for (size_t i = 0; i < products; ++i)
      sums.emplace_back(ValueRange(all).slice(i * registers, registers));
    return sums;
  }

  void finishTile(const Tile &tile, ArrayRef<Fragment> sums) {
    TilePlace place{tile.outer, e.add(tile.row, e.mul(group, 64)), tile.column, e.getArgument(spec.rows),
                    e.getArgument(spec.columns)};
    epilogue.begin(e, place);
    for (int64_t piece = 0; piece < tiles.columns / 64; ++piece)
      finishPiece(place, sums, piece);
  }

  /// 64 columns of the tile.
  void finishPiece(const TilePlace &place, ArrayRef<Fragment> sums, int64_t piece) {
    int64_t outs = static_cast<int64_t>(spec.staged.size()), firstSlot = outs ? piece * outs % tiles.stagingSlots : 0;
    Value barrier = e.add(group, 1);
    if (outs) {
      // The stores that read these slots before are complete.
      e.ifThen(isStorer, [&] { memory.waitRead(tiles.stagingSlots / outs - 1); });
      e.synchronize(barrier, warpGroupThreads);
    }
    std::optional<FragmentStore> store;
    if (outs)
      store.emplace(e, stagingOffset, HopperGemmTiles::pieceBytes);
    epilogue.beginPiece(piece, sums);
    for (int64_t c = 0; c < 4; ++c) {
      SmallVector<Fragment> packed = finishColumns(sums, 4 * piece + c);
      for (int64_t out = 0; out < outs; ++out)
        store->store(packed[out], c, (firstSlot + out) * HopperGemmTiles::pieceBytes);
    }
    epilogue.endPiece(piece);
    if (!outs)
      return;
    memory.fenceWrites();
    e.synchronize(barrier, warpGroupThreads);
    e.ifThen(isStorer, [&] {
      SmallVector<Value> coordinates{e.add(place.column, 64 * piece), place.row};
      llvm::append_range(coordinates, llvm::reverse(place.outer));
      for (int64_t out = 0; out < outs; ++out)
        memory.store(e.getArgument(spec.staged[out]), coordinates,
                     e.getShared(e.add(stagingOffset, (firstSlot + out) * HopperGemmTiles::pieceBytes)));
      memory.commit();
    });
  }

  /// Columns [16 c, 16 c + 16) of the tile: four packed registers for each matrix that leaves.
  SmallVector<Fragment> finishColumns(ArrayRef<Fragment> sums, int64_t c) {
    SmallVector<Fragment> packed(spec.staged.size());
    for (int64_t number = 8 * c; number < 8 * c + 8; number += 2) {
      SmallVector<Pair> pairs;
      for (const Fragment &fragment : sums)
        pairs.push_back({fragment[number], fragment[number + 1]});
      PairPlace place{FragmentPosition::getHalf(number), FragmentPosition::getColumn(number)};
      for (auto [out, values] : llvm::zip_equal(packed, epilogue.finish(place, pairs)))
        out.push_back(e.pack(values[0], values[1], spec.element));
    }
    return packed;
  }

  KernelBuilder &e;
  const GemmSpec &spec;
  const HopperGemmTiles &tiles;
  GemmEpilogue &epilogue;
  BarrierTable barriers;
  Ring ring;
  TensorMemory memory;
  WarpGroupMatrix matrix;
  /// Stages of the depth, of all sequential loops.
  Value depthSteps, termSteps;
  /// Of a consumer: its number, its pieces in shared memory, whether this thread issues its stores.
  Value group, stagingOffset, isStorer;
};
} // namespace

static std::optional<int64_t> getConstant(Value value) { return getConstantIntValue(value); }

/// A tensor map of an operand whose tiles have `count` rows (of A) or columns (of B).
static GemmSpec::Operand addOperand(LaunchArguments &arguments, const GemmOperand &operand, int64_t count,
                                    const HopperGemmTiles &tiles) {
  SmallVector<int64_t> box(operand.loops.size(), 1);
  box.push_back(operand.sumsRows ? tiles.depth : count);
  box.push_back(64);
  return {arguments.addTensorMap(operand.memref, box), operand.sumsRows, operand.loops};
}

static std::string getKey(const GemmSpec &spec, const HopperGemmTiles &tiles, StringRef epilogue) {
  std::string key;
  llvm::raw_string_ostream stream(key);
  stream << spec.element << " " << tiles.rows << "x" << tiles.columns << "x" << tiles.stages;
  auto print = [&](const GemmSpec::Operand &operand) {
    stream << (operand.sumsRows ? " transposed" : " plain");
    for (unsigned loop : operand.loops)
      stream << " " << loop;
  };
  print(spec.left);
  for (const GemmSpec::Operand &operand : spec.right)
    print(operand);
  if (spec.secondLeft)
    stream << " twice";
  stream << " " << spec.parallel.size() << " " << spec.sequential.size() << " " << spec.staged.size() << " "
         << epilogue;
  return key;
}

void launchGemm(KernelLibrary &kernels, LaunchArguments &arguments, StringRef name, const GemmProblem &problem,
                GemmEpilogue &epilogue, ValueRange staged, StringRef key) {
  assert(static_cast<int64_t>(staged.size()) == epilogue.getStagedOuts());
  HopperGemmShape shape{getConstant(problem.rows), getConstant(problem.columns),
                        static_cast<int64_t>(problem.right.size()), static_cast<int64_t>(staged.size())};
  HopperGemmTiles tiles = HopperGemmTiles::get(shape);
  remark::passed(arguments.b.getLoc(), remark::RemarkOpts::name("tiles").category("convert-bpt-to-nvvm").function(name))
      << tiles.why;
  GemmSpec spec;
  spec.element = problem.element;
  spec.left = addOperand(arguments, problem.left, tiles.rows, tiles);
  for (const GemmOperand &operand : problem.right)
    spec.right.push_back(addOperand(arguments, operand, tiles.columns, tiles));
  if (problem.secondLeft.memref) {
    spec.secondLeft = addOperand(arguments, problem.secondLeft, tiles.rows, tiles);
    spec.secondRight = addOperand(arguments, problem.secondRight, tiles.columns, tiles);
  }
  for (Value out : staged) {
    SmallVector<int64_t> box(cast<MemRefType>(out.getType()).getRank() - 2, 1);
    box.append({64, 64});
    spec.staged.push_back(arguments.addTensorMap(out, box));
  }
  spec.rows = arguments.addI32(problem.rows);
  spec.columns = arguments.addI32(problem.columns);
  spec.depth = arguments.addI32(problem.depth);
  Value count =
      arguments.mul(arguments.ceilDiv(problem.rows, tiles.rows), arguments.ceilDiv(problem.columns, tiles.columns));
  for (Value size : problem.parallel) {
    spec.parallel.push_back(arguments.addI32(size));
    count = arguments.mul(count, size);
  }
  for (Value size : problem.sequential)
    spec.sequential.push_back(arguments.addI32(size));
  Value blocks = arguments.min(count, arguments.index(HopperLimits::multiprocessors)), one = arguments.index(1);
  kernels.launch(name, getKey(spec, tiles, key), arguments,
                 {{blocks, one, one}, tiles.roles.getThreads(), tiles.layout.getBytes()},
                 [&](KernelBuilder &e) { GemmKernel(e, spec, tiles, epilogue).emit(); });
}

} // namespace bpt::hopper
