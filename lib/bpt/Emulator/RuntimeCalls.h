// Builds calls of the emulator's runtime (EmulatorABI.def) with the types it wants.
#pragma once
#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"

namespace bpt {

class RuntimeCalls {
public:
  explicit RuntimeCalls(llvm::Module &module) : module(module) {}

  /// Calls function `name` of EmulatorABI.def. Arguments are converted: pointers to the generic address space, integers
  /// to pointers and to the wanted width (unsigned), floats to their bits where integers are wanted.
  llvm::Value *call(llvm::IRBuilderBase &builder, llvm::StringRef name, llvm::ArrayRef<llvm::Value *> arguments);

  /// A string that names `instruction` in reports: its debug location or function and ordinal, and `what`.
  llvm::Constant *location(const llvm::Instruction &instruction, llvm::StringRef what);

  /// A private constant of these bytes.
  llvm::Constant *bytes(llvm::StringRef content);

  /// `value` as `type`, bit for bit; integers are extended with zeros or cut.
  static llvm::Value *convert(llvm::IRBuilderBase &builder, llvm::Value *value, llvm::Type *type);

  llvm::Module &module;

private:
  llvm::FunctionCallee declare(llvm::StringRef name);

  llvm::DenseMap<const llvm::Function *, unsigned> ordinals;
  llvm::StringMap<llvm::Constant *> constants;
};

} // namespace bpt
