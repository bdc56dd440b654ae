// Memory this process can have.
#pragma once
#include <cstdint>
#include <string_view>

namespace bpt {

/// Bytes the system can still give without swapping: what it says is available, and where a cgroup (v2) of this process
/// has a limit, no more than what is left of it. For the target cuda, where there is a driver and a GPU: what is free
/// on the first.
int64_t availableMemory(std::string_view target = "cpu");

/// What a run may take: `given`, or nine tenths of availableMemory(target) where that is 0.
int64_t memoryBudget(int64_t given, std::string_view target);

} // namespace bpt
