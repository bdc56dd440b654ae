// Inline PTX as LLVM IR: each asm text becomes an internal function that is inlined where the asm stood.
#pragma once
#include "PTXText.h"
#include "RuntimeCalls.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/Instructions.h"
#include "llvm/Support/Error.h"

namespace bpt {

/// The statements of the call's asm text as they are while one function is built from them. Instruction families are
/// in files of their own.
class PTXBuilder {
public:
  /// `function` gets the arguments of the asm call, then `const char *where` and `const uint8_t *used` (see
  /// bpt_emulated_wgmma_wait).
  PTXBuilder(RuntimeCalls &calls, const llvm::CallInst &call, llvm::Function &function);

  /// Builds the function's body; an error names the instruction that is not known.
  llvm::Error build();

private:
  llvm::Error bindOperands();
  llvm::Error statement(const PTXStatement &statement);
  bool instruction(const PTXStatement &statement);

  // Families; false where the statement is not one of theirs, or not one that can be emulated.
  bool controlFlow(const PTXStatement &s);
  bool arithmetic(const PTXStatement &s);
  bool floatingPoint(const PTXStatement &s);
  bool moves(const PTXStatement &s);
  bool compare(const PTXStatement &s);
  bool memory(const PTXStatement &s);
  bool mbarrier(const PTXStatement &s);
  bool barrier(const PTXStatement &s);
  bool fence(const PTXStatement &s);
  bool warp(const PTXStatement &s);
  bool matrix(const PTXStatement &s);
  bool bulkCopy(const PTXStatement &s);
  bool wgmma(const PTXStatement &s);
  bool wgmmaProduct(const PTXStatement &s);

  // Operands.
  llvm::Type *typeOf(llvm::StringRef ptxType) const; ///< null for a name that is no type
  llvm::Value *read(const PTXOperand &operand, llvm::Type *type);
  llvm::Value *read32(const PTXOperand &operand) { return read(operand, builder.getInt32Ty()); }
  llvm::Value *read64(const PTXOperand &operand) { return read(operand, builder.getInt64Ty()); }
  llvm::Value *readPredicate(const PTXOperand &operand) { return read(operand, builder.getInt1Ty()); }
  llvm::Value *readAddress(const PTXOperand &operand); ///< a pointer, offset added
  bool write(const PTXOperand &operand, llvm::Value *value);
  llvm::AllocaInst *slot(const PTXOperand &operand); ///< of a local register or an output; null
  llvm::AllocaInst *array(llvm::Type *element, unsigned count);
  llvm::Value *call(llvm::StringRef name, llvm::ArrayRef<llvm::Value *> arguments) {
    return calls.call(builder, name, arguments);
  }
  llvm::Value *constant(uint32_t value) { return builder.getInt32(value); }
  llvm::BasicBlock *block(llvm::StringRef label);
  bool fail(llvm::Twine text);

  RuntimeCalls &calls;
  const llvm::CallInst &asmCall;
  llvm::Function &function;
  llvm::IRBuilder<> builder;
  llvm::Value *where, *used;
  std::vector<llvm::Value *> operands; ///< by $n: an alloca of an output, or an input
  std::vector<bool> isOutput;
  unsigned outputs = 0;
  std::vector<llvm::StringMap<llvm::AllocaInst *>> scopes;
  llvm::StringMap<llvm::BasicBlock *> labels;
  std::string failure;
};

/// Replaces every inline asm call of the module. Fails on the first text that is not understood, naming it and its
/// function.
llvm::Error lowerInlinePTX(RuntimeCalls &calls,
                           const llvm::DenseMap<const llvm::CallInst *, std::string> &usedRegisters);

} // namespace bpt
