// Named barriers: counts and ids as the hardware wants them.
#include "Block.h"
#include <algorithm>
#include <fmt/format.h>

namespace bpt::emulator {

void NamedBarriers::reset() {
  barriers.resize(maxNamedBarriers);
  for (Barrier &barrier : barriers) {
    barrier.arrived = barrier.expected = barrier.completions = 0;
    barrier.arrivedThreads.assign(block.threadCount(), false);
    barrier.waiters.clear();
  }
}

std::string NamedBarriers::describe(uint32_t id) const {
  return fmt::format("barrier {} ({} of {} threads arrived)", id, barriers[id].arrived, barriers[id].expected);
}

/// Arrives; true if that completed the barrier.
bool NamedBarriers::join(uint32_t id, uint32_t count, const char *where) {
  uint32_t self = block.self().index;
  if (id >= maxNamedBarriers)
    block.fail(ReportKind::BarrierMisuse, where, fmt::format("expected a barrier id in [0, 15], but got {}", id));
  if (count == 0)
    count = block.threadCount();
  else if (count % 32 || count > (block.threadCount() + 31) / 32 * 32)
    block.fail(ReportKind::BarrierMisuse, where,
               fmt::format("expected a thread count that is a multiple of 32 and at most the block's {}, but got {}",
                           block.threadCount(), count));
  Barrier &barrier = barriers[id];
  if (barrier.arrived == 0)
    barrier.expected = count;
  else if (barrier.expected != count)
    block.report(
        ReportKind::BarrierMisuse, where,
        fmt::format("barrier {} is awaited for {} threads here and for {} elsewhere", id, count, barrier.expected));
  // Who does not know that the last phase is over may as well count for that one.
  if (block.ordering.known(self, block.ordering.completions(id)) < barrier.completions)
    block.report(ReportKind::BarrierMisuse, where,
                 fmt::format("nothing orders this arrival behind the last completion of barrier {}: it might have "
                             "counted for that one",
                             id));
  block.ordering.release(self, Ordering::namedBarrier(id));
  if (++barrier.arrived < barrier.expected)
    return false;
  barrier.arrived = 0;
  std::fill(barrier.arrivedThreads.begin(), barrier.arrivedThreads.end(), false);
  block.ordering.setComponent(Ordering::namedBarrier(id), block.ordering.completions(id), ++barrier.completions);
  block.ordering.publish(Ordering::namedBarrier(id));
  block.progress();
  for (uint16_t thread : barrier.waiters)
    block.wake(thread);
  barrier.waiters.clear();
  return true;
}

void NamedBarriers::arrive(uint32_t id, uint32_t count, const char *where) {
  // To arrive and then to wait at the same phase is in use (FlashAttention-3 starts its first warpgroup that way); to
  // arrive twice lets a phase end without somebody it is meant to wait for.
  uint32_t self = block.self().index;
  if (id < maxNamedBarriers && barriers[id].arrivedThreads[self])
    block.report(ReportKind::BarrierMisuse, where, fmt::format("arrives twice before {} is complete", describe(id)));
  if (!join(id, count, where))
    barriers[id].arrivedThreads[self] = true;
}

void NamedBarriers::sync(uint32_t id, uint32_t count, const char *where) {
  if (!join(id, count, where)) {
    barriers[id].waiters.push_back(uint16_t(block.self().index));
    block.suspend(Waiting::NamedBarrier, id, where);
  }
  block.ordering.acquire(block.self().index, Ordering::namedBarrier(id));
}

} // namespace bpt::emulator
