// Memrefs as the operands of matrix products: dims merged and ordered as the TMA unit walks them.
#pragma once

#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include <string>

namespace bpt::hopper {

/// Dims of a memref that are one dim of a view, in the order of memory; none: a dim of size 1.
using DimGroup = llvm::SmallVector<unsigned>;

/// Whether dims `outer` and `inner` of `type` are one dim: an index of it addresses all their elements at one stride.
/// Neither has the static size 1.
bool areMergeable(mlir::MemRefType type, unsigned outer, unsigned inner);

/// Whether the TMA unit can walk `type` when dims of static size 1 do not count: the last dim is contiguous, strides
/// are multiples of 16 bytes as far as they are known, and that of the rows is known.
bool isWalkable(mlir::MemRefType type);

/// The same of all `memrefs` that are not null: why not.
std::string refuseToWalk(mlir::ValueRange memrefs);

/// Dims of `type` that are not of static size 1.
llvm::SmallVector<unsigned> getLongDims(mlir::MemRefType type);

/// A strided view of `memref` with one dim for each group, in their order. Every dim of `memref` that is not in a group
/// has the static size 1.
mlir::Value regroup(mlir::ImplicitLocOpBuilder &b, mlir::Value memref, llvm::ArrayRef<DimGroup> groups);

/// The rows of several memrefs `[.., columns]` that have their leading dims in common: `[outer, inner]`, the same for
/// all. Where the leading dims are contiguous everywhere, outer is 1.
class RowSpace {
public:
  using Value = mlir::Value;
  /// Adds a memref whose last `trailing` dims are not rows. All have the same number of leading dims.
  void add(mlir::MemRefType type, int64_t trailing = 1);
  /// Why two dims are not enough; empty when they are.
  std::string refuse() const { return groups.size() <= 2 ? "" : "rows lie at more than two strides"; }

  /// `[outer, inner, columns]` (trailing 1) or `[outer, inner]` (trailing 0).
  Value view(mlir::ImplicitLocOpBuilder &b, Value memref, int64_t trailing = 1) const;

private:
  bool isEmpty = true;
  int64_t leading = 0;
  /// Of leading dims, outermost first.
  llvm::SmallVector<DimGroup> groups;
};

/// The box of sizes `sizes` at `offsets` of a strided memref; null values: the whole dim.
mlir::Value slice(mlir::ImplicitLocOpBuilder &b, mlir::Value memref, mlir::ValueRange offsets, mlir::ValueRange sizes);

/// Takes sections from a workspace of bytes, each at a multiple of 128.
class WorkspaceSections {
public:
  using Value = mlir::Value;
  WorkspaceSections(mlir::ImplicitLocOpBuilder &b, Value bytes) : b(b), bytes(bytes) {}
  /// Reserves room for `elements` elements of `type`; returns where it begins.
  Value take(Value elements, mlir::Type type);
  /// Row-major memref of `sizes` (constant where they are constants) at `offset`, where `b` stands.
  Value view(Value offset, mlir::ValueRange sizes, mlir::Type type);

private:
  mlir::ImplicitLocOpBuilder &b;
  Value bytes, next;
};

} // namespace bpt::hopper
