// A parser for inline PTX.
#include "PTXText.h"
#include "llvm/ADT/StringExtras.h"
#include <algorithm>

using namespace llvm;

namespace bpt {

bool PTXStatement::has(StringRef part) const { return std::find(parts.begin(), parts.end(), part) != parts.end(); }

namespace {

class Parser {
public:
  explicit Parser(StringRef text) : rest(text) {}

  Expected<std::vector<PTXStatement>> run() {
    std::vector<PTXStatement> statements;
    for (skip(); !rest.empty(); skip()) {
      PTXStatement statement;
      if (!parse(statement))
        return createStringError("cannot read the PTX '" + rest.take_front(60).str() + "'");
      if (statement.kind != PTXStatement::Instruction || !statement.text.empty())
        statements.push_back(std::move(statement));
    }
    return statements;
  }

private:
  void skip() {
    for (;;) {
      rest = rest.ltrim();
      if (rest.starts_with("//"))
        rest = rest.drop_until([](char c) { return c == '\n'; });
      else if (rest.starts_with("/*"))
        rest = rest.drop_front(std::min(rest.size(), rest.find("*/", 2) + 2));
      else
        return;
    }
  }
  bool take(char c) {
    skip();
    return rest.consume_front(StringRef(&c, 1));
  }

  /// An identifier; `$$` is LLVM's spelling of `$`.
  std::string word(bool mnemonic) {
    skip();
    std::string text;
    while (!rest.empty()) {
      if (rest.starts_with("$$")) {
        text += '$';
        rest = rest.drop_front(2);
      } else if (isAlnum(rest[0]) || rest[0] == '_' || rest[0] == '%' ||
                 (rest[0] == '.' && (mnemonic || !text.empty())) || (mnemonic && rest.starts_with("::"))) {
        text += rest[0];
        if (rest[0] == ':') {
          text += ':';
          rest = rest.drop_front();
        }
        rest = rest.drop_front();
      } else {
        break;
      }
    }
    return text;
  }

  bool parse(PTXStatement &statement) {
    if (take('{')) {
      statement.kind = PTXStatement::OpenScope;
      return true;
    }
    if (take('}')) {
      statement.kind = PTXStatement::CloseScope;
      return true;
    }
    if (take(';'))
      return true;
    if (take('@')) {
      statement.predicated = true;
      statement.predicateNegated = take('!');
      if (!operand(statement.predicate))
        return false;
    }
    statement.text = word(/*mnemonic=*/true);
    if (statement.text.empty())
      return false;
    if (!statement.predicated && take(':')) {
      statement.kind = PTXStatement::Label;
      return true;
    }
    if (StringRef(statement.text) == ".reg")
      return declaration(statement);
    SmallVector<StringRef> parts;
    StringRef(statement.text).split(parts, '.', -1, /*KeepEmpty=*/false);
    for (StringRef part : parts)
      statement.parts.push_back(part.str());
    return operands(statement.operands) && (take(';') || rest.empty());
  }

  /// .reg .type a, b, c<4>;
  bool declaration(PTXStatement &statement) {
    statement.kind = PTXStatement::Declaration;
    statement.text = StringRef(word(/*mnemonic=*/true)).ltrim('.').str();
    do {
      PTXOperand name;
      name.text = word(false);
      if (name.text.empty())
        return false;
      if (take('<')) {
        unsigned count;
        skip();
        if (rest.consumeInteger(10, count) || !take('>'))
          return false;
        for (unsigned i = 0; i < count; ++i) {
          statement.operands.push_back(name);
          statement.operands.back().text += std::to_string(i);
        }
      } else {
        statement.operands.push_back(name);
      }
    } while (take(','));
    return take(';');
  }

  bool operands(std::vector<PTXOperand> &list) {
    skip();
    if (rest.empty() || rest[0] == ';')
      return true;
    do {
      list.emplace_back();
      if (!operand(list.back()))
        return false;
    } while (take(','));
    return true;
  }

  bool operand(PTXOperand &result) {
    if (take('{')) {
      result.kind = PTXOperand::Vector;
      do {
        result.elements.emplace_back();
        if (!operand(result.elements.back()))
          return false;
      } while (take(','));
      return take('}');
    }
    if (take('[')) {
      result.kind = PTXOperand::Address;
      do {
        result.elements.emplace_back();
        if (!operand(result.elements.back()))
          return false;
        if (take('+')) {
          skip();
          bool minus = take('-');
          if (rest.consumeInteger(0, result.number))
            return false;
          result.number = minus ? -result.number : result.number;
        }
      } while (take(','));
      return take(']');
    }
    result.negated = take('!');
    if (!single(result))
      return false;
    if (!take('|'))
      return true;
    PTXOperand second, first = result;
    if (!operand(second))
      return false;
    result = PTXOperand();
    result.kind = PTXOperand::Pair;
    result.elements = {first, second};
    return true;
  }

  bool single(PTXOperand &result) {
    skip();
    if (rest.starts_with("$") && !rest.starts_with("$$")) {
      rest = rest.drop_front();
      bool braces = rest.consume_front("{");
      result.kind = PTXOperand::Argument;
      if (rest.consumeInteger(10, result.number))
        return false;
      return !braces || rest.consume_front("}");
    }
    StringRef digits = rest;
    bool minus = rest.consume_front("-");
    if (rest.empty())
      return false;
    if (!isDigit(rest[0])) {
      rest = digits;
      result.text = word(false);
      return !result.text.empty();
    }
    if (rest.starts_with_insensitive("0f") || rest.starts_with_insensitive("0d")) { // bits of a float or double
      result.kind = PTXOperand::Float;
      result.bits = rest[1] == 'f' || rest[1] == 'F' ? 32 : 64;
      uint64_t bits = 0;
      if (rest.drop_front(2).take_front(result.bits / 4).getAsInteger(16, bits))
        return false;
      result.number = int64_t(bits);
      rest = rest.drop_front(2 + result.bits / 4);
      return !minus;
    }
    size_t length = rest.find_if([](char c) { return !isAlnum(c) && c != '.'; });
    StringRef number = rest.take_front(length);
    rest = rest.drop_front(number.size());
    result.text = (minus ? "-" : "") + number.str();
    if (number.contains('.')) {
      result.kind = PTXOperand::Float;
      return true;
    }
    result.kind = PTXOperand::Integer;
    number.consume_back("U");
    uint64_t value;
    if (number.getAsInteger(0, value))
      return false;
    result.number = minus ? -int64_t(value) : int64_t(value);
    return true;
  }

  StringRef rest;
};

} // namespace

Expected<std::vector<PTXStatement>> parsePTX(StringRef text) { return Parser(text).run(); }

} // namespace bpt
