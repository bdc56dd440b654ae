// Machine code from LLVM IR.
#pragma once

#include "bpt/Engine/Compiler.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetMachine.h"

namespace bpt {
struct TargetInfo; // bpt/Analysis/TargetInfo.h

/// `options.cpu`; where that is `native` and a measurement says that matrix tiles pay here, `native+amx`.
std::string getCpuName(const CompileOptions &options);
/// The machine of that name; usage error for one that nobody knows.
Expected<TargetInfo> getTargetInfo(const CompileOptions &options);
/// The code generator for `options.cpu`; usage error for a name it does not know.
Expected<std::unique_ptr<llvm::TargetMachine>> createTargetMachine(const CompileOptions &options);
/// Runs the passes that `build` makes. `machine`: what costs are those of; null: of none.
void runLLVMPasses(llvm::Module &module, llvm::TargetMachine *machine,
                   llvm::function_ref<llvm::ModulePassManager(llvm::PassBuilder &)> build);

/// Machine code or assembly text of an optimised module.
Expected<std::string> emitFile(llvm::Module &module, llvm::TargetMachine &machine, llvm::CodeGenFileType type);
} // namespace bpt
