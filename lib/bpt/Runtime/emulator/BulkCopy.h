// Bulk copies and tensor copies between global and shared memory (PTX ISA 8.7, 9.7.9.25 to 9.7.9.27).
#pragma once
#include "bpt/Runtime/Emulator.h"
#include <cstdint>
#include <utility>
#include <vector>

namespace bpt::emulator {
class Block;

class BulkCopies {
public:
  explicit BulkCopies(Block &block) : block(block) {}
  void reset();

  void tensorLoad(void *destination, void *barrier, const void *map, uint32_t rank, const int32_t *coordinates,
                  const char *where);
  void tensorStore(const void *map, const void *source, uint32_t rank, const int32_t *coordinates, Reduction reduction,
                   const char *where);
  void load(void *destination, void *barrier, const void *source, uint32_t bytes, const char *where);
  void store(void *destination, const void *source, uint32_t bytes, const char *where);
  void commit();
  void wait(uint32_t pending, bool read);
  void threadEnded();
  const TensorMap &checkMap(const void *map, const char *where);

  bool pending() const { return !loads.empty(); }
  /// Copies are under way that complete on the mbarrier.
  bool pendingFor(uint32_t barrier) const;
  /// Does one of the pending copies; which one, the mode decides.
  void doOne();
  /// Bytes copied since the last call.
  uint64_t takeBytes() { return std::exchange(total, 0); }

private:
  struct Load {
    uint32_t offset, bytes, barrier;
    const TensorMap *map; ///< null: 1-D
    const uint8_t *source;
    int32_t coordinates[5];
    const char *where;
  };
  void issue(Load load, const char *where);
  void perform(const Load &load);
  uint32_t openStore(const char *where);

  Block &block;
  std::vector<Load> loads;
  uint32_t storeSlots = 0;
  uint64_t total = 0;
};

} // namespace bpt::emulator
