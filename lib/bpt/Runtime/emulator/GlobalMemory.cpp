// Registered global memory.
#include "GlobalMemory.h"
#include "Block.h"
#include <algorithm>
#include <fmt/format.h>
#include <mutex>

namespace bpt::emulator {

GlobalMemory::GlobalMemory() : impl(std::make_unique<Impl>()) {}
GlobalMemory::~GlobalMemory() = default;

void GlobalMemory::add(const void *base, size_t bytes, std::string name, bool initialised) {
  Impl::Region region;
  region.base = reinterpret_cast<uintptr_t>(base);
  region.bytes = bytes;
  region.name = std::move(name);
  if (!initialised)
    region.written = std::make_unique<std::atomic<uint64_t>[]>(bytes / 64 + 1);
  std::unique_lock lock(impl->mutex);
  impl->regions[region.base] = std::move(region);
}

void GlobalMemory::remove(const void *base) {
  std::unique_lock lock(impl->mutex);
  impl->regions.erase(reinterpret_cast<uintptr_t>(base));
}

void GlobalMemory::markInitialised(const void *base, size_t bytes) {
  std::shared_lock lock(impl->mutex);
  uintptr_t address = reinterpret_cast<uintptr_t>(base);
  if (Impl::Region *region = impl->find(address); region && region->written)
    markWritten(*region, address - region->base, std::min(address - region->base + bytes, region->bytes));
}

GlobalMemory::Impl::Region *GlobalMemory::Impl::find(uintptr_t address) {
  auto above = regions.upper_bound(address);
  if (above == regions.begin())
    return nullptr;
  Region &region = std::prev(above)->second;
  return address - region.base < region.bytes ? &region : nullptr;
}

/// Calls `word(index, mask)` for the words of bits [from, to) until it returns false.
template <typename F> static void forWords(size_t from, size_t to, F word) {
  while (from < to) {
    size_t end = std::min(to, (from / 64 + 1) * 64);
    uint64_t mask = (end - from == 64 ? ~uint64_t(0) : (uint64_t(1) << (end - from)) - 1) << from % 64;
    if (!word(from / 64, mask))
      return;
    from = end;
  }
}

void markWritten(GlobalMemory::Impl::Region &region, size_t from, size_t to) {
  forWords(from, to, [&](size_t index, uint64_t mask) {
    std::atomic<uint64_t> &word = region.written[index];
    if ((word.load(std::memory_order_relaxed) & mask) != mask)
      word.fetch_or(mask, std::memory_order_relaxed);
    return true;
  });
}

size_t firstUnwritten(const GlobalMemory::Impl::Region &region, size_t from, size_t to) {
  size_t found = to;
  forWords(from, to, [&](size_t index, uint64_t mask) {
    uint64_t missing = ~region.written[index].load(std::memory_order_relaxed) & mask;
    if (missing)
      found = index * 64 + size_t(__builtin_ctzll(missing));
    return missing == 0;
  });
  return found;
}

std::vector<GlobalMemory::Impl::Region *> GlobalMemory::Impl::list() {
  std::shared_lock lock(mutex);
  std::vector<Region *> all;
  for (auto &entry : regions)
    all.push_back(&entry.second);
  return all;
}

void checkGlobal(Block &block, const void *pointer, uint64_t bytes, Access access, const char *where) {
  if (!block.options->memory)
    return;
  using Region = GlobalMemory::Impl::Region;
  uintptr_t address = reinterpret_cast<uintptr_t>(pointer);
  // Accesses mostly go where the last one went.
  Region *region = block.lastRegion;
  if (!region || address - region->base >= region->bytes) {
    const std::vector<Region *> &regions = *block.regions;
    auto above = std::upper_bound(regions.begin(), regions.end(), address,
                                  [](uintptr_t value, const Region *other) { return value < other->base; });
    region = above == regions.begin() ? nullptr : *std::prev(above);
    if (!region || address - region->base >= region->bytes)
      block.fail(ReportKind::OutOfBounds, where,
                 fmt::format("{} bytes at {} are in no registered global memory", bytes, pointer));
    block.lastRegion = region;
  }
  size_t from = address - region->base, to = from + bytes;
  if (to > region->bytes)
    block.fail(ReportKind::OutOfBounds, where,
               fmt::format("{} bytes at {}+{} are beyond its {} bytes", bytes, region->name, from, region->bytes));
  if (!region->written)
    return;
  if (access != Access::Write)
    if (size_t missing = firstUnwritten(*region, from, to); missing != to)
      block.report(ReportKind::UninitialisedRead, where,
                   fmt::format("reads {}+{}, which nobody has written", region->name, missing));
  if (access != Access::Read)
    markWritten(*region, from, to);
}

} // namespace bpt::emulator
