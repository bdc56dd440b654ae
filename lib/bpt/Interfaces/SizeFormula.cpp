// Size formulas: constant folding and postfix text.
#include "bpt/Interfaces/SizeFormula.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/MathExtras.h"

using namespace llvm;

namespace bpt {

SizeFormula::SizeFormula(int64_t constant) : text(std::to_string(constant)) {}

SizeFormula SizeFormula::dim(unsigned index) { return fromText("d" + std::to_string(index)); }
SizeFormula SizeFormula::threads() { return fromText("threads"); }
SizeFormula SizeFormula::fromText(StringRef text) {
  SizeFormula formula;
  formula.text = text.str();
  return formula;
}

std::optional<int64_t> SizeFormula::getConstant() const {
  int64_t value;
  if (StringRef(text).getAsInteger(10, value))
    return std::nullopt;
  return value;
}

SizeFormula SizeFormula::substitute(ArrayRef<SizeFormula> dims) const {
  // Postfix is closed under substitution: a symbol's formula takes the symbol's place.
  SmallVector<StringRef> tokens;
  StringRef(text).split(tokens, ' ', -1, false);
  SmallVector<SizeFormula> stack;
  for (StringRef token : tokens) {
    unsigned index;
    if (token.size() > 1 && token.front() == 'd' && !token.drop_front().getAsInteger(10, index)) {
      stack.push_back(index < dims.size() ? dims[index] : fromText(token));
      continue;
    }
    int64_t constant;
    if (token == "threads" || !token.getAsInteger(10, constant)) {
      stack.push_back(fromText(token));
      continue;
    }
    SizeFormula b = stack.pop_back_val(), a = stack.pop_back_val();
    stack.push_back(token == "+"         ? a + b
                    : token == "-"       ? a - b
                    : token == "*"       ? a * b
                    : token == "/"       ? floorDiv(a, b)
                    : token == "ceildiv" ? ceilDiv(a, b)
                    : token == "min"     ? min(a, b)
                                         : max(a, b));
  }
  return stack.back();
}

static SizeFormula combine(const SizeFormula &a, const SizeFormula &b, StringRef word) {
  return SizeFormula::fromText((Twine(a.getText()) + " " + b.getText() + " " + word).str());
}

SizeFormula operator+(const SizeFormula &a, const SizeFormula &b) {
  auto x = a.getConstant(), y = b.getConstant();
  if (x && y)
    return SizeFormula(SaturatingAdd<uint64_t>(*x, *y) > INT64_MAX ? INT64_MAX : *x + *y);
  if (x && *x == 0)
    return b;
  return y && *y == 0 ? a : combine(a, b, "+");
}
SizeFormula operator-(const SizeFormula &a, const SizeFormula &b) {
  auto x = a.getConstant(), y = b.getConstant();
  if (x && y)
    return SizeFormula(*x - *y);
  return y && *y == 0 ? a : combine(a, b, "-");
}
SizeFormula operator*(const SizeFormula &a, const SizeFormula &b) {
  auto x = a.getConstant(), y = b.getConstant();
  if (x && y) {
    int64_t product;
    return SizeFormula(MulOverflow(*x, *y, product) ? INT64_MAX : product);
  }
  if ((x && *x == 0) || (y && *y == 1))
    return a;
  return (x && *x == 1) || (y && *y == 0) ? b : combine(a, b, "*");
}
SizeFormula floorDiv(const SizeFormula &a, const SizeFormula &b) {
  auto x = a.getConstant(), y = b.getConstant();
  if (x && y && *y > 0)
    return SizeFormula(*x / *y);
  return y && *y == 1 ? a : combine(a, b, "/");
}
SizeFormula ceilDiv(const SizeFormula &a, const SizeFormula &b) {
  auto x = a.getConstant(), y = b.getConstant();
  if (x && y && *y > 0)
    return SizeFormula(*x / *y + (*x % *y != 0));
  return y && *y == 1 ? a : combine(a, b, "ceildiv");
}
SizeFormula min(const SizeFormula &a, const SizeFormula &b) {
  auto x = a.getConstant(), y = b.getConstant();
  if (x && y)
    return SizeFormula(std::min(*x, *y));
  return a.getText() == b.getText() ? a : combine(a, b, "min");
}
SizeFormula max(const SizeFormula &a, const SizeFormula &b) {
  auto x = a.getConstant(), y = b.getConstant();
  if (x && y)
    return SizeFormula(std::max(*x, *y));
  return a.getText() == b.getText() ? a : combine(a, b, "max");
}

} // namespace bpt
