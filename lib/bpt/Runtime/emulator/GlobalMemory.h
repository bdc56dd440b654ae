// Registered global memory: bounds, and which bytes have been written.
#pragma once
#include "bpt/Runtime/Emulator.h"
#include <atomic>
#include <map>
#include <memory>
#include <shared_mutex>
#include <vector>

namespace bpt::emulator {
class Block;

enum class Access { Read, Write, Atomic };

/// Fails if [address, address + bytes) is in no registered region, reports reads of bytes that nobody wrote, and marks
/// writes. Nothing happens when the launch has no GlobalMemory.
void checkGlobal(Block &block, const void *address, uint64_t bytes, Access access, const char *where);

struct GlobalMemory::Impl {
  struct Region {
    uintptr_t base = 0;
    size_t bytes = 0;
    std::string name;
    /// One bit a byte; null: all are initialised. Blocks on several host threads set bits of the same word.
    std::unique_ptr<std::atomic<uint64_t>[]> written;
  };
  /// The region that holds `address`, or null. The mutex must be held.
  Region *find(uintptr_t address);
  /// All regions by base, for a launch: they stay where they are until they are removed.
  std::vector<Region *> list();

  std::shared_mutex mutex;
  std::map<uintptr_t, Region> regions; ///< by base
};

/// Sets the bits of bytes [from, to).
void markWritten(GlobalMemory::Impl::Region &region, size_t from, size_t to);
/// The first byte of [from, to) that nobody wrote, or `to`.
size_t firstUnwritten(const GlobalMemory::Impl::Region &region, size_t from, size_t to);

} // namespace bpt::emulator
