// Pieces that ends of tiles are made of: matrices and vectors that are read and written pair by pair, and the plain
// ends.
#pragma once

#include "Gemm.h"

namespace bpt::hopper {

/// The place of a thread's pairs in a tile.
class ThreadTile {
public:
  using Value = mlir::Value;
  ThreadTile(KernelBuilder &e, const TilePlace &tile);

  KernelBuilder &e;
  const TilePlace &tile;
  /// Row of C of a half, whether it exists, and the same moved into C.
  std::array<Value, 2> row, rowExists, safeRow;
  Value column; ///< first column of this thread
  /// Whether both columns of the pairs at `offset` exist (the number of columns is even).
  Value columnsExist(int64_t offset);
  /// `offset`, or less where the pair would lie outside of C: every address is that of a pair of C.
  Value getSafeOffset(int64_t offset);

private:
  llvm::DenseMap<int64_t, Value> safeOffsets;
};

/// A matrix `[outer.., rows, columns]` in global memory with an even number of columns and even strides.
class PairMatrix {
public:
  using Value = mlir::Value;
  PairMatrix() = default;
  PairMatrix(const StridedArgument &argument, mlir::Type element) : argument(argument), element(element) {}
  explicit operator bool() const { return static_cast<bool>(element); }

  /// Finds the rows of a tile; `outer`: the indices before them.
  void begin(ThreadTile &tile, mlir::ValueRange outer);
  /// Pairs outside of C give those of a row or column inside.
  Pair load(const PairPlace &place);
  /// Pairs outside are left out.
  void store(const PairPlace &place, const Pair &pair);

private:
  StridedArgument argument;
  mlir::Type element;
  ThreadTile *tile = nullptr;
  std::array<Value, 2> rows; ///< addresses of this thread's first pair of each half
};

/// One value for each column of C: a bias.
class ColumnVector {
public:
  using Value = mlir::Value;
  ColumnVector() = default;
  ColumnVector(unsigned pointer, mlir::Type element) : pointer(pointer), element(element) {}
  explicit operator bool() const { return static_cast<bool>(element); }
  void begin(ThreadTile &tile);
  Pair load(const PairPlace &place);

private:
  unsigned pointer = 0;
  mlir::Type element;
  ThreadTile *tile = nullptr;
  llvm::DenseMap<int64_t, Pair> known;
};

/// A memref as a PairMatrix; its argument is added.
PairMatrix addPairMatrix(LaunchArguments &arguments, mlir::Value memref);
/// A bias; null: none.
ColumnVector addColumnVector(LaunchArguments &arguments, mlir::Value memref);

/// A pair of elements at an address, expanded to f32; and back.
Pair loadPair(KernelBuilder &e, mlir::Value address, mlir::Type element);
void storePair(KernelBuilder &e, mlir::Value address, const Pair &pair, mlir::Type element);

/// An epilogue that knows where its thread is.
class PairEpilogue : public GemmEpilogue {
public:
  void begin(KernelBuilder &e, const TilePlace &tile) final {
    here.emplace(e, tile);
    beginTile();
  }

protected:
  virtual void beginTile() = 0;
  std::optional<ThreadTile> here;
};

/// out = sums + bias, + what out holds with `added`; 16 bits.
class StoreEpilogue : public PairEpilogue {
public:
  StoreEpilogue(ColumnVector bias, PairMatrix added) : bias(std::move(bias)), added(std::move(added)) {}
  int64_t getStagedOuts() const override { return 1; }
  llvm::SmallVector<Pair> finish(const PairPlace &place, llvm::ArrayRef<Pair> sums) override;

private:
  void beginTile() override;
  ColumnVector bias;
  PairMatrix added;
};

/// f32: out = sums, or out += sums with `adds`.
class WideStoreEpilogue : public PairEpilogue {
public:
  WideStoreEpilogue(PairMatrix out, bool adds) : out(std::move(out)), adds(adds) {}
  int64_t getStagedOuts() const override { return 0; }
  llvm::SmallVector<Pair> finish(const PairPlace &place, llvm::ArrayRef<Pair> sums) override;

private:
  void beginTile() override { out.begin(*here, here->tile.outer); }
  PairMatrix out;
  bool adds;
};

/// A destination that is summed over several launches: 16-bit matrices are kept in f32 between them and rounded once.
/// The first launch adds to what out holds, the last one writes it.
class ChunkSumEpilogue : public PairEpilogue {
public:
  /// `first`, `last`: arguments (i32), not 0 in the first and in the last launch.
  ChunkSumEpilogue(PairMatrix out, PairMatrix between, unsigned first, unsigned last)
      : out(std::move(out)), between(std::move(between)), first(first), last(last) {}
  int64_t getStagedOuts() const override { return 0; }
  llvm::SmallVector<Pair> finish(const PairPlace &place, llvm::ArrayRef<Pair> sums) override;

private:
  void beginTile() override;
  PairMatrix out, between;
  unsigned first, last;
  Value isFirst, isLast;
};

} // namespace bpt::hopper
