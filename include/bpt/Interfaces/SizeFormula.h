// Sizes as functions of dynamic dims and threads: the postfix strings of plan and manifest.
#pragma once

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <optional>
#include <string>

namespace bpt {
/// A non-negative integer expression over the dynamic dims of an entry's arguments (`d0`, `d1`, ..) and `threads`, kept in
/// the postfix form the runtime evaluates (Runtime/Formula.h). Constants fold as they are combined; overflow of a constant
/// saturates at INT64_MAX, which the runtime refuses.
class SizeFormula {
public:
  SizeFormula(int64_t constant = 0);
  static SizeFormula dim(unsigned index);
  static SizeFormula threads();
  static SizeFormula fromText(llvm::StringRef text);

  /// The value if it depends on nothing.
  std::optional<int64_t> getConstant() const;
  /// Postfix text, e.g. "d0 64 * 4 *".
  const std::string &getText() const { return text; }
  /// The formula with `d<i>` replaced by `dims[i]`.
  SizeFormula substitute(llvm::ArrayRef<SizeFormula> dims) const;

  friend SizeFormula operator+(const SizeFormula &a, const SizeFormula &b);
  friend SizeFormula operator-(const SizeFormula &a, const SizeFormula &b);
  friend SizeFormula operator*(const SizeFormula &a, const SizeFormula &b);
  friend SizeFormula floorDiv(const SizeFormula &a, const SizeFormula &b);
  friend SizeFormula ceilDiv(const SizeFormula &a, const SizeFormula &b);
  friend SizeFormula min(const SizeFormula &a, const SizeFormula &b);
  friend SizeFormula max(const SizeFormula &a, const SizeFormula &b);

private:
  std::string text;
};
} // namespace bpt
