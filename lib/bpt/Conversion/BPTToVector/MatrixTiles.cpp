// Products of bf16 by AMX: the register tile of 2 x 2 tiles, and the copies that bring operands into its order. A tile
// of A is 16 rows of 32 elements of the depth. A tile of B is 16 rows, each with 16 columns of two elements of the
// depth, which stand together (Intel SDM vol. 2A, TDPBF16PS).
#include "Gemm.h"
#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

/// Rows of a tile register, elements of bf16 in one of its rows, and pairs of them.
static constexpr int64_t tileRows = 16, tileDepth = 32, tilePairs = 16;

//===--- the register tile ----------------------------------------------------------------------------------------===//

static amx::TileType getOperandType(Emitter &e) { return amx::TileType::get({tileRows, tileDepth}, e.getBF16Type()); }

Value loadOperandTile(Emitter &e, Value memref, Value row, Value column) {
  return amx::TileLoadOp::create(e, getOperandType(e), memref, ValueRange{row, column});
}

void emitMatrixProduct(Emitter &e, const MatrixProduct &product, int64_t halves, bool overwrite, Value block, Value row,
                       Value column) {
  auto sumType = amx::TileType::get({tileRows, tilePairs}, e.getF32Type());
  constexpr int64_t vectors = 2;
  SmallVector<std::pair<Value, Value>> places;
  SmallVector<Value> sums;
  for (int64_t i = 0; i < halves; ++i)
    for (int64_t j = 0; j < vectors; ++j)
      places.emplace_back(e.add(row, i * tileRows), e.add(column, j * tilePairs));
  for (auto [i, j] : places)
    sums.push_back(overwrite ? Value(amx::TileZeroOp::create(e, sumType))
                             : Value(amx::TileLoadOp::create(e, sumType, block, ValueRange{i, j})));
  sums = e.loop(product.begin, product.end, 1, sums, [&](Value step, ValueRange before) {
    SmallVector<Value> next(before), columns;
    for (int64_t j = 0; j < vectors; ++j)
      columns.push_back(loadOperandTile(e, product.panel, e.mul(step, tilePairs), e.index(j * tileDepth)));
    for (int64_t i = 0; i < halves; ++i) {
      Value left = product.left(i, step);
      for (int64_t j = 0; j < vectors; ++j) {
        Value &sum = next[i * vectors + j];
        sum = amx::TileMulFOp::create(e, sumType, left, columns[j], sum);
      }
    }
    return next;
  });
  for (auto [place, sum] : llvm::zip_equal(places, sums))
    amx::TileStoreOp::create(e, block, ValueRange{place.first, place.second}, sum);
}

Value loadPackedTile(Emitter &e, const GemmTiles &tiles, Value packed, Value number, int64_t half, Value step) {
  Value first = e.mul(e.add(e.mul(number, tiles.blockDepth / tileDepth), step), tiles.rows);
  return loadOperandTile(e, packed, e.add(first, half * tileRows), e.index(0));
}

void emitMatrixTile(Emitter &e, const GemmTiles &tiles, int64_t rows, Value a, Value number, Value panel, Value block,
                    Value column, Value k, Value overwrites) {
  MatrixProduct product{e.index(0), e.ceilDiv(k, tileDepth), panel,
                        [&](int64_t half, Value step) { return loadPackedTile(e, tiles, a, number, half, step); }};
  auto emit = [&](bool overwrite) {
    emitMatrixProduct(e, product, rows / tileRows, overwrite, block, e.mul(number, tiles.rows), column);
  };
  e.ifThen(overwrites, [&] { emit(true); }, [&] { emit(false); });
}

//===--- packing --------------------------------------------------------------------------------------------------===//

namespace {
/// A matrix in memory, `rows` x `columns` from [row, column] on, and where its elements go.
struct MatrixPacker {
  Emitter &e;
  const GemmTiles &tiles;
  Value matrix, row, column, rows, columns, packed;

  /// 16 elements of a row as bits of bf16; zeros outside the mask, which are not read.
  Value load(Value i, Value j, Value mask);
  /// The same for a row that may not exist: zeros.
  Value loadOrZero(Value i, Value j, Value mask, bool exists);
  /// Pairs of elements, one from each operand, as lanes of 32 bits.
  Value pair(Value low, Value high);
  void store(Value bits, Value i, Value j);
  /// Visits the steps of 32 of a depth; the last one may be cut.
  void visitSteps(Value depth, function_ref<void(Value first, bool isWhole)> body);
};
} // namespace

Value MatrixPacker::load(Value i, Value j, Value mask) {
  SmallVector<Value> indices = e.rowIndices(matrix, e.add(row, i));
  indices.push_back(e.add(column, j));
  VectorType bits = e.vectorOf(e.getI16Type());
  if (!cast<MemRefType>(matrix.getType()).getElementType().isBF16())
    return arith::BitcastOp::create(e, bits, e.round(e.load(matrix, indices, mask), e.getBF16Type()));
  Value memref = asBits(e, matrix);
  if (!mask)
    return vector::LoadOp::create(e, bits, memref, indices);
  Value zero = arith::ConstantOp::create(e, e.getZeroAttr(bits));
  return vector::MaskedLoadOp::create(e, bits, memref, indices, mask, zero);
}

Value MatrixPacker::loadOrZero(Value i, Value j, Value mask, bool exists) {
  if (exists)
    return load(i, j, mask);
  return e.choose(
      e.less(i, rows), [&] { return SmallVector<Value>{load(i, j, mask)}; },
      [&] { return SmallVector<Value>{arith::ConstantOp::create(e, e.getZeroAttr(e.vectorOf(e.getI16Type())))}; })[0];
}

Value MatrixPacker::pair(Value low, Value high) {
  return vector::BitCastOp::create(e, e.vectorType, vector::InterleaveOp::create(e, low, high));
}

void MatrixPacker::store(Value bits, Value i, Value j) {
  if (bits.getType() == e.vectorType)
    bits = vector::BitCastOp::create(e, VectorType::get(tileDepth, e.getI16Type()), bits);
  vector::StoreOp::create(e, bits, asBits(e, packed), ValueRange{i, j});
}

void MatrixPacker::visitSteps(Value depth, function_ref<void(Value, bool)> body) {
  Value whole = e.mul(e.div(depth, tileDepth), tileDepth);
  e.loop(e.index(0), whole, tileDepth, [&](Value first) { body(first, true); });
  e.ifThen(e.less(whole, depth), [&] { body(whole, false); });
}

/// Columns of the memref from `first` on that exist: null where all 16 do.
static Value getMask(Emitter &e, Value columns, Value first, bool isWhole) {
  return isWhole ? Value() : e.maskFirst(e.sub(e.max(columns, first), first));
}

/// A tile of A from rows of memory that are rows of the tile: no more than a copy.
static void emitLeftRows(MatrixPacker &p, Value tile) {
  Emitter &e = p.e;
  Value last = e.sub(p.rows, 1), firstStep = e.mul(tile, p.tiles.blockDepth / tileDepth);
  p.visitSteps(p.columns, [&](Value first, bool isWhole) {
    Value target = e.mul(e.add(firstStep, e.div(first, tileDepth)), p.tiles.rows);
    SmallVector<Value> masks;
    for (int64_t half = 0; half < 2; ++half)
      masks.push_back(getMask(e, p.columns, e.add(first, half * tilePairs), isWhole));
    e.loop(e.index(0), e.index(p.tiles.rows), 1, [&](Value r) {
      Value from = e.min(e.add(e.mul(tile, p.tiles.rows), r), last);
      for (int64_t half = 0; half < 2; ++half)
        p.store(p.load(from, e.add(first, half * tilePairs), masks[half]), e.add(target, r), e.index(half * tilePairs));
    });
  });
}

/// A tile of A from rows of memory that are steps of the depth: pairs of rows, transposed as lanes of 32 bits.
static void emitLeftColumns(MatrixPacker &p, Value tile) {
  Emitter &e = p.e;
  Value firstStep = e.mul(tile, p.tiles.blockDepth / tileDepth);
  p.visitSteps(p.rows, [&](Value first, bool isWhole) {
    Value target = e.mul(e.add(firstStep, e.div(first, tileDepth)), p.tiles.rows);
    for (int64_t half = 0; half < p.tiles.rows; half += tileRows) {
      Value from = e.add(e.mul(tile, p.tiles.rows), half);
      auto emit = [&](Value mask) {
        SmallVector<Value> pairs;
        for (int64_t i = 0; i < tileDepth; i += 2)
          pairs.push_back(p.pair(p.loadOrZero(e.add(first, i), from, mask, isWhole),
                                 p.loadOrZero(e.add(first, i + 1), from, mask, isWhole)));
        pairs = emitTranspose(e, pairs);
        for (int64_t r = 0; r < tileRows; ++r)
          p.store(pairs[r], e.add(target, half + r), e.index(0));
      };
      Value exists = e.less(e.add(from, tileRows - 1), p.columns);
      e.ifThen(exists, [&] { emit({}); }, [&] { emit(getMask(e, p.columns, from, false)); });
    }
  });
}

/// 16 columns of a panel from rows of memory that are steps of the depth: each two are interleaved.
static void emitRightRows(MatrixPacker &p, int64_t j) {
  Emitter &e = p.e;
  auto emit = [&](Value mask) {
    auto visit = [&](Value begin, Value end, bool isWhole) {
      e.loop(begin, end, 1, [&](Value pair) {
        Value step = e.mul(pair, 2), position = e.index(j);
        p.store(
            p.pair(p.loadOrZero(step, position, mask, isWhole), p.loadOrZero(e.add(step, 1), position, mask, isWhole)),
            pair, e.index(2 * j));
      });
    };
    Value whole = e.div(p.rows, 2);
    visit(e.index(0), whole, true);
    visit(whole, e.div(e.roundUp(p.rows, tileDepth), 2), false);
  };
  Value exists = e.less(e.index(j + tilePairs - 1), p.columns);
  e.ifThen(exists, [&] { emit({}); }, [&] { emit(getMask(e, p.columns, e.index(j), false)); });
}

/// 16 columns of a panel from rows of memory that are columns of the panel: pairs, transposed as lanes of 32 bits.
static void emitRightColumns(MatrixPacker &p, int64_t j) {
  Emitter &e = p.e;
  Value last = e.sub(p.rows, 1);
  p.visitSteps(p.columns, [&](Value first, bool isWhole) {
    SmallVector<Value> masks, pairs;
    for (int64_t half = 0; half < 2; ++half)
      masks.push_back(getMask(e, p.columns, e.add(first, half * tilePairs), isWhole));
    SmallVector<int64_t> both = llvm::to_vector(llvm::seq<int64_t>(0, tileDepth));
    for (int64_t r = 0; r < tilePairs; ++r) {
      Value from = e.min(e.index(j + r), last);
      Value low = p.load(from, first, masks[0]), high = p.load(from, e.add(first, tilePairs), masks[1]);
      Value row = vector::ShuffleOp::create(e, low, high, both);
      pairs.push_back(vector::BitCastOp::create(e, e.vectorType, row));
    }
    pairs = emitTranspose(e, pairs);
    for (int64_t r = 0; r < tilePairs; ++r)
      p.store(pairs[r], e.add(e.div(first, 2), r), e.index(2 * j));
  });
}

/// A helper that packs: body(packer) with the matrix as it lies in memory, rows x columns.
static void callPacker(Emitter &e, KernelCache &kernels, const GemmTiles &tiles, StringRef name, Matrix matrix,
                       Value rows, Value columns, Value packed, function_ref<void(MatrixPacker &)> body) {
  Type index = e.getIndexType();
  auto type = cast<MemRefType>(matrix.memref.getType());
  kernels.callHelper(
      e, name, {matrix.memref, matrix.getRow(e), matrix.getColumn(e), rows, columns, packed},
      {getKernelType(type, type.getRank()), index, index, index, index, getKernelType(packed.getType(), 1)}, {},
      [&](Emitter &e, ValueRange args) -> SmallVector<Value> {
        MatrixPacker packer{e, tiles, args[0], args[1], args[2], args[3], args[4], args[5]};
        body(packer);
        return {};
      });
}

void emitPackMatrixLeft(Emitter &e, KernelCache &kernels, const GemmTiles &tiles, Matrix a, Value m, Value k,
                        Value packed) {
  auto visitTiles = [](MatrixPacker &p, Value m, auto emit) {
    p.e.loop(p.e.index(0), p.e.ceilDiv(m, p.tiles.rows), 1, [&](Value tile) { emit(p, tile); });
  };
  std::string depth = "_" + std::to_string(tiles.blockDepth); // where tiles begin
  if (a.transposed)
    return callPacker(e, kernels, tiles, "bpt_pack_matrix_left_columns" + depth, a, k, m, packed,
                      [&](MatrixPacker &p) { visitTiles(p, p.columns, emitLeftColumns); });
  callPacker(e, kernels, tiles, "bpt_pack_matrix_left_rows" + depth, a, m, k, packed,
             [&](MatrixPacker &p) { visitTiles(p, p.rows, emitLeftRows); });
}

void emitPackMatrixPanel(Emitter &e, KernelCache &kernels, const GemmTiles &tiles, Matrix b, Value k, Value n,
                         Value panel) {
  auto visitTiles = [](MatrixPacker &p, auto emit) {
    for (int64_t j = 0; j < p.tiles.getPanel(); j += tilePairs)
      emit(p, j);
  };
  if (b.transposed)
    return callPacker(e, kernels, tiles, "bpt_pack_matrix_right_columns", b, n, k, panel,
                      [&](MatrixPacker &p) { visitTiles(p, emitRightColumns); });
  callPacker(e, kernels, tiles, "bpt_pack_matrix_right_rows", b, k, n, panel,
             [&](MatrixPacker &p) { visitTiles(p, emitRightRows); });
}

} // namespace bpt
