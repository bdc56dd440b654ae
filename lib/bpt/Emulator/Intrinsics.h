// NVVM intrinsics as calls of the emulator's runtime or as generic IR.
#pragma once
#include "RuntimeCalls.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/Instructions.h"
#include "llvm/Support/Error.h"

namespace bpt {

/// One call of an intrinsic that is being replaced. Families are in files of their own: each returns false where the
/// intrinsic is not one of theirs, else has built the replacement and set `result` (if the intrinsic has one).
class IntrinsicLowering {
public:
  IntrinsicLowering(RuntimeCalls &calls, llvm::CallInst &call);
  /// Replaces and erases the call; an error if the intrinsic is not known.
  llvm::Error run();

private:
  bool specialRegister();
  bool barrier();
  bool mbarrier();
  bool fenceOrHint();
  bool warp();
  bool matrix();
  bool bulkCopy();
  bool wgmma();
  bool math();
  bool conversion();

  /// Strips a prefix of the name without "llvm.nvvm."; what remains is `rest`.
  bool starts(llvm::StringRef prefix);
  llvm::Value *argument(unsigned index) { return instruction.getArgOperand(index); }
  llvm::Value *call(llvm::StringRef function, llvm::ArrayRef<llvm::Value *> arguments) {
    return result = calls.call(builder, function, arguments);
  }
  llvm::Value *constant(uint32_t value) { return builder.getInt32(value); }
  bool flag(unsigned index); ///< an immediate i1 argument is set
  bool fail(llvm::Twine text);
  /// `value` (with a predicate in bit 32) as the intrinsic's { i32 or float, i1 }, or its first part.
  void splitPredicate(llvm::Value *value);

  RuntimeCalls &calls;
  llvm::CallInst &instruction;
  llvm::StringRef name, rest;
  llvm::IRBuilder<> builder;
  llvm::Constant *where;
  llvm::Value *result = nullptr;
  std::string failure;
};

/// Replaces all calls of NVVM intrinsics. Fails on the first that is not known, naming it and its function.
llvm::Error lowerIntrinsics(RuntimeCalls &calls);

} // namespace bpt
