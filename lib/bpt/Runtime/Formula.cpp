// Parser and checked evaluation of postfix size formulas.
#include "bpt/Runtime/Formula.h"
#include "bpt/Runtime/File.h"
#include <algorithm>
#include <charconv>
#include <fmt/format.h>

namespace bpt {

namespace {

/// A formula of the compiler has a few dozen tokens; this only bounds what a broken manifest can cost.
constexpr size_t maxTokens = 4096;

bool parseInteger(std::string_view text, int64_t &value) {
  auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  return failure == std::errc() && end == text.data() + text.size();
}

} // namespace

Formula::Formula(int64_t constant) : source(std::to_string(constant)), tokens{{Op::Constant, constant}} {}

Expected<Formula::Token> Formula::parseToken(std::string_view word) {
  static constexpr std::pair<std::string_view, Op> operators[] = {
      {"+", Op::Add},           {"-", Op::Sub},   {"*", Op::Mul},   {"/", Op::FloorDiv},
      {"ceildiv", Op::CeilDiv}, {"min", Op::Min}, {"max", Op::Max}, {"threads", Op::Threads}};
  for (auto [name, op] : operators)
    if (word == name)
      return Token{op, 0};
  int64_t value = 0;
  if (word.front() == 'd' && word.size() > 1 && word[1] != '-' && parseInteger(word.substr(1), value) &&
      value < 1000000)
    return Token{Op::Dim, value};
  if (parseInteger(word, value))
    return Token{Op::Constant, value};
  return badInput(
      fmt::format("expected a 64-bit integer, d<i>, threads, + - * / ceildiv min or max, but got {}", inQuotes(word)));
}

Expected<Formula> Formula::parse(std::string_view text) {
  Formula formula;
  formula.source = std::string(text);
  formula.tokens.clear();
  auto wrong = [&](const std::string &why) { return badInput(fmt::format("formula {}: {}", inQuotes(text), why)); };
  size_t depth = 0;
  for (size_t at = text.find_first_not_of(' '); at != std::string_view::npos;) {
    size_t end = std::min(text.find(' ', at), text.size());
    Expected<Token> token = parseToken(text.substr(at, end - at));
    if (!token)
      return wrong(token.error().message);
    bool leaf = token->op == Op::Constant || token->op == Op::Dim || token->op == Op::Threads;
    if (!leaf && depth < 2)
      return wrong(fmt::format("expected two operands before '{}' at byte {}", text.substr(at, end - at), at));
    depth = leaf ? depth + 1 : depth - 1;
    formula.tokens.push_back(*token);
    if (formula.tokens.size() > maxTokens)
      return badInput(fmt::format("expected a formula of at most {} tokens, but got more", maxTokens));
    at = text.find_first_not_of(' ', end);
  }
  if (depth != 1)
    return wrong(fmt::format("expected one value in the end, but got {}", depth));
  return formula;
}

Expected<int64_t> Formula::apply(Op op, int64_t lhs, int64_t rhs) {
  Error overflow = badInput("the value does not fit in 64 bits");
  int64_t value = 0;
  switch (op) {
  case Op::Add:
    return __builtin_add_overflow(lhs, rhs, &value) ? Expected<int64_t>(overflow) : value;
  case Op::Sub:
    return __builtin_sub_overflow(lhs, rhs, &value) ? Expected<int64_t>(overflow) : value;
  case Op::Mul:
    return __builtin_mul_overflow(lhs, rhs, &value) ? Expected<int64_t>(overflow) : value;
  case Op::Min:
    return std::min(lhs, rhs);
  case Op::Max:
    return std::max(lhs, rhs);
  default:
    break;
  }
  if (rhs == 0)
    return badInput("division by zero");
  if (rhs == -1)
    return __builtin_sub_overflow(int64_t(0), lhs, &value) ? Expected<int64_t>(overflow) : value;
  int64_t quotient = lhs / rhs;
  bool exact = lhs % rhs == 0;
  bool negative = (lhs < 0) != (rhs < 0);
  if (op == Op::FloorDiv)
    return quotient - (!exact && negative);
  return quotient + (!exact && !negative);
}

Expected<int64_t> Formula::evaluate(const FormulaInputs &inputs) const {
  auto wrong = [&](const std::string &why) { return badInput(fmt::format("formula {}: {}", inQuotes(source), why)); };
  std::vector<int64_t> stack;
  stack.reserve(tokens.size());
  for (const Token &token : tokens) {
    if (token.op == Op::Constant) {
      stack.push_back(token.value);
    } else if (token.op == Op::Threads) {
      stack.push_back(inputs.threads);
    } else if (token.op == Op::Dim) {
      if (token.value >= static_cast<int64_t>(inputs.dims.size()))
        return wrong(
            fmt::format("d{} does not exist: there are {} dynamic dimensions", token.value, inputs.dims.size()));
      stack.push_back(inputs.dims[static_cast<size_t>(token.value)]);
    } else {
      int64_t rhs = stack.back();
      stack.pop_back();
      Expected<int64_t> value = apply(token.op, stack.back(), rhs);
      if (!value)
        return wrong(value.error().message);
      stack.back() = *value;
    }
  }
  return stack.back();
}

int64_t Formula::dimsNeeded() const {
  int64_t needed = 0;
  for (const Token &token : tokens)
    if (token.op == Op::Dim)
      needed = std::max(needed, token.value + 1);
  return needed;
}

std::string Formula::infix() const {
  // Texts with how tightly their outermost operator binds: sums 1, products 2, the rest 3.
  std::vector<std::pair<std::string, int>> stack;
  auto parenthesized = [](const std::pair<std::string, int> &operand, int least) {
    return operand.second < least ? "(" + operand.first + ")" : operand.first;
  };
  for (const Token &token : tokens) {
    if (token.op == Op::Constant) {
      stack.emplace_back(std::to_string(token.value), 3);
      continue;
    }
    if (token.op == Op::Dim || token.op == Op::Threads) {
      stack.emplace_back(token.op == Op::Dim ? "d" + std::to_string(token.value) : "threads", 3);
      continue;
    }
    std::pair<std::string, int> right = stack.back(), left = stack[stack.size() - 2];
    stack.resize(stack.size() - 2);
    auto operation = [&](const char *sign, int level) {
      int rightLevel = token.op == Op::Add || token.op == Op::Mul ? level : level + 1;
      stack.emplace_back(parenthesized(left, level) + sign + parenthesized(right, rightLevel), level);
    };
    auto call = [&](const char *name) {
      stack.emplace_back(std::string(name) + "(" + left.first + ", " + right.first + ")", 3);
    };
    switch (token.op) {
    case Op::Add:
      operation(" + ", 1);
      break;
    case Op::Sub:
      operation(" - ", 1);
      break;
    case Op::Mul:
      operation(" * ", 2);
      break;
    case Op::FloorDiv:
      operation(" / ", 2);
      break;
    case Op::CeilDiv:
      call("ceildiv");
      break;
    case Op::Min:
      call("min");
      break;
    default:
      call("max");
      break;
    }
  }
  return stack.back().first;
}

} // namespace bpt
