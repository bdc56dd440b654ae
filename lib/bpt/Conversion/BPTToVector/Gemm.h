// Matrix products: packing, the register tile, blocks of C in scratch, and the parallel loop over blocks.
#pragma once

#include "Fetch.h"
#include "Kernels.h"
#include "bpt/Analysis/TileSizes.h"
#include <functional>

namespace bpt {

/// A matrix inside a memref of any rank whose last dim has stride 1. Row r and column c of the matrix are the element
/// [rowIndices(row + r).., column + c]; transposed: [rowIndices(row + c).., column + r]. The leading dims count as one
/// in row-major order, contiguous or not.
struct Matrix {
  mlir::Value memref;
  bool transposed = false;
  /// Position of element (0, 0) in the memref; null is 0.
  mlir::Value row = {}, column = {};
  mlir::Value getRow(Emitter &e) const { return row ? row : e.index(0); }
  mlir::Value getColumn(Emitter &e) const { return column ? column : e.index(0); }

  /// The matrix without its first rows / columns.
  Matrix dropRows(Emitter &e, mlir::Value count) const;
  Matrix dropColumns(Emitter &e, mlir::Value count) const;
  Matrix transpose() const { return {memref, !transposed, row, column}; }
};

/// Emits products into blocks of C that live in the thread's scratch.
class Gemm {
public:
  /// `operand`: the element type of all left and right operands, see GemmTiles::get.
  Gemm(Emitter &e, KernelCache &kernels, mlir::Type operand)
      : e(e), kernels(kernels), tiles(GemmTiles::get(e.accumulator, e.target, operand)) {}

  Emitter &e;
  KernelCache &kernels;
  const GemmTiles tiles;

  /// Part of a matrix (`matrix`: which of several) that an item owns.
  struct Block {
    mlir::Value matrix, row, column, rows, columns;
  };

  /// block[0..m, 0..n) = 0
  void clear(mlir::Value block, mlir::Value m, mlir::Value n);
  /// block[0..m, 0..n) += A[0..m, 0..k) * B[0..k, 0..n); m, n at most the block's size. Sums run over k in order, a
  /// fresh sum for each blockDepth. Lanes of the block beyond n may get garbage; memory of A and B beyond m, n, k is
  /// not read.
  void accumulate(mlir::Value block, Matrix a, Matrix b, mlir::Value m, mlir::Value n, mlir::Value k);

  /// Visits block[0..m, 0..n) row by row, a vector at a time: body(row, column, mask); mask is null for full vectors.
  void visit(mlir::Value m, mlir::Value n,
             llvm::function_ref<void(mlir::Value row, mlir::Value column, mlir::Value mask)> body);

  /// A product that is added to one of the blocks of accumulators of `parallelProducts`.
  struct Product {
    int64_t accumulator;
    Matrix a, b;
    mlir::Value depth;
  };
  /// A matrix in which the sums grow themselves, instead of blocks of accumulators in scratch: element (0, 0) of the
  /// product is [firstRow, 0].
  struct Destination {
    mlir::Value memref, firstRow;
    mlir::Value overwrites; ///< i1: what is there does not count
  };
  /// Whether a memref is a good destination of products of so many columns: its elements are accumulators, no tile is
  /// cut, and rows are short, as long rows of C meet in few sets of the first-level cache.
  bool canGrowIn(mlir::Value memref, mlir::Value columns) const;

  struct ProductOptions {
    /// Blocks begin at multiples of so many columns, a multiple of the panel; 0: the panel.
    int64_t unit = 0;
    /// With a destination the one accumulator is its block.
    std::optional<Destination> destination = {};
    /// Where the body puts what it makes of the sums, if anywhere: element (0, 0) belongs to that of the product. It is
    /// fetched during the last product.
    Matrix results = {};

    static ProductOptions writing(const Matrix &results) { return {0, {}, results}; }
    static ProductOptions growing(const Destination &destination) { return {0, destination, {}}; }
  };
  /// One parallel phase over the blocks of an m x n matrix, or one for each part of its columns: the accumulators of a
  /// block hold the sums of their products, in order, when the body gets them. Right operands are packed once for all
  /// items where that pays (Analysis/TileSizes.h, SharedPacking).
  void parallelProducts(mlir::Value m, mlir::Value n, int64_t copies, llvm::ArrayRef<Product> products,
                        llvm::function_ref<void(Block block, llvm::ArrayRef<mlir::Value> accumulators)> body,
                        const ProductOptions &options);

  /// Visits a depth in parts that leave room for columns in the shared scratch: body(first, length). A depth of 0 is
  /// one part, too. For destinations that can keep the sums between the parts.
  void visitDepthParts(mlir::Value depth, llvm::function_ref<void(mlir::Value first, mlir::Value length)> body);

  /// One parallel phase over the blocks of `count` matrices of m x n (count null: one). The body gets the item's block
  /// and `copies` accumulator blocks in scratch (each at least block.rows x block.columns, to be cleared). Blocks are
  /// smaller when there would be few of them, and narrower with more copies.
  void parallelBlocks(mlir::Value count, mlir::Value m, mlir::Value n, int64_t copies,
                      llvm::function_ref<void(Block block, llvm::ArrayRef<mlir::Value> accumulators)> body,
                      int64_t unit = 0);
  /// For phases with items of their own: takes `copies` blocks [blockRows, blockColumns / copies] of accumulators and
  /// the packing space from the scratch; inside `Emitter::parallel`, once.
  llvm::SmallVector<mlir::Value> takeBlocks(int64_t copies = 1);

  /// A left operand as register tiles read it.
  struct Left {
    mlir::Value memref;
    bool isPacked = true; ///< else rows where they lie
  };

private:
  /// Panels of a right operand in the shared scratch: for each blockDepth, panel after panel.
  struct SharedPanels {
    mlir::Value bytes, offset; ///< where they begin
    mlir::Value isPacked;      ///< i1: they are there; else items pack for themselves
    mlir::Value columns;       ///< in whole panels
  };
  /// What a block of A is multiplied with, and the block of C that gets it.
  struct Term {
    mlir::Value block;
    Matrix b;
    const SharedPanels *shared;
    mlir::Value overwrites; ///< i1: the block has nothing yet
  };
  void accumulate(Matrix a, llvm::ArrayRef<Term> terms, mlir::Value column, mlir::Value m, mlir::Value n, mlir::Value k,
                  bool inPlace, const Matrix &results = {});
  mlir::Value isFirst(const Term &term, mlir::Value start);
  bool isReadInPlace(const Matrix &a, mlir::Value columns) const;
  /// Whether register tiles can use a matrix where it lies, in a product of so many columns, which are `most` at most.
  bool isUsedInPlace(mlir::Value memref, mlir::Value columns, int64_t most) const;
  Left takeLeft(Matrix a, mlir::Value m, mlir::Value depth, bool inPlace);
  void accumulateOwnPanel(const Left &left, const Term &term, mlir::Value start, mlir::Value firstColumn,
                          mlir::Value column, mlir::Value m, mlir::Value n, mlir::Value depth, const Fetch &results);
  void packPanel(Matrix b, mlir::Value depth, mlir::Value n, mlir::Value panel);
  mlir::Value getPanel(const SharedPanels &shared, mlir::Value start, mlir::Value depth, mlir::Value column);
  Fetch getNextPanel(const SharedPanels &shared, mlir::Value start, mlir::Value firstColumn, mlir::Value column,
                     mlir::Value n, mlir::Value k);
  void packPanels(const SharedPanels &shared, Matrix b, mlir::Value n, mlir::Value k);

  mlir::Value packedA, packedB;
};

/// Steps of the depth that are one step of the loop of a register tile.
constexpr int64_t tileUnroll = 4;

/// The inner loop by itself, for kernels with their own blocking (attention): returns the rows x vectors accumulators
/// of init + sum over k in [begin, end) of a(row, k) * b(k, vector), row-major, in order of k, tileUnroll steps at a
/// time. `a` gives a scalar, `b` a vector, both of the accumulator type; `beside(k)`, if any, is emitted into that
/// loop. 6 x 4 (AVX-512), 6 x 2 (AVX2) keep everything in registers.
llvm::SmallVector<mlir::Value> emitRegisterTile(Emitter &e, int64_t rows, int64_t vectors, mlir::Value begin,
                                                mlir::Value end, mlir::ValueRange init,
                                                llvm::function_ref<mlir::Value(int64_t row, mlir::Value k)> a,
                                                llvm::function_ref<mlir::Value(mlir::Value k, int64_t vector)> b,
                                                llvm::function_ref<void(mlir::Value k)> beside = {});

/// Transposes `lanes` vectors of `lanes` accumulators in registers.
llvm::SmallVector<mlir::Value> emitTranspose(Emitter &e, mlir::ValueRange vectors);

/// panel[0..k, 0..panel) = B[0..k, 0..n) expanded to accumulators, zero beyond n. `panel` is a memref [>= k rounded up
/// to the lanes][tiles.getPanel()]; rows from k on may get garbage. Transposed matrices are transposed in registers.
void emitPackPanel(Emitter &e, KernelCache &kernels, Matrix b, mlir::Value k, mlir::Value n, mlir::Value panel);
/// The tiles of A[0..m, 0..k) expanded, in the order in which a register tile reads them: row r of tile t at depth i is
/// packed[t, i * tiles.rows + r]. `packed` is a memref [>= tiles of m][tiles.getPackedTile()], whose other elements may
/// get garbage. Not for warps, whose lanes would store over each other.
void emitPackLeft(Emitter &e, KernelCache &kernels, Matrix a, mlir::Value m, mlir::Value k, mlir::Value packed);
/// The same for tiles of AMX (GemmTiles::isMatrix): rounded to bf16, zero from k to the next multiple of 32, something
/// from m or n to the end of the tile or panel. `packed` and `panel` are memrefs [..][32] and [..][2 *
/// tiles.getPanel()] of bf16.
void emitPackMatrixLeft(Emitter &e, KernelCache &kernels, const GemmTiles &tiles, Matrix a, mlir::Value m,
                        mlir::Value k, mlir::Value packed);
void emitPackMatrixPanel(Emitter &e, KernelCache &kernels, const GemmTiles &tiles, Matrix b, mlir::Value k,
                         mlir::Value n, mlir::Value panel);
/// A product by AMX: steps [begin, end) of 32 elements of the depth, a panel of two tiles of columns, and 16 rows of the left
/// operand at a step.
struct MatrixProduct {
  mlir::Value begin, end, panel;
  std::function<mlir::Value(int64_t half, mlir::Value step)> left;
};
/// block[row.., column..] = the product, or with it added: `halves` times 16 rows, 32 columns.
void emitMatrixProduct(Emitter &e, const MatrixProduct &product, int64_t halves, bool overwrite, mlir::Value block,
                       mlir::Value row, mlir::Value column);
/// 16 x 32 elements of a memref of bf16; and rows of tile `number` of what emitPackMatrixLeft packed.
mlir::Value loadOperandTile(Emitter &e, mlir::Value memref, mlir::Value row, mlir::Value column);
mlir::Value loadPackedTile(Emitter &e, const GemmTiles &tiles, mlir::Value packed, mlir::Value number, int64_t half,
                           mlir::Value step);
/// block[row.., column..] += A . panel, or = where `overwrites` (i1) is true, for one register tile of AMX, of which 16
/// or 32 `rows` count: A is tile `number` of a packed block.
void emitMatrixTile(Emitter &e, const GemmTiles &tiles, int64_t rows, mlir::Value a, mlir::Value number,
                    mlir::Value panel, mlir::Value block, mlir::Value column, mlir::Value k, mlir::Value overwrites);
/// block[0..m, 0..k) = A[0..m, 0..k) expanded; rows of `block` have room for k rounded up to the lanes. The matrix is
/// not transposed: copy A.transpose() to get the block the other way round.
void emitPackRows(Emitter &e, KernelCache &kernels, Matrix a, mlir::Value m, mlir::Value k, mlir::Value block);

} // namespace bpt
