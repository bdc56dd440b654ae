// Size formulas of manifests: integers in postfix over the dynamic dimensions of an entry, evaluated without overflow.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace bpt {

/// The values a formula may name.
struct FormulaInputs {
  std::vector<int64_t> dims; ///< `d0`, `d1`, ..: dynamic dimensions of the entry's arguments, in order
  int64_t threads = 1;       ///< `threads`
};

/// A parsed postfix formula. Tokens, separated by spaces: decimal integers, `d<i>`, `threads`, and the operators
/// `+ - *`, `/` (floor), `ceildiv`, `min`, `max`. Example: "d0 d1 * 4 *".
class Formula {
public:
  /// The constant 0.
  Formula() : Formula(0) {}
  /// A constant.
  explicit Formula(int64_t constant);

  /// Errors name the formula and the token: unknown token, integer out of range, operands missing or left over,
  /// more than 4096 tokens.
  static Expected<Formula> parse(std::string_view text);

  /// The value. Errors name the formula: overflow of 64 bits (never wraps), division by zero, `d<i>` beyond the inputs.
  Expected<int64_t> evaluate(const FormulaInputs &inputs) const;

  /// One more than the largest i of a `d<i>`; 0 when the formula names none.
  int64_t dimsNeeded() const;

  /// The formula as people write it: "4 * d0 * (d1 + 1)", "ceildiv(d0, 64)".
  std::string infix() const;

  /// The text the formula was parsed from.
  const std::string &text() const { return source; }

private:
  enum class Op : uint8_t { Constant, Dim, Threads, Add, Sub, Mul, FloorDiv, CeilDiv, Min, Max };
  struct Token {
    Op op;
    int64_t value; ///< of Constant and Dim
  };

  static Expected<Token> parseToken(std::string_view word);
  static Expected<int64_t> apply(Op op, int64_t lhs, int64_t rhs);

  std::string source;
  std::vector<Token> tokens;
};

} // namespace bpt
