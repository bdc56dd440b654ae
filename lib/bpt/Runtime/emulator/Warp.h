// Collectives of a warp: shuffles, votes, matrix loads and stores, and the warp barrier.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace bpt::emulator {
class Block;

enum class Collective : uint8_t {
  Sync,
  ShuffleUp,
  ShuffleDown,
  ShuffleButterfly,
  ShuffleIndex,
  Elect,
  VoteAll,
  VoteAny,
  VoteUniform,
  VoteBallot,
  MatchAny,
  MatchAll,
  Redux,
  StoreMatrix,
  LoadMatrix,
  SetRegisters
};

class Warps {
public:
  explicit Warps(Block &block) : block(block) {}
  void reset(uint32_t warps);

  /// Brings `value` and waits until all threads of `mask` that still run have brought theirs; returns the 32 values,
  /// which stay valid until the thread's next collective. Collectives that are `aligned` must come from the same
  /// instruction.
  const uint64_t *exchange(Collective kind, uint32_t mask, uint64_t value, bool aligned, const char *where);
  /// A thread has ended: nobody waits for it any more.
  void threadEnded(uint32_t thread);
  std::string describe(uint32_t warp) const;

private:
  struct Meeting {
    bool open = false;
    Collective kind = Collective::Sync;
    uint32_t mask = 0, arrived = 0, left = 0;
    const char *where = "";
    uint64_t values[32];
  };
  void close(uint32_t warp, Meeting &meeting);

  Block &block;
  /// Per warp: a few meetings at a time; lanes that are still reading a finished one keep it.
  std::vector<std::vector<Meeting>> meetings;
  std::vector<uint32_t> ended;
};

} // namespace bpt::emulator
