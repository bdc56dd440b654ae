// What is known about each byte of a block's shared memory: who wrote and read it last, and how. 16 bytes (a granule)
// is the unit of the async proxy, 4 bytes (a word) that of generic accesses.
#pragma once
#include "Ordering.h"
#include <cstdint>
#include <vector>

namespace bpt::emulator {
class Block;

constexpr uint32_t windowBytes = 1u << 18; ///< shared addresses have 18 bits in descriptors
constexpr uint32_t reservedBytes = 1024;   ///< the hardware keeps the first KiB of a block's shared memory
constexpr uint32_t maxDynamicBytes =
    227 * 1024; ///< a block may ask for (CUDA C++ Programming Guide, compute capability 9.0)

/// What one asynchronous operation needs to know before it may read a set of granules: collected once, checked for
/// each thread.
struct ReadNeeds {
  /// Phases of mbarriers that must have been observed: copies completed by them wrote the granules.
  struct Copy {
    uint32_t barrier, phase, granule;
  };
  std::vector<Copy> copies;
  /// Per thread of the block the last generic write to the granules, 0 for none; `writers` lists the threads.
  std::vector<uint32_t> written;
  std::vector<uint32_t> writers;
  uint32_t uninitialised = ~0u; ///< first granule with bytes that nobody wrote
  void clear();
};

/// Offsets are from the start of the window. The functions report through the block, as the running thread.
class Shadow {
public:
  explicit Shadow(Block &block);
  /// Forgets everything; `bytes` of dynamic shared memory.
  void reset(uint32_t bytes);

  // The generic proxy.
  void read(uint32_t offset, uint32_t bytes, const char *where);
  void write(uint32_t offset, uint32_t bytes, bool atomic, const char *where);

  // The async proxy.
  /// The running thread issues a copy into the range that mbarrier `barrier` completes with its phase `phase`.
  void copyInto(uint32_t offset, uint32_t bytes, uint32_t barrier, uint32_t phase, const char *where);
  /// The running thread issues a bulk store from the range, its store group `group` of slot `slot`.
  void storeFrom(uint32_t offset, uint32_t bytes, uint32_t slot, uint32_t group, const char *where);
  /// A wgmma of group `group` of the warpgroup reads the granule.
  void wgmmaReads(uint32_t granule, uint32_t warpgroup, uint32_t group, ReadNeeds &needs);
  /// Reports what `thread` does not know of `needs`; true if it knows everything.
  bool check(const ReadNeeds &needs, uint32_t thread, const char *what, const char *where);

  /// The 8 bytes hold an mbarrier from now on, or no more.
  void setMbarrier(uint32_t offset, bool present);

private:
  struct Word {
    uint32_t writeTime, readTime;
    uint16_t writer, reader;
    uint16_t readers;  ///< 1 + index into `readVectors` when several threads read
    uint8_t writeMask; ///< bytes of the last write
    uint8_t atomic;    ///< the last write was one
  };

  void openWords(uint32_t granule);
  void collect(uint32_t granule, ReadNeeds &needs);
  /// What the running thread knows, asked again and again during one operation.
  class Knowledge {
  public:
    explicit Knowledge(const Block &block);
    uint32_t of(uint32_t component);

  private:
    const Block &block;
    uint32_t self, next = 0;
    struct Entry {
      uint32_t component, value;
    } entries[4];
  };
  void checkAsyncReaders(uint32_t granule, Knowledge &known, const char *what, const char *where);
  void checkWordWrite(Word &word, uint32_t offset, uint8_t mask, bool atomic, const char *where);
  void checkWordOverwritten(Word &word, uint32_t offset, const char *where);
  bool readersBefore(const Word &word, uint32_t &reader) const;
  void recordRead(Word &word);

  Block &block;
  uint32_t granules = 0; ///< in use
  std::vector<uint16_t> initialised;
  std::vector<uint8_t> flags;
  std::vector<uint8_t> copyBarrier; ///< 1 + mbarrier whose phase completes the last copy into the granule, 0: none
  std::vector<uint32_t> copyPhase;
  std::vector<uint32_t> wgmmaGroup[maxWarpgroups]; ///< last group that reads the granule, 0: none
  std::vector<uint8_t> storeSlot;                  ///< 1 + slot of the last bulk store that reads it
  std::vector<uint32_t> storeGroup;
  std::vector<Word> words;
  std::vector<std::vector<uint32_t>> readVectors; ///< last read of each thread
  std::vector<uint16_t> freeVectors;
  ReadNeeds scratch;
};

} // namespace bpt::emulator
