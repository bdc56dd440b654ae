// The 16 named barriers of a block (PTX ISA 8.7, 9.7.13.1).
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bpt::emulator {
class Block;

class NamedBarriers {
public:
  explicit NamedBarriers(Block &block) : block(block) {}
  void reset();
  /// `count` 0: every thread of the block.
  void sync(uint32_t id, uint32_t count, const char *where);
  void arrive(uint32_t id, uint32_t count, const char *where);
  std::string describe(uint32_t id) const;

private:
  struct Barrier {
    uint32_t expected = 0, arrived = 0;
    uint32_t completions = 0; ///< since the start of the block
    std::vector<bool> arrivedThreads;
    std::vector<uint16_t> waiters;
  };
  bool join(uint32_t id, uint32_t count, const char *where);

  Block &block;
  std::vector<Barrier> barriers;
};

} // namespace bpt::emulator
