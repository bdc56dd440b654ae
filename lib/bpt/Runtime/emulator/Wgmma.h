// Warpgroup matrix products (PTX ISA 8.7, 9.7.15).
//
// A thread that issues a wgmma leaves its part of the operands and goes on; the last of the 128 threads computes the
// product. Accumulator registers hold tags until a wait of the group replaces them: so a value used too early is seen
// in every mode, and a chain of wgmmas never moves its accumulators between the matrix and the fragments of the
// threads.
#pragma once
#include "Shadow.h"
#include "bpt/Runtime/EmulatorABI.h"
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bpt::emulator {
class Block;

/// What a thread knows about its own wgmmas.
struct WgmmaThread {
  uint32_t issued = 0;             ///< operations
  uint32_t uncommitted = 0;        ///< operations since the last commit
  uint32_t committed = 0;          ///< groups
  uint32_t finished = 0;           ///< groups waited for
  uint32_t lastOperation[64] = {}; ///< 1 + number of the last operation of a group, by group modulo 64
  bool fenced = false;
};

class WgmmaUnit {
public:
  explicit WgmmaUnit(Block &block);
  ~WgmmaUnit();
  void reset(uint32_t threads);

  void issue(float *accumulators, const WgmmaShape &shape, const uint32_t *a, uint64_t aDescriptor,
             uint64_t bDescriptor, const char *where);
  void fence();
  void commit();
  void wait(uint32_t pending, float *registers, uint32_t count, const uint8_t *used, const char *where);
  /// The number behind a register that is used without a wait that covers it.
  float use(float value, const char *where);
  void threadEnded();
  std::string describe(uint32_t thread) const;

  uint64_t operations() const { return executed; }

private:
  struct Accumulator {
    std::vector<float> values; ///< 64 rows of n
    uint32_t n = 0, resolved = 0;
    bool used = false;
    uint64_t age = 0;
  };
  /// What the tags of one operation's result stand for.
  struct Result {
    bool live = false, ready = false, consumed = false;
    uint8_t warpgroup = 0;
    uint32_t accumulator = 0, group = 0, age = 0;
  };
  struct Operation;
  struct Warpgroup;

  Accumulator &newAccumulator(uint32_t n, uint32_t &index);
  Operation &begin(Warpgroup &warpgroup, uint32_t number, const WgmmaShape &shape, uint64_t a, uint64_t b,
                   bool registers, uint32_t group, const char *where);
  void takeAccumulators(Operation &operation, const float *registers, uint32_t lane, const char *where);
  void collectOperands(Operation &operation, uint32_t warpgroup);
  void execute(Warpgroup &warpgroup, Operation &operation);
  Result *result(float value, uint32_t &registerIndex);
  using Bits = uint32_t __attribute__((may_alias)); ///< registers hold numbers or tags
  uint32_t resolve(Result &result, uint32_t registerIndex, Bits *bits, uint32_t count, uint32_t lane);

  Block &block;
  std::vector<std::unique_ptr<Warpgroup>> warpgroups;
  std::vector<std::unique_ptr<Accumulator>> accumulators;
  std::vector<Result> results; ///< by tag number
  uint32_t nextTag = 1, tagsUsed = 1;
  uint64_t executed = 0, ages = 0;
};

} // namespace bpt::emulator
