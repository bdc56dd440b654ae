// Matrix products on Hopper: what is multiplied, and what becomes of the sums of a tile.
#pragma once

#include "Kernels.h"
#include "bpt/Analysis/HopperTiles.h"

namespace bpt::hopper {

/// Two neighbouring columns of one row of C in a thread.
using Pair = std::array<mlir::Value, 2>;

/// The tile of a warpgroup: 64 rows of C.
struct TilePlace {
  llvm::SmallVector<mlir::Value> outer; ///< which matrix, index by index
  mlir::Value row, column;              ///< of C: the first row of this warpgroup, the first column of the tile
  mlir::Value rows, columns;            ///< of C
};

/// Two columns of a tile in a thread: row `firstRow + 8 * half` and columns `firstColumn + offset`, + 1 of C.
struct PairPlace {
  int64_t half, offset;
};

/// What becomes of the sums of a tile: for each pair of columns the f32 values of the matrices that leave through
/// shared memory; other results an epilogue stores itself.
class GemmEpilogue {
public:
  using Value = mlir::Value;
  virtual ~GemmEpilogue() = default;
  /// Matrices that leave through shared memory, in 16 bits.
  virtual int64_t getStagedOuts() const = 0;
  /// Before the first pair of a tile.
  virtual void begin(KernelBuilder &e, const TilePlace &tile) = 0;
  /// Before and after the pairs of 64 columns, from column 64 * piece of the tile on; `sums`: all of the tile.
  virtual void beginPiece(int64_t piece, llvm::ArrayRef<Fragment> sums) {}
  virtual void endPiece(int64_t piece) {}
  /// `sums`: one for each product.
  virtual llvm::SmallVector<Pair> finish(const PairPlace &place, llvm::ArrayRef<Pair> sums) = 0;
};

/// An operand of a product: a view `[outer.., d0, d1]` with contiguous d1. A is [rows, depth], or [depth, rows] with
/// `sumsRows`; B is [columns, depth], or [depth, columns] with `sumsRows`. `loops`: for each outer dim the loop that
/// gives its index, first those of the parallel loops, then those of the sequential ones.
struct GemmOperand {
  mlir::Value memref;
  bool sumsRows = false;
  llvm::SmallVector<unsigned> loops = {};
};

/// Products C_i = sum over sequential loops and depth of A B_i, for each index of the parallel loops. All sizes are
/// index values.
struct GemmProblem {
  GemmOperand left;
  llvm::SmallVector<GemmOperand> right;
  /// A second left and right operand of the same shapes and layouts, whose product is added; null memrefs: none. Not
  /// with several products.
  GemmOperand secondLeft = {}, secondRight = {};
  llvm::SmallVector<mlir::Value> parallel, sequential;
  mlir::Value rows, columns, depth;
  mlir::Type element; ///< of A and B: bf16 or f16
};

/// Launches the kernel of a problem. `arguments` holds what the epilogue added already; `staged` are the matrices that
/// leave through shared memory: views `[parallel.., rows, columns]`. `key` names what the epilogue depends on.
void launchGemm(KernelLibrary &kernels, LaunchArguments &arguments, llvm::StringRef name, const GemmProblem &problem,
                GemmEpilogue &epilogue, mlir::ValueRange staged, llvm::StringRef key);

} // namespace bpt::hopper
