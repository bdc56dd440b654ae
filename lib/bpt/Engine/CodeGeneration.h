// Machine code from LLVM IR.
#pragma once

#include "bpt/Engine/Compiler.h"
#include "llvm/Target/TargetMachine.h"

namespace bpt {
/// The code generator for `options.cpu`; usage error for a name it does not know.
Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const CompileOptions &options);
} // namespace bpt
