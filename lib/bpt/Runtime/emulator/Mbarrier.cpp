// mbarrier objects: phases, arrivals, transactions, and what their waits order.
#include "Block.h"
#include <algorithm>
#include <fmt/format.h>

namespace bpt::emulator {

/// Limits of the counts (PTX ISA 8.7, 9.7.13.15.2).
constexpr uint32_t maxArrivals = (1u << 20) - 1;
constexpr int64_t maxTransactions = (1 << 20) - 1;

void Mbarriers::reset() { barriers.clear(); }

std::string Mbarriers::describe(uint32_t index) const {
  const Barrier &barrier = barriers[index];
  return fmt::format("mbarrier {} (phase {}, {} of {} arrivals, {} bytes to come)", Block::name(barrier.offset),
                     barrier.phase, barrier.expected - barrier.pending, barrier.expected, barrier.bytes);
}

void Mbarriers::initialise(void *address, uint32_t count, const char *where) {
  uint32_t offset = block.sharedOffset(address, 8, 8, where, "the mbarrier");
  if (count == 0 || count > maxArrivals)
    block.report(ReportKind::BadMbarrier, where,
                 fmt::format("expected a count in [1, {}], but got {}", maxArrivals, count));
  auto same =
      std::find_if(barriers.begin(), barriers.end(), [&](const Barrier &other) { return other.offset == offset; });
  if (same != barriers.end() && same->live)
    block.report(
        ReportKind::BadMbarrier, where,
        fmt::format("the mbarrier {} is initialised twice without mbarrier.inval between", Block::name(offset)));
  if (same == barriers.end()) {
    if (barriers.size() == maxMbarriers)
      block.fail(ReportKind::Unsupported, where, fmt::format("more than {} mbarriers in a block", maxMbarriers));
    same = barriers.emplace(barriers.end());
  }
  // The bytes belong to the object from here on; the write itself is an ordinary one.
  block.shadow.setMbarrier(offset, false);
  block.shadow.write(offset, 8, false, where);
  block.shadow.setMbarrier(offset, true);
  // Components of the ordering never go back, so a reused object goes on counting, from an even phase.
  uint32_t phase = (same->phase + 1) & ~1u;
  for (Thread &thread : block.threads)
    thread.knownMbarriers &= ~(uint64_t(1) << (same - barriers.begin()));
  *same = Barrier();
  same->live = true;
  same->offset = offset;
  same->expected = same->pending = int32_t(count);
  same->phase = phase;
  same->copyPhases = same->observedPhases = phase;
  same->initThread = block.self().index;
  same->initTime = block.ordering.now();
  same->where = where;
}

uint32_t Mbarriers::find(void *address, const char *where, const char *what) {
  uint32_t offset = block.sharedOffset(address, 8, 8, where, "the mbarrier");
  for (uint32_t index = 0; index < barriers.size(); ++index)
    if (barriers[index].offset == offset) {
      const Barrier &barrier = barriers[index];
      if (!barrier.live)
        break;
      Thread &self = block.self();
      uint64_t bit = uint64_t(1) << index;
      if (self.knownMbarriers & bit || self.index == barrier.initThread)
        return index;
      self.knownMbarriers |= bit;
      if (block.ordering.known(self.index, barrier.initThread) < barrier.initTime)
        block.report(ReportKind::BadMbarrier, where,
                     fmt::format("{} of mbarrier {}: nothing orders its initialisation by thread {} before", what,
                                 Block::name(offset), barrier.initThread));
      return index;
    }
  block.fail(ReportKind::BadMbarrier, where,
             fmt::format("{} of {}, which is no initialised mbarrier", what, Block::name(offset)));
}

void Mbarriers::invalidate(void *address, const char *where) {
  Barrier &barrier = barriers[find(address, where, "mbarrier.inval")];
  barrier.live = false;
  block.shadow.setMbarrier(barrier.offset, false);
}

void Mbarriers::overwritten(uint32_t offset, const char *where) {
  for (Barrier &barrier : barriers)
    if (barrier.live && barrier.offset == offset)
      block.report(ReportKind::BadMbarrier, where, fmt::format("overwrites the mbarrier {}", Block::name(offset)));
}

/// Ends the phase if nothing is missing.
void Mbarriers::settle(uint32_t index, const char *where) {
  Barrier &barrier = barriers[index];
  if (barrier.pending < 0) {
    block.report(ReportKind::TooManyArrivals, where,
                 fmt::format("more arrivals than the {} of {}", barrier.expected, describe(index)));
    barrier.pending = 0;
  }
  if (barrier.bytes > maxTransactions || barrier.bytes < -maxTransactions)
    block.report(ReportKind::BadMbarrier, where,
                 fmt::format("more than {} bytes pending on {}", maxTransactions, describe(index)));
  if (barrier.pending > 0 || barrier.bytes != 0)
    return;
  ++barrier.phase;
  barrier.pending = barrier.expected;
  uint32_t object = Ordering::mbarrier(index);
  block.ordering.setComponent(object, block.ordering.phases(index), barrier.phase);
  block.ordering.publish(object);
  block.progress();
  for (uint16_t thread : barrier.waiters)
    block.wake(thread);
  barrier.waiters.clear();
}

uint64_t Mbarriers::arrive(void *address, uint32_t arrivals, uint32_t bytes, bool drop, const char *where) {
  uint32_t index = find(address, where, "mbarrier.arrive");
  Barrier &barrier = barriers[index];
  uint64_t state = barrier.phase;
  block.ordering.release(block.self().index, Ordering::mbarrier(index));
  barrier.bytes += bytes;
  barrier.pending -= int32_t(arrivals);
  if (drop)
    barrier.expected -= int32_t(arrivals);
  settle(index, where);
  return state;
}

void Mbarriers::expect(void *address, uint32_t bytes, const char *where) {
  barriers[find(address, where, "mbarrier.expect_tx")].bytes += bytes;
}

void Mbarriers::complete(void *address, uint32_t bytes, const char *where) {
  uint32_t index = find(address, where, "mbarrier.complete_tx");
  barriers[index].bytes -= bytes;
  settle(index, where);
}

bool Mbarriers::wait(void *address, uint64_t state, bool parity, bool suspend, const char *where) {
  uint32_t index = find(address, where, suspend ? "mbarrier.try_wait" : "mbarrier.test_wait");
  auto complete = [&] {
    const Barrier &barrier = barriers[index];
    return parity ? (barrier.phase & 1) != (state & 1) : barrier.phase > state;
  };
  if (!suspend && !complete()) {
    block.poll(where);
    if (!complete())
      return false;
  }
  while (!complete()) {
    barriers[index].waiters.push_back(uint16_t(block.self().index));
    block.self().value = state & 1;
    block.suspend(Waiting::Mbarrier, index, where);
  }
  barriers[index].observedPhases = barriers[index].phase;
  block.ordering.acquire(block.self().index, Ordering::mbarrier(index));
  return true;
}

uint32_t Mbarriers::forCopy(void *address, const char *where) {
  uint32_t index = find(address, where, "completion");
  Barrier &barrier = barriers[index];
  if (!barrier.fenced && block.ordering.knownProxied(block.self().index, barrier.initThread) < barrier.initTime)
    block.report(
        ReportKind::MissingProxyFence, where,
        fmt::format(
            "completes on mbarrier {}, which was initialised without fence.mbarrier_init or fence.proxy.async after it",
            Block::name(barrier.offset)));
  barrier.copyPhases = barrier.phase + 1;
  return index;
}

void Mbarriers::copied(uint32_t index, uint32_t bytes) {
  barriers[index].bytes -= bytes;
  settle(index, barriers[index].where);
}

void Mbarriers::fenceInitialisation() {
  for (Barrier &barrier : barriers)
    if (barrier.initThread == block.self().index)
      barrier.fenced = true;
}

void Mbarriers::checkStuck() {
  for (uint32_t index = 0; index < barriers.size(); ++index)
    if (const Barrier &barrier = barriers[index];
        barrier.live && barrier.pending == 0 && barrier.bytes && !block.copies.pendingFor(index))
      block.reportAs(-1, ReportKind::TransactionMismatch, barrier.where,
                     fmt::format("all have arrived, but bytes expected and copied differ: {}", describe(index)));
}

void Mbarriers::checkEnd() {
  for (uint32_t index = 0; index < barriers.size(); ++index) {
    const Barrier &barrier = barriers[index];
    if (!barrier.live)
      continue;
    if (barrier.copyPhases > barrier.observedPhases)
      block.reportAs(-1, ReportKind::OutstandingWork, barrier.where,
                     fmt::format("the block ended without a wait for the copies of {}", describe(index)));
    else if (barrier.bytes)
      block.reportAs(-1, ReportKind::TransactionMismatch, barrier.where,
                     fmt::format("bytes expected and copied differ at the end: {}", describe(index)));
  }
}

} // namespace bpt::emulator
