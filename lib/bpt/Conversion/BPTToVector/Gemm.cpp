// Matrix products: the register tile, blocks of C in scratch, and the parallel loop over blocks.
#include "Gemm.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

//===--- matrices -------------------------------------------------------------------------------------------------===//

static Value advance(Emitter &e, Value position, Value count) { return position ? e.add(position, count) : count; }

Matrix Matrix::dropRows(Emitter &e, Value count) const {
  Matrix result = *this;
  Value &position = transposed ? result.column : result.row;
  position = advance(e, position, count);
  return result;
}
Matrix Matrix::dropColumns(Emitter &e, Value count) const { return transpose().dropRows(e, count).transpose(); }

//===--- the register tile ----------------------------------------------------------------------------------------===//

SmallVector<Value> emitRegisterTile(Emitter &e, int64_t rows, int64_t vectors, Value begin, Value end, ValueRange init,
                                    function_ref<Value(int64_t, Value)> a, function_ref<Value(Value, int64_t)> b,
                                    function_ref<void(Value)> beside) {
  auto step = [&](Value k, ValueRange sums) {
    SmallVector<Value> next(sums), columns;
    for (int64_t j = 0; j < vectors; ++j)
      columns.push_back(b(k, j));
    for (int64_t i = 0; i < rows; ++i) {
      Value factor = e.broadcast(a(i, k));
      for (int64_t j = 0; j < vectors; ++j)
        next[i * vectors + j] = e.fma(factor, columns[j], next[i * vectors + j]);
    }
    return next;
  };
  Value whole = e.add(begin, e.mul(e.div(e.sub(end, begin), tileUnroll), tileUnroll));
  SmallVector<Value> sums = e.loop(begin, whole, tileUnroll, init, [&](Value k, ValueRange carried) {
    if (beside)
      beside(k);
    SmallVector<Value> next(carried);
    for (int64_t u = 0; u < tileUnroll; ++u)
      next = step(e.add(k, u), next);
    return next;
  });
  return e.loop(whole, end, 1, sums, [&](Value k, ValueRange carried) { return step(k, carried); });
}

/// The type of matrices as helpers take them, so that they are the same for all sizes.
static MemRefType getMatrixType(Emitter &e, Type element) {
  auto layout = StridedLayoutAttr::get(e.getContext(), ShapedType::kDynamic, {ShapedType::kDynamic, 1});
  return MemRefType::get({ShapedType::kDynamic, ShapedType::kDynamic}, element, layout);
}
static MemRefType getBlockType(Emitter &e) { return getMatrixType(e, e.accumulator); }
static MemRefType getPanelType(Emitter &e, const GemmTiles &tiles) {
  if (tiles.isMatrix)
    return MemRefType::get({ShapedType::kDynamic, 2 * tiles.getPanel()}, e.getBF16Type());
  return MemRefType::get({ShapedType::kDynamic, tiles.getPanel()}, e.accumulator);
}
/// Rows of memory of a panel of this depth.
static Value getPanelRows(Emitter &e, const GemmTiles &tiles, Value depth) {
  return tiles.isMatrix ? e.div(e.roundUp(depth, tiles.depthStep), 2) : depth;
}

using Left = Gemm::Left;

/// One register tile: block[i..i+rows, column..) += A(i.., 0..k) * panel, or = where `overwrites` is true; i is the
/// first row of tile `number`. `beside(k)` is emitted into the loop, every tileUnroll steps.
static void emitTile(Emitter &e, const GemmTiles &tiles, int64_t rows, Left a, Value number, Value panel, Value block,
                     Value column, Value k, Value overwrites, function_ref<void(Value)> beside) {
  SmallVector<Value> zeros(rows * tiles.vectors, e.splat(0)), rowNumbers, columnNumbers;
  for (int64_t r = 0; r < rows; ++r)
    rowNumbers.push_back(e.add(e.mul(number, tiles.rows), r));
  for (int64_t v = 0; v < tiles.vectors; ++v)
    columnNumbers.push_back(e.index(v * tiles.lanes));
  SmallVector<Value> sums = emitRegisterTile(
      e, rows, tiles.vectors, e.index(0), k, zeros,
      [&](int64_t r, Value depth) {
        return e.loadScalar(a.memref, a.isPacked ? SmallVector<Value>{number, depth, e.index(r)}
                                                 : SmallVector<Value>{rowNumbers[r], depth});
      },
      [&](Value depth, int64_t v) { return e.load(panel, {depth, columnNumbers[v]}); }, beside);
  auto store = [&](bool overwrite) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t v = 0; v < tiles.vectors; ++v) {
        SmallVector<Value> position{rowNumbers[r], e.add(column, columnNumbers[v])};
        Value sum = sums[r * tiles.vectors + v];
        e.store(overwrite ? sum : e.addf(e.load(block, position), sum), block, position);
      }
  };
  e.ifThen(overwrites, [&] { store(true); }, [&] { store(false); });
}

/// block[0..m, column..column + panel) += A * panel, or =, for all rows: whole tiles, each of which fetches its share
/// of `fetches`, then one tile of the rows that are left.
static void callTiles(Emitter &e, KernelCache &kernels, const GemmTiles &tiles, Left a, Value panel, Value block,
                      Value column, Value m, Value k, Value overwrites, ArrayRef<Fetch> fetches) {
  Type index = e.getIndexType();
  std::string name = "bpt_tiles";
  SmallVector<Value> arguments{a.memref, panel, block, column, m, k, overwrites};
  Type left = a.isPacked ? a.memref.getType() : getBlockType(e);
  SmallVector<Type> types{left, getPanelType(e, tiles), getBlockType(e), index, index, index, e.getI1Type()};
  const unsigned firstFetch = arguments.size();
  SmallVector<int64_t> widths;
  for (const Fetch &fetch : fetches) {
    if (!fetch.memref || cast<MemRefType>(fetch.memref.getType()).getRank() != 2)
      continue;
    name += "_fetching_" + std::to_string(fetch.columns);
    arguments.append({fetch.memref, fetch.row, fetch.column, fetch.rows});
    types.append({getMatrixType(e, getElementTypeOrSelf(fetch.memref)), index, index, index});
    widths.push_back(fetch.columns);
  }
  auto emit = [&](Emitter &e, ValueRange args, int64_t rows, Value tile, ArrayRef<TileFetch> fetches) {
    if (tiles.isMatrix)
      return emitMatrixTile(e, tiles, rows, args[0], tile, args[1], args[2], args[3], args[5], args[6]);
    emitTile(e, tiles, rows, {args[0], a.isPacked}, tile, args[1], args[2], args[3], args[5], args[6], [&](Value k) {
      for (const TileFetch &fetch : fetches)
        fetch.emitLine(e, e.div(k, tileUnroll));
    });
  };
  auto emitRest = [&](Emitter &e, ValueRange args) -> SmallVector<Value> {
    Value m = args[4], whole = e.div(m, tiles.rows);
    Value rest = e.ceilDiv(e.sub(m, e.mul(whole, tiles.rows)), tiles.rowStep);
    e.switchCase(rest, llvm::divideCeil(tiles.rows - 1, tiles.rowStep) + 1, [&](int64_t steps) {
      if (steps)
        emit(e, args, steps * tiles.rowStep, whole, {});
    });
    return {};
  };
  kernels.callHelper(e, name, arguments, types, {}, [&](Emitter &e, ValueRange args) -> SmallVector<Value> {
    Value whole = e.div(args[4], tiles.rows), count = e.max(whole, 1);
    e.loop(e.index(0), whole, 1, [&](Value tile) {
      SmallVector<TileFetch> fetches;
      for (auto [f, width] : llvm::enumerate(widths)) {
        ValueRange own = args.slice(firstFetch + 4 * f, 4);
        fetches.emplace_back(e, Fetch{own[0], own[1], own[2], own[3], width}, tile, count);
        // What the steps of the loop do not get to.
        fetches.back().emitFrom(e, tiles.isMatrix ? e.index(0) : e.div(args[5], tileUnroll));
      }
      emit(e, args, tiles.rows, tile, fetches);
    });
    // A function of its own, one for all that is fetched: its tiles are most of the code.
    kernels.callHelper(e, "bpt_last_tile", args.take_front(firstFetch), ArrayRef(types).take_front(firstFetch), {},
                       emitRest);
    return {};
  });
}

//===--- blocks of C ----------------------------------------------------------------------------------------------===//

SmallVector<Value> Gemm::takeBlocks(int64_t copies) {
  int64_t panels = std::max<int64_t>(tiles.blockColumns / tiles.getPanel() / std::max<int64_t>(copies, 1), 1);
  SmallVector<Value> blocks;
  for (int64_t i = 0; i < copies; ++i)
    blocks.push_back(e.scratch({tiles.blockRows, panels * tiles.getPanel()}, e.accumulator));
  if (tiles.isMatrix) {
    packedA = e.scratch({tiles.blockRows * tiles.blockDepth / tiles.depthStep, tiles.depthStep}, e.getBF16Type());
    packedB = e.scratch({tiles.blockDepth / 2, 2 * tiles.getPanel()}, e.getBF16Type());
    return blocks;
  }
  packedA = e.scratch({tiles.blockRows / tiles.rows, tiles.getPackedTile()}, e.accumulator);
  packedB = e.scratch({tiles.blockDepth, tiles.getPanel()}, e.accumulator);
  return blocks;
}

void Gemm::clear(Value block, Value m, Value n) {
  Type index = e.getIndexType();
  kernels.callHelper(e, "bpt_clear", {block, m, n}, {getBlockType(e), index, index}, {},
                     [&](Emitter &e, ValueRange args) -> SmallVector<Value> {
                       // Whole vectors: the block has room for them.
                       Value end = e.roundUp(args[2], e.lanes), zero = e.splat(0);
                       e.loop(e.index(0), args[1], 1, [&](Value i) {
                         e.loop(e.index(0), end, e.lanes, [&](Value j) { e.store(zero, args[0], {i, j}); });
                       });
                       return {};
                     });
}

void Gemm::accumulate(Value block, Matrix a, Matrix b, Value m, Value n, Value k) {
  accumulate(a, Term{block, b, nullptr, e.bit(false)}, e.index(0), m, n, k, isReadInPlace(a, n));
}

/// Whether register tiles read the rows of A where they lie in a product of so many columns: few panels would share a
/// copy.
bool Gemm::isReadInPlace(const Matrix &a, Value columns) const {
  return !a.transposed && isUsedInPlace(a.memref, columns, 2 * tiles.blockColumns);
}

bool Gemm::isUsedInPlace(Value memref, Value columns, int64_t most) const {
  auto type = cast<MemRefType>(memref.getType());
  std::optional<int64_t> n = getConstantIntValue(columns);
  return !tiles.isMatrix && !e.target.hasWarps && type.getElementType() == e.accumulator && type.getRank() == 2 && n &&
         *n <= most;
}

/// A[0..m, 0..depth) where it lies, or packed in the scratch: a view [tile, depth, row of the tile], or what
/// emitMatrixTile takes.
Gemm::Left Gemm::takeLeft(Matrix a, Value m, Value depth, bool inPlace) {
  if (inPlace)
    return {e.slice(a.memref, {a.getRow(e), a.getColumn(e)}, {m, depth}), false};
  if (tiles.isMatrix) {
    emitPackMatrixLeft(e, kernels, tiles, a, m, depth, packedA);
    return {packedA};
  }
  auto viewAs = [&](ArrayRef<int64_t> shape, ArrayRef<int64_t> strides) -> Value {
    SmallVector<OpFoldResult> sizes = getAsIndexOpFoldResult(e.getContext(), shape);
    auto layout = StridedLayoutAttr::get(e.getContext(), 0, strides);
    return memref::ReinterpretCastOp::create(e, MemRefType::get(shape, e.accumulator, layout), packedA,
                                             e.getIndexAttr(0), sizes, getAsIndexOpFoldResult(e.getContext(), strides));
  };
  SmallVector<int64_t> shape{tiles.blockRows / tiles.rows, tiles.blockDepth, tiles.rows};
  if (!e.target.hasWarps) {
    emitPackLeft(e, kernels, a, m, depth, packedA);
    return {viewAs(shape, {tiles.getPackedTile(), tiles.rows, 1})};
  }
  // A warp reads one element at a time, in any order: a copy that writes each element once is what counts.
  if (a.transposed) {
    emitPackRows(e, kernels, a.transpose(), depth, m,
                 viewAs({tiles.blockDepth, tiles.blockRows}, {tiles.blockRows, 1}));
    return {viewAs(shape, {tiles.rows, tiles.blockRows, 1})};
  }
  emitPackRows(e, kernels, a, m, depth, viewAs({tiles.blockRows, tiles.blockDepth}, {tiles.blockDepth, 1}));
  return {viewAs(shape, {tiles.rows * tiles.blockDepth, 1, tiles.blockDepth})};
}

/// Whether the product of the depth from `start` on overwrites the block.
Value Gemm::isFirst(const Term &term, Value start) {
  return e.select(e.equal(start, e.index(0)), term.overwrites, e.bit(false));
}

/// The columns of each B are columns [column, column + n) of what is packed in `shared`, if anything is.
void Gemm::accumulate(Matrix a, ArrayRef<Term> terms, Value firstColumn, Value m, Value n, Value k, bool inPlace,
                      const Matrix &results) {
  // No depth is one of zero: it clears what is overwritten.
  e.loop(e.index(0), e.max(k, 1), tiles.blockDepth, [&](Value start) {
    Value depth = e.min(e.sub(k, start), tiles.blockDepth);
    Matrix partA = a.dropColumns(e, start);
    Left left = takeLeft(partA, m, depth, inPlace);
    // Of the next block of A each panel of the last term fetches a share.
    Value nextA =
        e.select(e.less(e.add(start, tiles.blockDepth), k), a.transposed ? e.index(tiles.blockDepth) : m, e.index(0));
    Value shareA = e.ceilDiv(nextA, e.max(e.ceilDiv(n, tiles.getPanel()), 1));
    Value resultRows = e.select(e.compare(arith::CmpIPredicate::sge, e.add(start, tiles.blockDepth), k), m, e.index(0));
    for (const Term &term : terms)
      e.loop(e.index(0), n, tiles.getPanel(), [&](Value column) {
        Fetch fetchResults{&term == &terms.back() ? results.memref : Value(), results.getRow(e),
                           e.add(results.getColumn(e), column), resultRows, tiles.getPanel()};
        auto packOwn = [&] { accumulateOwnPanel(left, term, start, firstColumn, column, m, n, depth, fetchResults); };
        if (!term.shared)
          return packOwn();
        auto takeShared = [&] {
          Value panel = getPanel(*term.shared, start, depth, e.add(firstColumn, column));
          Value rows = &term == &terms.back() ? nextA : e.index(0);
          Value first = e.min(e.mul(e.div(column, tiles.getPanel()), shareA), rows);
          Matrix next = partA.dropColumns(e, e.index(tiles.blockDepth));
          next.row = advance(e, next.row, first);
          Fetch fetchA{next.memref, next.row, next.getColumn(e), e.min(shareA, e.sub(rows, first)),
                       a.transposed ? tiles.blockRows : tiles.blockDepth};
          callTiles(e, kernels, tiles, left, panel, term.block, column, m, depth, isFirst(term, start),
                    {fetchA, getNextPanel(*term.shared, start, firstColumn, column, n, k), fetchResults});
        };
        e.ifThen(term.shared->isPacked, takeShared, packOwn);
      });
  });
}

void Gemm::packPanel(Matrix b, Value depth, Value n, Value panel) {
  if (tiles.isMatrix)
    emitPackMatrixPanel(e, kernels, tiles, b, depth, n, panel);
  else
    emitPackPanel(e, kernels, b, depth, n, panel);
}

/// Packs the panel of columns from `column` on and multiplies.
void Gemm::accumulateOwnPanel(const Left &left, const Term &term, Value start, Value firstColumn, Value column, Value m,
                              Value n, Value depth, const Fetch &results) {
  Matrix b = term.b.dropRows(e, start).dropColumns(e, firstColumn);
  packPanel(b.dropColumns(e, column), depth, e.min(e.sub(n, column), tiles.getPanel()), packedB);
  // Fetched is the panel beside this one, or the first one of the next depth.
  Value isLast = e.compare(arith::CmpIPredicate::sge, e.add(column, tiles.getPanel()), n);
  Value down = e.select(isLast, e.index(tiles.blockDepth), e.index(0));
  Value right = e.select(isLast, e.index(0), e.add(column, tiles.getPanel()));
  Matrix next = b.dropRows(e, down).dropColumns(e, right);
  int64_t rows = next.transposed ? tiles.getPanel() : tiles.blockDepth;
  Fetch fetchB{next.memref, next.row, next.column, e.index(rows),
               next.transposed ? tiles.blockDepth : tiles.getPanel()};
  callTiles(e, kernels, tiles, left, packedB, term.block, column, m, depth, isFirst(term, start), {fetchB, results});
}

//===--- shared panels --------------------------------------------------------------------------------------------===//

/// The panel of columns from `column` on, for the depth [start, start + depth).
Value Gemm::getPanel(const SharedPanels &shared, Value start, Value depth, Value column) {
  Value rows = e.roundUp(depth, tiles.depthStep);
  Value elements = e.add(e.mul(start, shared.columns), e.mul(column, rows));
  MemRefType type = getPanelType(e, tiles);
  return e.view(shared.bytes, e.add(shared.offset, e.mul(elements, tiles.packedBytes)), type.getShape(),
                {getPanelRows(e, tiles, rows)}, type.getElementType());
}

/// The panel after that of `column`, or the first one of the next depth: of no rows after the last.
Fetch Gemm::getNextPanel(const SharedPanels &shared, Value start, Value firstColumn, Value column, Value n, Value k) {
  Value nextColumn = e.add(column, tiles.getPanel()), nextStart = e.add(start, tiles.blockDepth);
  Value isLast = e.compare(arith::CmpIPredicate::sge, nextColumn, n);
  start = e.select(isLast, e.min(nextStart, k), start);
  Value depth = e.min(e.sub(k, start), tiles.blockDepth);
  Value panel = getPanel(shared, start, depth, e.add(firstColumn, e.select(isLast, e.index(0), nextColumn)));
  int64_t columns = cast<MemRefType>(panel.getType()).getDimSize(1);
  return {panel, e.index(0), e.index(0), getPanelRows(e, tiles, depth), columns};
}

/// One parallel phase over panels, of no items where nothing is packed.
void Gemm::packPanels(const SharedPanels &shared, Matrix b, Value n, Value k) {
  Value depths = e.ceilDiv(k, tiles.blockDepth), items = e.mul(depths, e.ceilDiv(n, tiles.getPanel()));
  e.parallel(e.select(shared.isPacked, items, e.index(0)), [&](Value item) {
    Value start = e.mul(e.rem(item, depths), tiles.blockDepth), column = e.mul(e.div(item, depths), tiles.getPanel());
    Value depth = e.min(e.sub(k, start), tiles.blockDepth);
    packPanel(b.dropRows(e, start).dropColumns(e, column), depth, e.min(e.sub(n, column), tiles.getPanel()),
              getPanel(shared, start, depth, column));
  });
}

/// Whether a product has the left operand of the one before: it is copied once for both.
static bool sharesLeft(const Gemm::Product &product, const Gemm::Product &before) {
  const Matrix &a = product.a, &b = before.a;
  return a.memref == b.memref && a.row == b.row && a.column == b.column && a.transposed == b.transposed &&
         product.depth == before.depth && product.accumulator != before.accumulator;
}

bool Gemm::canGrowIn(Value memref, Value columns) const {
  return isUsedInPlace(memref, columns, tiles.blockColumns) && *getConstantIntValue(columns) % tiles.getPanel() == 0;
}

void Gemm::parallelProducts(Value m, Value n, int64_t copies, ArrayRef<Product> products,
                            function_ref<void(Block, ArrayRef<Value>)> body, const ProductOptions &options) {
  const std::optional<Destination> &destination = options.destination;
  assert((!destination || copies == 1) && "a destination is one block");
  int64_t bytes = tiles.packedBytes, capacity = kernels.getSharedScratchBytes() / bytes;
  auto emit = [&](Value first, Value columns, ArrayRef<SharedPanels> shared) {
    parallelBlocks(
        {}, m, columns, destination ? 0 : copies,
        [&](Block block, ArrayRef<Value> scratch) {
          SmallVector<Value> blocks(scratch), overwrites(copies, destination ? destination->overwrites : e.bit(true));
          if (destination)
            blocks = {e.slice(destination->memref,
                              {e.add(destination->firstRow, block.row), e.add(first, block.column)},
                              {block.rows, block.columns})};
          for (size_t i = 0; i < products.size();) {
            const Product &product = products[i];
            SmallVector<Term> terms;
            do {
              int64_t accumulator = products[i].accumulator;
              terms.push_back({blocks[accumulator], products[i].b.dropColumns(e, first),
                               shared.empty() ? nullptr : &shared[i], overwrites[accumulator]});
              overwrites[accumulator] = e.bit(false);
            } while (++i < products.size() && sharesLeft(products[i], products[i - 1]));
            // Tiles of AMX have few steps to fetch beside: 2 to 3 % slower.
            Matrix results;
            if (options.results.memref && !tiles.isMatrix && i == products.size())
              results = options.results.dropRows(e, block.row).dropColumns(e, e.add(first, block.column));
            accumulate(product.a.dropRows(e, block.row), terms, block.column, block.rows, block.columns, product.depth,
                       isReadInPlace(product.a, n), results);
          }
          block.column = e.add(first, block.column);
          body(block, blocks);
        },
        options.unit);
  };
  if (capacity == 0)
    return emit(e.index(0), n, {});

  using P = SharedPacking;
  Value depth = e.index(0);
  for (const Product &product : products)
    depth = e.add(depth, e.roundUp(product.depth, tiles.depthStep));
  int64_t panel = tiles.getPanel(), step = options.unit ? options.unit : panel;
  // As many columns at a time as there is room for, in parts of equal size.
  Value room = e.mul(e.div(e.div(e.index(capacity), e.max(depth, 1)), step), step);
  Value parts = e.ceilDiv(n, e.max(room, step));
  Value columns = e.roundUp(e.ceilDiv(n, e.max(parts, 1)), step);
  auto scratch = SharedScratchOp::create(e, MemRefType::get({ShapedType::kDynamic}, e.getI8Type()), e.getI1Type());
  Value packs = scratch.getAvailable();
  auto require = [&](Value a, Value b) {
    packs = arith::AndIOp::create(e, packs, e.compare(arith::CmpIPredicate::sge, a, b));
  };
  require(m, e.index(P::leastRowBlocks * tiles.blockRows));
  require(e.mul(depth, n), e.index(P::leastBytes / bytes + 1));
  require(room, e.min(n, P::leastColumns));
  parts = e.select(packs, parts, e.index(1));
  columns = e.select(packs, columns, n);
  e.loop(e.index(0), parts, 1, [&](Value part) {
    Value first = e.min(e.mul(part, columns), n), width = e.min(e.sub(n, first), columns), offset = e.index(0);
    SmallVector<SharedPanels> shared;
    for (const Product &product : products) {
      shared.push_back({scratch.getBytes(), offset, packs, e.roundUp(width, panel)});
      packPanels(shared.back(), product.b.dropColumns(e, first), width, product.depth);
      offset = e.add(offset, e.mul(e.mul(e.roundUp(product.depth, tiles.depthStep), shared.back().columns), bytes));
    }
    emit(first, width, shared);
  });
}

void Gemm::visit(Value m, Value n, function_ref<void(Value, Value, Value)> body) {
  e.loop(e.index(0), m, 1,
         [&](Value row) { e.columns(n, [&](Value column, Value mask) { body(row, column, mask); }); });
}

void Gemm::visitDepthParts(Value depth, function_ref<void(Value, Value)> body) {
  int64_t part = SharedPacking::getDepthPart(e.accumulator);
  e.loop(e.index(0), e.max(depth, 1), part, [&](Value first) { body(first, e.min(e.sub(depth, first), part)); });
}

//===--- parallel loops -------------------------------------------------------------------------------------------===//

/// At least this many work items, where the matrix allows it: enough to keep a few threads evenly busy. 512 rows of a block and 256
/// columns are 10 items of 108 x 128 on AVX-512, 12 of 96 x 128 on AVX2; smaller ones pack their operands again too often.
static constexpr int64_t wantedItems = 10;

void Gemm::parallelBlocks(Value count, Value m, Value n, int64_t copies,
                          function_ref<void(Block, ArrayRef<Value>)> body, int64_t unit) {
  int64_t panel = unit ? unit : tiles.getPanel();
  int64_t maxColumns = std::max<int64_t>(tiles.blockColumns / panel / std::max<int64_t>(copies, 1), 1) * panel;
  if (!count)
    count = e.index(1);
  // Blocks of about equal size, a multiple of the register tile.
  auto split = [&](Value size, int64_t largest, int64_t unit) {
    Value parts = e.ceilDiv(size, largest);
    return e.max(e.roundUp(e.ceilDiv(size, e.max(parts, 1)), unit), unit);
  };
  // From the largest block to the smallest; the first with enough items wins. Shapes decide, threads do not.
  Value rows, columns;
  const std::pair<int64_t, int64_t> shrink[] = {{4, 4}, {2, 4}, {1, 4}, {1, 2}, {1, 1}};
  for (auto [byRows, byColumns] : shrink) {
    Value nextRows = split(m, std::max(tiles.blockRows / byRows / tiles.rows, int64_t(1)) * tiles.rows, tiles.rows);
    Value nextColumns = split(n, std::max(maxColumns / byColumns / panel, int64_t(1)) * panel, panel);
    if (!rows) {
      rows = nextRows;
      columns = nextColumns;
      continue;
    }
    Value items = e.mul(count, e.mul(e.ceilDiv(m, nextRows), e.ceilDiv(n, nextColumns)));
    Value enough = e.compare(arith::CmpIPredicate::sge, items, e.index(wantedItems));
    rows = e.select(enough, nextRows, rows);
    columns = e.select(enough, nextColumns, columns);
  }
  Value rowBlocks = e.ceilDiv(m, rows), columnBlocks = e.ceilDiv(n, columns);
  Value blocks = e.mul(rowBlocks, columnBlocks);
  e.parallel(e.mul(count, blocks), [&](Value item) {
    // Neighbouring items share their columns of B.
    Value matrix = e.div(item, blocks), position = e.rem(item, blocks);
    Block block{matrix, e.mul(e.rem(position, rowBlocks), rows), e.mul(e.div(position, rowBlocks), columns), {}, {}};
    block.rows = e.min(e.sub(m, block.row), rows);
    block.columns = e.min(e.sub(n, block.column), columns);
    body(block, takeBlocks(copies));
  });
}

} // namespace bpt
