// One thread block on one host thread: its fibers, its scheduler, its shared memory, and the units of the
// multiprocessor.
#pragma once
#include "BulkCopy.h"
#include "GlobalMemory.h"
#include "Mbarrier.h"
#include "NamedBarrier.h"
#include "Ordering.h"
#include "Shadow.h"
#include "Warp.h"
#include "Wgmma.h"
#include "bpt/Runtime/Emulator.h"
#include <set>
#include <string>
#include <vector>

namespace bpt::emulator {

/// What a thread that cannot go on waits for.
enum class Waiting : uint8_t { Nothing, Mbarrier, NamedBarrier, Warp, Wgmma, Polling };

/// A GPU thread.
struct Thread {
  void *context = nullptr; ///< where its fiber goes on
  uint32_t index = 0;
  bool done = false;
  Waiting waiting = Waiting::Nothing;
  uint32_t object = 0; ///< which mbarrier, barrier
  uint64_t value = 0;  ///< the parity it waits for, what it got from a collective
  const char *where = "";
  uint32_t registers = 0; ///< by setmaxnreg, 0: as launched
  const char *registersWhere = "";
  uint64_t knownMbarriers = 0; ///< whose initialisation is known to be ordered before, by index
  // Bulk stores.
  uint32_t storesOpen = 0, storeGroups = 0, storeGroupsRead = 0;
  int storeSlot = -1;
  WgmmaThread wgmma;
};

/// Pseudo-random numbers (xorshift64*); the same on every machine.
class Random {
public:
  void seed(uint64_t value) {
    state = value * 0x9E3779B97F4A7C15ull + 0x2545F4914F6CDD1Dull;
    next();
  }
  uint64_t next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return state * 0x2545F4914F6CDD1Dull >> 16;
  }
  uint32_t below(uint32_t n) { return uint32_t(next() % n); }

private:
  uint64_t state = 1;
};

class Block {
public:
  Block();
  ~Block();
  Block(const Block &) = delete;

  /// Runs block number `index` of the grid; false if it got stuck or was given up.
  bool run(const Launch &launch, const Options &options, uint64_t index,
           const std::vector<GlobalMemory::Impl::Region *> &regions);

  /// The block that the calling fiber belongs to.
  static Block &current();

  // For the units.
  Thread &self() { return *running; }
  const Thread &self() const { return *running; }
  uint32_t threadCount() const { return count; }
  /// Suspends the running thread until `wake`.
  void suspend(Waiting kind, uint32_t object, const char *where);
  void wake(uint32_t thread);
  /// Lets others run until something has happened; gives the block up if nothing can.
  void poll(const char *where);
  /// Something happened that a polling thread may see.
  void progress() { ++events; }

  /// A finding of the running thread (once for each kind and place).
  void report(ReportKind kind, const char *where, std::string text);
  /// A finding of another thread, or of none (-1).
  void reportAs(int thread, ReportKind kind, const char *where, std::string text);
  /// A finding after which the block cannot go on.
  [[noreturn]] void fail(ReportKind kind, const char *where, std::string text);

  /// Offset in the window of a shared address; fails unless [address, address + bytes) is dynamic shared memory and
  /// aligned.
  uint32_t sharedOffset(const void *address, uint64_t bytes, uint32_t alignment, const char *where, const char *what);
  bool inWindow(const void *address) const {
    return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(window) < windowBytes;
  }
  bool onStack(const void *address) const;
  /// The offset as the kernel sees it: from the start of its dynamic shared memory.
  static std::string name(uint32_t offset);

  uint8_t *window = nullptr; ///< windowBytes, aligned to as much
  uint32_t sharedBytes = 0;  ///< of dynamic shared memory, from window + reservedBytes
  std::array<uint32_t, 3> position{};
  const Launch *launch = nullptr;
  const Options *options = nullptr;
  const std::vector<GlobalMemory::Impl::Region *> *regions = nullptr; ///< registered global memory, by base
  GlobalMemory::Impl::Region *lastRegion = nullptr;
  std::vector<Thread> threads;
  Random random;
  Ordering ordering;
  Shadow shadow;
  Mbarriers mbarriers;
  NamedBarriers barriers;
  Warps warps;
  WgmmaUnit wgmma;
  BulkCopies copies;
  std::vector<Report> reports;
  uint64_t reportCount = 0;

private:
  friend struct FiberEntry;
  void runThread();
  Thread *next();
  void switchTo(Thread *thread);
  [[noreturn]] void leave();
  void reportStuck();
  void checkRegisters();

  uint32_t count = 0, alive = 0;
  Thread *running = nullptr;
  void *hostContext = nullptr;
  bool stuck = false;
  std::vector<uint16_t> ready; ///< a ring of a power of two
  uint32_t readyHead = 0, readySize = 0;
  std::vector<uint16_t> polling;
  uint64_t events = 0, eventsPolled = 0;
  uint8_t *stacks = nullptr;
  std::set<std::pair<int, std::string>> reported;
};

} // namespace bpt::emulator
