// Memory this process can have.
#pragma once
#include <cstdint>

namespace bpt {

/// Bytes the system can still give without swapping: what it says is available, and where a cgroup (v2) of this process has a
/// limit, no more than what is left of it.
int64_t availableMemory();

/// What a run may take: `given`, or nine tenths of availableMemory() where that is 0.
int64_t memoryBudget(int64_t given);

} // namespace bpt
