// Bulk and tensor copies: issued by a thread, done when the mode says so.
#include "BulkCopy.h"
#include "Block.h"
#include "GlobalMemory.h"
#include "TensorTile.h"
#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <mutex>

namespace bpt::emulator {

void BulkCopies::reset() {
  loads.clear();
  storeSlots = 0;
}

bool BulkCopies::pendingFor(uint32_t barrier) const {
  return std::any_of(loads.begin(), loads.end(), [&](const Load &load) { return load.barrier == barrier; });
}

const TensorMap &BulkCopies::checkMap(const void *map, const char *where) {
  const auto &tensor = *static_cast<const TensorMap *>(map);
  if (!map || tensor.magic != tensorMapMagic)
    block.fail(ReportKind::BadTensorMap, where, "expected a tensor map made by encodeTensorMap");
  return tensor;
}

/// Checks what tile copies of both directions need; returns the bytes of the box.
static uint32_t checkTile(Block &block, const TensorMap &map, uint32_t rank, uint32_t offset, const char *where) {
  if (rank != map.rank)
    block.fail(ReportKind::BadTensorMap, where,
               fmt::format("expected a tensor map of rank {}, but got one of rank {}", rank, uint32_t(map.rank)));
  // Box rows keep their place in the swizzle pattern only if the box begins at one (PTX ISA 8.7, 5.5.7).
  static const uint32_t repeats[] = {128, 256, 512, 1024};
  if (uint32_t repeat = repeats[map.swizzle]; offset % repeat)
    block.report(
        ReportKind::Misaligned, where,
        fmt::format("the box at {} is not aligned to {} bytes, as its swizzle needs", Block::name(offset), repeat));
  return tileBytes(map);
}

void BulkCopies::issue(Load load, const char *where) {
  block.shadow.copyInto(load.offset, load.bytes, load.barrier, block.mbarriers.phase(load.barrier), where);
  total += load.bytes;
  if (block.options->mode == Mode::Eager) {
    perform(load);
    return;
  }
  memset(block.window + load.offset, 0xff, load.bytes);
  loads.push_back(load);
}

void BulkCopies::doOne() {
  uint32_t index =
      block.options->mode == Mode::Random ? block.random.below(uint32_t(loads.size())) : uint32_t(loads.size() - 1);
  Load load = loads[index];
  loads.erase(loads.begin() + index);
  perform(load);
}

void BulkCopies::perform(const Load &load) {
  if (load.map)
    loadTile(block, *load.map, load.offset, load.coordinates, load.where);
  else {
    checkGlobal(block, load.source, load.bytes, Access::Read, load.where);
    memcpy(block.window + load.offset, load.source, load.bytes);
  }
  block.mbarriers.copied(load.barrier, load.bytes);
}

void BulkCopies::tensorLoad(void *destination, void *barrier, const void *map, uint32_t rank,
                            const int32_t *coordinates, const char *where) {
  const TensorMap &tensor = checkMap(map, where);
  uint32_t bytes = tileBytes(tensor);
  Load load{
      block.sharedOffset(destination, bytes, 16, where, "the destination"), bytes, 0, &tensor, nullptr, {}, where};
  checkTile(block, tensor, rank, load.offset, where);
  load.barrier = block.mbarriers.forCopy(barrier, where);
  std::copy_n(coordinates, rank, load.coordinates);
  issue(load, where);
}

void BulkCopies::load(void *destination, void *barrier, const void *source, uint32_t bytes, const char *where) {
  if (bytes % 16 || reinterpret_cast<uintptr_t>(source) % 16)
    block.fail(ReportKind::Misaligned, where,
               fmt::format("expected a size and a global address that are multiples of 16, but got {} bytes at {}",
                           bytes, source));
  Load load{block.sharedOffset(destination, bytes, 16, where, "the destination"),
            bytes,
            block.mbarriers.forCopy(barrier, where),
            nullptr,
            static_cast<const uint8_t *>(source),
            {},
            where};
  if (bytes)
    issue(load, where);
}

/// The store group that a store issued now belongs to.
uint32_t BulkCopies::openStore(const char *where) {
  Thread &self = block.self();
  if (self.storeSlot < 0) {
    if (storeSlots == maxStoreThreads)
      block.fail(ReportKind::Unsupported, where,
                 fmt::format("more than {} threads of a block issue bulk stores", maxStoreThreads));
    self.storeSlot = int(storeSlots++);
  }
  ++self.storesOpen;
  return self.storeGroups + 1;
}

void BulkCopies::tensorStore(const void *map, const void *source, uint32_t rank, const int32_t *coordinates,
                             Reduction reduction, const char *where) {
  const TensorMap &tensor = checkMap(map, where);
  uint32_t bytes = tileBytes(tensor);
  uint32_t offset = block.sharedOffset(source, bytes, 16, where, "the source");
  checkTile(block, tensor, rank, offset, where);
  uint32_t group = openStore(where);
  int32_t padded[5] = {};
  std::copy_n(coordinates, rank, padded);
  for (auto [from, length] : storedRanges(tensor, offset, padded))
    block.shadow.storeFrom(from, length, uint32_t(block.self().storeSlot), group, where);
  storeTile(block, tensor, offset, padded, reduction, where);
  total += bytes;
}

void BulkCopies::store(void *destination, const void *source, uint32_t bytes, const char *where) {
  if (bytes % 16 || reinterpret_cast<uintptr_t>(destination) % 16)
    block.fail(ReportKind::Misaligned, where,
               fmt::format("expected a size and a global address that are multiples of 16, but got {} bytes at {}",
                           bytes, destination));
  uint32_t offset = block.sharedOffset(source, bytes, 16, where, "the source");
  uint32_t group = openStore(where);
  block.shadow.storeFrom(offset, bytes, uint32_t(block.self().storeSlot), group, where);
  checkGlobal(block, destination, bytes, Access::Write, where);
  memcpy(destination, block.window + offset, bytes);
  total += bytes;
}

void BulkCopies::commit() {
  Thread &self = block.self();
  ++self.storeGroups;
  self.storesOpen = 0;
}

void BulkCopies::wait(uint32_t pending, bool) {
  Thread &self = block.self();
  if (self.storeGroups > pending && self.storeGroups - pending > self.storeGroupsRead)
    self.storeGroupsRead = self.storeGroups - pending;
  if (self.storeSlot >= 0)
    block.ordering.advance(self.index, block.ordering.stores(uint32_t(self.storeSlot)), self.storeGroupsRead);
}

void BulkCopies::threadEnded() {
  const Thread &self = block.self();
  if (self.storesOpen)
    block.report(ReportKind::OutstandingWork, self.where, "ends with bulk stores that were never committed");
  else if (self.storeSlot >= 0 && self.storeGroupsRead < self.storeGroups)
    block.report(ReportKind::OutstandingWork, self.where, "ends without cp.async.bulk.wait_group for its bulk stores");
}

} // namespace bpt::emulator
