// Memory this process can have.
#pragma once
#include <cstdint>

namespace bpt {

/// Bytes the system can still give without swapping: what it says is available, and where a cgroup (v2) of this process has a
/// limit, no more than what is left of it.
int64_t availableMemory();

} // namespace bpt
