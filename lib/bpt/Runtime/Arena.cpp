// Arena memory from mmap (large: huge pages where the system gives them) or the heap (small: exact size), and its
// count.
#include "bpt/Runtime/Arena.h"
#include "bpt/Runtime/Packer.h"
#include "bpt/Runtime/Sizes.h"
#include <atomic>
#include <cstdlib>
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>
#include <utility>

namespace bpt {

namespace {

constexpr int64_t hugePage = 2 << 20;
/// Below this a mapping's rounding to pages would be a visible part of the arena, and huge pages do not pay.
constexpr int64_t mappedFrom = 2 * hugePage;

std::atomic<int64_t> heldBytes{0};
std::atomic<int64_t> peakBytes{0};

int64_t machineBytes() {
  return static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<int64_t>(::sysconf(_SC_PAGESIZE));
}

/// `bytes` of zeroed memory aligned to a huge page; null when refused.
uint8_t *mapAligned(int64_t bytes) {
  auto mapBytes = static_cast<size_t>(bytes + hugePage);
  void *mapping = ::mmap(nullptr, mapBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    return nullptr;
  auto begin = reinterpret_cast<uintptr_t>(mapping);
  uintptr_t aligned = (begin + hugePage - 1) / hugePage * hugePage;
  auto pageSize = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  uintptr_t end = aligned + (static_cast<uintptr_t>(bytes) + pageSize - 1) / pageSize * pageSize;
  if (aligned > begin)
    ::munmap(mapping, aligned - begin);
  if (begin + mapBytes > end)
    ::munmap(reinterpret_cast<void *>(end), begin + mapBytes - end);
  // Only a hint: without it the arena works with small pages.
  ::madvise(reinterpret_cast<void *>(aligned), static_cast<size_t>(bytes), MADV_HUGEPAGE);
  return reinterpret_cast<uint8_t *>(aligned);
}

} // namespace

Arena::Arena(Arena &&other) noexcept
    : block(std::exchange(other.block, nullptr)), size(std::exchange(other.size, 0)),
      mapped(std::exchange(other.mapped, false)), borrowed(std::exchange(other.borrowed, false)) {}

Arena &Arena::operator=(Arena &&other) noexcept {
  std::swap(block, other.block);
  std::swap(size, other.size);
  std::swap(mapped, other.mapped);
  std::swap(borrowed, other.borrowed);
  return *this;
}

Arena::~Arena() {
  if (!block || borrowed)
    return;
  countAllocation(-size);
  if (mapped)
    ::munmap(block, static_cast<size_t>(size));
  else
    std::free(block);
}

Expected<Arena> Arena::allocate(int64_t bytes, const std::string &what) {
  if (bytes == 0)
    return Arena();
  Expected<int64_t> rounded = alignedSize(bytes);
  if (!rounded)
    return rounded.error().in(what);
  // The system may promise more than the machine has and kill the process later: say no now.
  int64_t machine = machineBytes();
  Arena arena;
  arena.size = *rounded;
  arena.mapped = *rounded >= mappedFrom;
  if (*rounded <= machine)
    arena.block = arena.mapped
                      ? mapAligned(*rounded)
                      : static_cast<uint8_t *>(std::aligned_alloc(arenaAlignment, static_cast<size_t>(*rounded)));
  if (!arena.block)
    return outOfMemory(
        fmt::format("cannot allocate {} ({} bytes) for {}: this machine has {} and the process holds {}; "
                    "use smaller blocks or batches, keep fewer activations, or use fewer threads",
                    formatBytes(*rounded), *rounded, what, formatBytes(machine), formatBytes(allocatedBytes())));
  countAllocation(*rounded);
  return arena;
}

Arena Arena::borrow(uint8_t *block, int64_t bytes) {
  Arena arena;
  arena.block = block;
  arena.size = bytes;
  arena.borrowed = true;
  return arena;
}

int64_t allocatedBytes() { return heldBytes; }
int64_t peakAllocatedBytes() { return peakBytes; }
void resetPeakAllocatedBytes() { peakBytes = heldBytes.load(); }

void countAllocation(int64_t bytes) {
  int64_t now = heldBytes += bytes;
  int64_t peak = peakBytes;
  while (now > peak && !peakBytes.compare_exchange_weak(peak, now)) {
  }
}

} // namespace bpt
