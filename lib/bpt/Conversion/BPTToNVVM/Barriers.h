// mbarriers in shared memory, and rings of shared-memory stages that a producer fills and consumers release.
#pragma once

#include "KernelBuilder.h"

namespace bpt::hopper {

/// The mbarriers of a kernel, 8 bytes each from `offset` of shared memory. Barriers are taken first, then initialised
/// by one thread, then used.
class BarrierTable {
public:
  using Value = mlir::Value;
  BarrierTable(KernelBuilder &e, int64_t offset) : e(e), offset(offset) {}

  /// Reserves `count` barriers of `arrivals` arrivals each; returns the number of the first.
  int64_t take(int64_t count, int64_t arrivals);
  int64_t getCount() const { return static_cast<int64_t>(arrivals.size()); }
  /// Emits the initialisation of all that were taken, and the fence that shows it to the TMA unit. One thread runs it;
  /// the block synchronises afterwards.
  void emitInit();

  /// Address of barrier `number` (+ a run-time `index`).
  Value get(int64_t number) { return e.getShared(offset + 8 * number); }
  Value get(int64_t number, Value index);

  /// Waits until the phase of this parity (i32, 0 first) is complete. Waiting for parity 1 of a fresh barrier returns
  /// at once.
  void wait(Value barrier, Value parity);
  void arrive(Value barrier);
  /// Arrives, and expects `bytes` from the TMA unit before the phase completes.
  void arriveExpecting(Value barrier, int64_t bytes);

private:
  KernelBuilder &e;
  int64_t offset;
  llvm::SmallVector<int64_t> arrivals;
};

/// The place of iteration `counter` in a ring: its stage and the parity of its turn.
struct RingSlot {
  mlir::Value stage, parity;
};

/// A ring of stages. The producer: acquire, arriveExpecting(getFull), loads that complete on getFull. Each consumer
/// warp: waitFull, reads, release.
class Ring {
public:
  using Value = mlir::Value;
  /// `consumerWarps` warps release each stage.
  Ring(KernelBuilder &e, BarrierTable &barriers, int64_t stages, int64_t consumerWarps)
      : e(e), barriers(barriers), stages(stages), full(barriers.take(stages, 1)),
        empty(barriers.take(stages, consumerWarps)) {}

  /// The slot of the `counter`-th use (i32 from 0, over the whole life of the kernel).
  RingSlot getSlot(Value counter);
  /// Waits until the stage has been released; the first use of each stage does not wait.
  void acquire(const RingSlot &slot) { barriers.wait(barriers.get(empty, slot.stage), e.bitXor(slot.parity, 1)); }
  Value getFull(const RingSlot &slot) { return barriers.get(full, slot.stage); }
  void waitFull(const RingSlot &slot) { barriers.wait(getFull(slot), slot.parity); }
  /// One lane of the warp arrives for it; every read of the stage by the warp must be complete.
  void release(const RingSlot &slot);

private:
  KernelBuilder &e;
  BarrierTable &barriers;
  int64_t stages, full, empty;
};

} // namespace bpt::hopper
