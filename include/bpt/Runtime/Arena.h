// The one allocation a program runs in, and the count of what the runtime really allocated.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <string>

namespace bpt {

/// A block of memory, aligned to 64 bytes (2 MiB and huge pages where it is large enough to pay).
class Arena {
public:
  /// No memory.
  Arena() = default;
  Arena(Arena &&other) noexcept;
  Arena &operator=(Arena &&other) noexcept;
  Arena(const Arena &) = delete;
  Arena &operator=(const Arena &) = delete;
  ~Arena();

  /// A block of `bytes`. `what` names it in the error: a refused allocation is exit 4 with the bytes asked for, the
  /// bytes this machine has, and a remedy.
  static Expected<Arena> allocate(int64_t bytes, const std::string &what);

  /// A part of memory that somebody else owns and keeps alive, for what runs in an arena; not counted again.
  static Arena borrow(uint8_t *block, int64_t bytes);

  uint8_t *data() const { return block; }
  int64_t bytes() const { return size; }

private:
  uint8_t *block = nullptr;
  int64_t size = 0;
  bool mapped = false;
  bool borrowed = false;
};

/// Bytes held by arenas and run-time scratch of this process now, and the most there ever were.
int64_t allocatedBytes();
int64_t peakAllocatedBytes();
/// Starts a new peak at what is held now.
void resetPeakAllocatedBytes();

/// Adds to (negative: takes from) the count; for the few allocations that are not an Arena.
void countAllocation(int64_t bytes);

} // namespace bpt
