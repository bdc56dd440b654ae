// mbarrier objects (PTX ISA 8.7, 9.7.13.15).
#pragma once
#include <cstdint>
#include <vector>

namespace bpt::emulator {
class Block;

class Mbarriers {
public:
  explicit Mbarriers(Block &block) : block(block) {}
  void reset();

  void initialise(void *address, uint32_t count, const char *where);
  void invalidate(void *address, const char *where);
  /// Arrives `arrivals` times after expecting `bytes` more; with `drop` also from the next phase on. Returns the
  /// state of the phase.
  uint64_t arrive(void *address, uint32_t arrivals, uint32_t bytes, bool drop, const char *where);
  void expect(void *address, uint32_t bytes, const char *where);
  void complete(void *address, uint32_t bytes, const char *where);
  /// Waits for the phase of `state`; without `suspend` it just tells.
  bool wait(void *address, uint64_t state, bool parity, bool suspend, const char *where);

  /// The index of the mbarrier a copy is to complete on, checked for use by the async proxy.
  uint32_t forCopy(void *address, const char *where);
  uint32_t phase(uint32_t index) const { return barriers[index].phase; }
  /// `bytes` of a copy have arrived.
  void copied(uint32_t index, uint32_t bytes);
  /// The generic writer of these bytes has written over an mbarrier.
  void overwritten(uint32_t offset, const char *where);

  /// All mbarriers initialised by the running thread may be used by the async proxy.
  void fenceInitialisation();
  /// "mbarrier 0 at ..: phase .., .. of .. arrivals, .. bytes", for stuck blocks.
  std::string describe(uint32_t index) const;
  /// Reports expected bytes that nothing will bring.
  void checkStuck();
  void checkEnd();

private:
  struct Barrier {
    bool live = false, fenced = false;
    uint32_t offset = 0;
    int32_t expected = 0, pending = 0;
    int64_t bytes = 0;
    uint32_t phase = 0;                          ///< phases completed
    uint32_t copyPhases = 0, observedPhases = 0; ///< up to the last with a copy, the last that somebody waited for
    uint32_t initThread = 0, initTime = 0;
    const char *where = "";
    std::vector<uint16_t> waiters;
  };
  uint32_t find(void *address, const char *where, const char *what);
  void settle(uint32_t index, const char *where);

  Block &block;
  std::vector<Barrier> barriers;
};

} // namespace bpt::emulator
