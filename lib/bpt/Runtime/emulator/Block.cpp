// Fibers and the scheduler of a block.
#include "Block.h"
#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <fmt/format.h>
#include <sys/mman.h>

namespace bpt::emulator {
namespace fiber = boost::context::detail;

constexpr size_t stackBytes = 256 * 1024, stackStride = stackBytes + 4096; // with a guard page below each
constexpr uint32_t readyRing = 2048;

static thread_local Block *currentBlock = nullptr;

Block &Block::current() { return *currentBlock; }

static uint8_t *reserve(size_t bytes) {
  void *memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<uint8_t *>(memory);
}

static uint8_t *reserveWindow() {
  uint8_t *raw = reserve(2 * windowBytes);
  if (!raw)
    return nullptr;
  uintptr_t base = (reinterpret_cast<uintptr_t>(raw) + windowBytes - 1) & ~uintptr_t(windowBytes - 1);
  return reinterpret_cast<uint8_t *>(base);
}

Block::Block()
    : shadow(*this), mbarriers(*this), barriers(*this), warps(*this), wgmma(*this), copies(*this), ready(readyRing) {
  window = reserveWindow();
  stacks = reserve(stackStride * maxBlockThreads);
  for (size_t i = 0; stacks && i < maxBlockThreads; ++i)
    mprotect(stacks + i * stackStride, 4096, PROT_NONE);
}

Block::~Block() {
  if (stacks)
    munmap(stacks, stackStride * maxBlockThreads);
  if (window)
    munmap(window, windowBytes);
}

/// What boost.context calls on a new stack; `transfer.data` is where the context that jumped here is to be kept.
struct FiberEntry {
  static void main(fiber::transfer_t transfer) {
    *static_cast<void **>(transfer.data) = transfer.fctx;
    Block::current().runThread();
  }
};

void Block::runThread() {
  launch->function(launch->arguments);
  Thread &thread = *running;
  wgmma.threadEnded();
  copies.threadEnded();
  thread.done = true;
  --alive;
  ++events;
  warps.threadEnded(thread.index);
  if (Thread *other = next())
    switchTo(other);
  leave();
}

void Block::leave() {
  running = nullptr;
  void *unused = nullptr;
  fiber::jump_fcontext(hostContext, &unused);
  __builtin_unreachable();
}

void Block::switchTo(Thread *thread) {
  void **slot = &running->context;
  running = thread;
  fiber::transfer_t transfer = fiber::jump_fcontext(thread->context, slot);
  *static_cast<void **>(transfer.data) = transfer.fctx;
}

/// The thread that runs next, or null when none can; does copies when it is their time.
Thread *Block::next() {
  bool shuffled = options->mode == Mode::Random;
  if (shuffled && copies.pending() && random.below(64) == 0)
    copies.doOne();
  for (;;) {
    if (readySize) {
      uint32_t head = readyHead;
      if (shuffled && random.below(8) == 0) // mostly in order: a warp's lanes stay together, and caches warm
        std::swap(ready[head], ready[(head + random.below(readySize)) % readyRing]);
      readyHead = (readyHead + 1) % readyRing;
      --readySize;
      return &threads[ready[head]];
    }
    if (!polling.empty() && events != eventsPolled) {
      eventsPolled = events;
      for (uint16_t thread : polling)
        wake(thread);
      polling.clear();
    } else if (copies.pending()) {
      copies.doOne();
      ++events;
    } else {
      return nullptr;
    }
  }
}

void Block::wake(uint32_t thread) {
  // The thread itself notes that it waits no more: touching 31 others at each shuffle costs as many cache misses.
  ready[(readyHead + readySize++) % readyRing] = uint16_t(thread);
}

void Block::suspend(Waiting kind, uint32_t object, const char *where) {
  Thread &thread = *running;
  thread.waiting = kind;
  thread.object = object;
  thread.where = where;
  Thread *other = next();
  if (!other) {
    stuck = true;
    leave();
  }
  if (other != &thread)
    switchTo(other);
  thread.waiting = Waiting::Nothing;
}

void Block::poll(const char *where) {
  polling.push_back(uint16_t(running->index));
  suspend(Waiting::Polling, 0, where);
}

bool Block::run(const Launch &newLaunch, const Options &newOptions, uint64_t index,
                const std::vector<GlobalMemory::Impl::Region *> &newRegions) {
  regions = &newRegions;
  lastRegion = nullptr;
  launch = &newLaunch;
  options = &newOptions;
  currentBlock = this;
  position = {uint32_t(index % launch->grid[0]), uint32_t(index / launch->grid[0] % launch->grid[1]),
              uint32_t(index / launch->grid[0] / launch->grid[1])};
  count = alive = launch->block[0] * launch->block[1] * launch->block[2];
  sharedBytes = launch->sharedBytes;
  random.seed(options->seed * 0x10001 + index);
  ordering.reset(count);
  shadow.reset(sharedBytes);
  mbarriers.reset();
  barriers.reset();
  warps.reset((count + 31) / 32);
  wgmma.reset(count);
  copies.reset();
  reported.clear();
  polling.clear();
  stuck = false;
  events = eventsPolled = 0;
  readyHead = readySize = 0;
  threads.assign(count, Thread());
  for (uint32_t i = 0; i < count; ++i) {
    threads[i].index = i;
    // Stacks begin at different cache sets: frames of all threads are in use at the same time.
    uint8_t *top = stacks + (i + 1) * stackStride - i % 64 * 1088 - 64;
    threads[i].context = fiber::make_fcontext(top, stackBytes - 80 * 1024, &FiberEntry::main);
    wake(i);
  }
  running = next();
  void **slot = &hostContext;
  fiber::transfer_t transfer = fiber::jump_fcontext(running->context, slot);
  (void)transfer;
  if (stuck)
    reportStuck();
  else if (alive == 0) {
    mbarriers.checkEnd();
    checkRegisters();
  }
  return alive == 0;
}

bool Block::onStack(const void *address) const {
  return reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(stacks) < stackStride * maxBlockThreads;
}

std::string Block::name(uint32_t offset) { return fmt::format("shared+{}", int64_t(offset) - reservedBytes); }

void Block::report(ReportKind kind, const char *where, std::string text) {
  reportAs(running ? int(running->index) : -1, kind, where, std::move(text));
}

void Block::reportAs(int thread, ReportKind kind, const char *where, std::string text) {
  if (!reported.emplace(int(kind), where).second)
    return;
  ++reportCount;
  if (reports.size() >= options->maxReports)
    return;
  Report report;
  report.kind = kind;
  report.kernel = launch->name;
  report.location = where;
  report.block = position;
  report.thread = thread;
  report.warp = thread < 0 ? -1 : thread / 32;
  report.text = std::move(text);
  reports.push_back(std::move(report));
}

void Block::fail(ReportKind kind, const char *where, std::string text) {
  report(kind, where, std::move(text));
  leave();
}

uint32_t Block::sharedOffset(const void *address, uint64_t bytes, uint32_t alignment, const char *where,
                             const char *what) {
  uintptr_t distance = reinterpret_cast<uintptr_t>(address) - reinterpret_cast<uintptr_t>(window);
  if (distance >= windowBytes)
    fail(ReportKind::OutOfBounds, where, fmt::format("{} is not in shared memory", what));
  if (distance < reservedBytes || distance + bytes > reservedBytes + sharedBytes)
    fail(ReportKind::OutOfBounds, where,
         fmt::format("{} of {} bytes at {} is outside the {} bytes of dynamic shared memory", what, bytes,
                     name(uint32_t(distance)), sharedBytes));
  if (distance % alignment)
    fail(ReportKind::Misaligned, where,
         fmt::format("{} at {} is not aligned to {} bytes", what, name(uint32_t(distance)), alignment));
  return uint32_t(distance);
}

/// What setmaxnreg left each warp with must fit the 64 Ki registers of a multiprocessor, or an increase never returns.
void Block::checkRegisters() {
  uint32_t sum = 0;
  const char *where = "";
  for (const Thread &thread : threads)
    if (thread.registers) {
      sum += thread.registers;
      where = thread.registersWhere;
    }
  if (sum > 65536)
    reportAs(-1, ReportKind::TooManyRegisters, where,
             fmt::format("the block's threads ask for {} registers together, but there are 65536", sum));
}

/// Says per warp who waits for what.
void Block::reportStuck() {
  mbarriers.checkStuck();
  std::string text = "no thread can go on:";
  const char *where = "";
  int first = -1;
  for (uint32_t warp = 0; warp * 32 < count; ++warp) {
    // Lanes of a warp mostly wait for the same thing: one line for each that differs.
    std::vector<std::pair<std::string, uint32_t>> groups;
    for (uint32_t i = warp * 32; i < std::min(count, warp * 32 + 32); ++i) {
      const Thread &thread = threads[i];
      if (thread.done)
        continue;
      std::string line;
      switch (thread.waiting) {
      case Waiting::Mbarrier:
      case Waiting::Polling:
        line = thread.waiting == Waiting::Polling
                   ? "polling"
                   : fmt::format("parity {} of {}", thread.value, mbarriers.describe(thread.object));
        break;
      case Waiting::NamedBarrier:
        line = barriers.describe(thread.object);
        break;
      case Waiting::Warp:
        line = warps.describe(warp);
        break;
      case Waiting::Wgmma:
        line = wgmma.describe(i);
        break;
      case Waiting::Nothing:
        line = "nothing";
        break;
      }
      line += fmt::format(" [{}]", thread.where);
      if (first < 0) {
        first = int(i);
        where = thread.where;
      }
      auto same = std::find_if(groups.begin(), groups.end(), [&](auto &group) { return group.first == line; });
      if (same == groups.end())
        groups.emplace_back(line, 1);
      else
        ++same->second;
    }
    for (auto &[line, lanes] : groups)
      text += fmt::format(" warp {} ({} threads) waits for {};", warp, lanes, line);
  }
  text.pop_back();
  reportAs(first, ReportKind::Deadlock, where, text);
}

} // namespace bpt::emulator
