// Where accumulator registers of wgmma that may be in flight are used as numbers.
#pragma once
#include "RuntimeCalls.h"
#include "llvm/IR/Instructions.h"
#include <string>

namespace bpt {

/// Finds wgmmas with operands in registers that were written after the last wgmma.fence of their block, and tells the
/// runtime in front of them. Writes in other blocks are left to the check at run time, which wants a fence after each
/// wait.
void checkFences(RuntimeCalls &calls);

/// Finds uses of wgmma results as numbers. Those of results of wgmma itself, and those that values kept in flight by a
/// wait reach over a phi only, get a runtime check in front. For each wait the returned string has one byte a float
/// result: 1 where it is used as a number without a phi between, so that the wait itself must have made it one.
llvm::DenseMap<const llvm::CallInst *, std::string> checkAccumulatorUses(RuntimeCalls &calls);

} // namespace bpt
