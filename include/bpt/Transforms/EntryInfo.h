// From a planned function to its description in the manifest.
#pragma once

#include "bpt/Analysis/MemoryPlan.h"
#include "bpt/Runtime/Manifest.h"

namespace bpt {
/// The name the manifest and files use for argument or result `index`: `bpt.name`, else arg<i> / result<i>.
std::string getArgumentName(mlir::func::FuncOp function, unsigned index);
std::string getResultName(mlir::func::FuncOp function, unsigned index);
/// The symbol of the compiled entry of a function: "bpt_entry_" and its name with other characters than letters, digits
/// and _ replaced by _.
std::string getEntrySymbol(llvm::StringRef function);
/// Argument `index`, a ranked tensor or memref. Fails with an error on a type that no tensor file can hold.
mlir::FailureOr<ArgumentInfo> describeArgument(mlir::func::FuncOp function, unsigned index);
/// A manifest with the one entry `function` (bufferized, results not yet dropped) as `plan` says. Fails with an error on an
/// argument or result type that no tensor file can hold.
mlir::FailureOr<Manifest> describeEntry(mlir::func::FuncOp function, const EntryPlan &plan);
} // namespace bpt
