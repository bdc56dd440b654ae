// Inline PTX as statements. Understands the syntax (PTX ISA 8.7, section 4), not the instructions.
#pragma once
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/Error.h"
#include <string>
#include <vector>

namespace bpt {

struct PTXOperand {
  enum Kind {
    Name,     ///< a register, label or special register; `_` too
    Argument, ///< $n: operand `number` of the asm call
    Integer,
    Float,   ///< `number` holds the bits, `bits` how many (0: decimal, in `text`)
    Vector,  ///< {elements}
    Address, ///< [elements[0] + number], or [elements[0], elements[1] ..]
    Pair     ///< elements[0] | elements[1]
  } kind = Name;
  std::string text;
  int64_t number = 0;
  unsigned bits = 0;
  bool negated = false; ///< !p
  std::vector<PTXOperand> elements;
};

struct PTXStatement {
  enum Kind { Instruction, Label, Declaration, OpenScope, CloseScope } kind = Instruction;
  std::string
      text; ///< an instruction's mnemonic with its modifiers, a label's name, a declaration's type (b32, pred, ..)
  /// The mnemonic split at its dots; "m64n128k16" and "shared::cta" stay whole.
  std::vector<std::string> parts;
  std::vector<PTXOperand> operands;
  bool predicated = false, predicateNegated = false;
  PTXOperand predicate;

  bool has(llvm::StringRef part) const;
};

/// The statements of the text; an error shows what could not be read.
llvm::Expected<std::vector<PTXStatement>> parsePTX(llvm::StringRef text);

} // namespace bpt
