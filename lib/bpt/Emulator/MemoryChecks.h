// Checks in front of loads, stores and atomics.
#pragma once
#include "RuntimeCalls.h"
#include "llvm/Support/Error.h"

namespace bpt {

/// Puts a call of the runtime in front of every access to shared, global or generic memory that is not provably a
/// variable of the thread.
void checkMemoryAccesses(RuntimeCalls &calls);

} // namespace bpt
