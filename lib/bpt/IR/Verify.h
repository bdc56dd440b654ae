// Checks that verifiers share: shapes in the letters of the op pages, outs, attributes. Private to lib/bpt/IR.
#pragma once

#include "bpt/IR/BPT.h"
#include "llvm/ADT/APFloat.h"
#include <array>
#include <optional>

namespace bpt {
inline mlir::ShapedType getShape(mlir::Value value) { return mlir::cast<mlir::ShapedType>(value.getType()); }
inline mlir::Type getElement(mlir::Value value) { return getShape(value).getElementType(); }

/// Compares the shapes of one op's operands in the letters of its page. `check` reads a shape as one letter per dim,
/// with a leading `*` for the dims the pages write as `..`; a lower-case letter is 1 or the dim of that letter. The
/// first static dim seen under a letter gives it its size; dynamic dims agree with every size.
class ShapeChecker {
public:
  /// `element`: the type of elements that `check` asks for when none is given.
  ShapeChecker(mlir::Operation *op, mlir::Type element) : op(op), element(element) {}

  /// Fails, after emitting an error that names the operand, when `value` (absent when null) has other dims or elements.
  mlir::LogicalResult check(llvm::StringRef name, mlir::Value value, llvm::StringRef dims);
  mlir::LogicalResult check(llvm::StringRef name, mlir::Value value, llvm::StringRef dims, mlir::Type element);
  /// The same for a gradient, whose elements may also be of the accumulator type: sums over blocks are rounded once.
  mlir::LogicalResult checkGradient(llvm::StringRef name, mlir::Value value, llvm::StringRef dims) {
    bool wide = getElement(value) == getAccumulatorType(element);
    return check(name, value, dims, wide ? getElement(value) : element);
  }
  /// Fails when a letter of `dims` stands for 0.
  mlir::LogicalResult checkPositive(llvm::StringRef dims);
  /// The size under `letter`; nothing when it is dynamic everywhere so far.
  std::optional<int64_t> getSize(char letter) const { return letters[letter - 'A'].size; }
  /// Gives `letter` a size of its own; `origin` says in the diagnostics where it comes from.
  void define(char letter, std::optional<int64_t> size, llvm::StringRef origin) {
    letters[letter - 'A'] = {size, origin};
  }

private:
  struct Dim {
    std::optional<int64_t> size;
    llvm::StringRef origin;
  };
  mlir::LogicalResult agree(Dim &dim, int64_t size, llvm::StringRef letter, llvm::StringRef name, mlir::Value value);

  mlir::Operation *op;
  mlir::Type element;
  std::array<Dim, 26> letters;
  std::optional<llvm::SmallVector<Dim, 4>> leading;
};

/// What holds for every destination-style op: `min` to `max` outs, tensors or memrefs but not both, and no type whose
/// size in bytes overflows 63 bits.
mlir::LogicalResult verifyDestination(mlir::DestinationStyleOpInterface op, unsigned min, unsigned max);

/// `value` has the shape of `like`, where dynamic dims agree with every size, and its element type or the accumulator type
/// that belongs to it.
mlir::LogicalResult verifyGradient(mlir::Operation *op, llvm::StringRef name, mlir::Value value,
                                   llvm::StringRef likeName, mlir::Value like);

/// No type among `types` whose size in bytes overflows 63 bits.
mlir::LogicalResult verifyByteSizes(mlir::Operation *op, mlir::TypeRange types);

/// Ranges of real attributes: [0, 1), finite, and finite above or from 0.
mlir::LogicalResult verifyProbability(mlir::Operation *op, llvm::StringRef name, const llvm::APFloat &value);
mlir::LogicalResult verifyFinite(mlir::Operation *op, llvm::StringRef name, const llvm::APFloat &value);
mlir::LogicalResult verifyPositive(mlir::Operation *op, llvm::StringRef name, const llvm::APFloat &value);
mlir::LogicalResult verifyNonNegative(mlir::Operation *op, llvm::StringRef name, const llvm::APFloat &value);
} // namespace bpt
