// Checks of accesses to shared memory against who wrote and read it before.
#include "Shadow.h"
#include "Block.h"
#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace bpt::emulator {

constexpr uint8_t wordsOpen = 1, holdsMbarrier = 2, asyncRead = 8; // holdsMbarrier: a bit for each half
constexpr uint16_t nobody = 0xffff;

void ReadNeeds::clear() {
  copies.clear();
  for (uint32_t thread : writers)
    written[thread] = 0;
  writers.clear();
  uninitialised = ~0u;
}

Shadow::Shadow(Block &block) : block(block) {
  constexpr uint32_t all = windowBytes / 16;
  initialised.resize(all);
  flags.resize(all);
  copyBarrier.resize(all);
  copyPhase.resize(all);
  storeSlot.resize(all);
  storeGroup.resize(all);
  words.resize(all * 4);
  for (auto &groups : wgmmaGroup)
    groups.resize(all);
  scratch.written.resize(maxBlockThreads);
}

void Shadow::reset(uint32_t bytes) {
  granules = (reservedBytes + bytes + 15) / 16;
  std::fill_n(initialised.begin(), granules, 0);
  std::fill_n(flags.begin(), granules, 0);
  std::fill_n(copyBarrier.begin(), granules, 0);
  std::fill_n(storeSlot.begin(), granules, 0);
  for (auto &groups : wgmmaGroup)
    std::fill_n(groups.begin(), granules, 0);
  freeVectors.resize(readVectors.size());
  std::iota(freeVectors.begin(), freeVectors.end(), uint16_t(0));
}

void Shadow::openWords(uint32_t granule) {
  if (flags[granule] & wordsOpen)
    return;
  flags[granule] |= wordsOpen;
  for (uint32_t i = 0; i < 4; ++i)
    words[granule * 4 + i] = {0, 0, nobody, nobody, 0, 0, 0};
}

void Shadow::setMbarrier(uint32_t offset, bool present) {
  uint8_t &flag = flags[offset / 16];
  uint8_t bit = holdsMbarrier << (offset / 8 % 2);
  flag = uint8_t(present ? flag | bit : flag & ~bit);
}

/// True if no thread but the running one has a read of the word that is not ordered before; else `reader` is one.
bool Shadow::readersBefore(const Word &word, uint32_t &reader) const {
  uint32_t self = block.self().index;
  if (!word.readers) {
    reader = word.reader;
    return reader == nobody || reader == self || block.ordering.known(self, reader) >= word.readTime;
  }
  const std::vector<uint32_t> &times = readVectors[word.readers - 1];
  for (reader = 0; reader < block.threadCount(); ++reader)
    if (times[reader] && reader != self && block.ordering.known(self, reader) < times[reader])
      return false;
  return true;
}

void Shadow::recordRead(Word &word) {
  uint32_t self = block.self().index, now = block.ordering.now();
  if (word.readers) {
    readVectors[word.readers - 1][self] = now;
    return;
  }
  if (word.reader == nobody || word.reader == self || block.ordering.known(self, word.reader) >= word.readTime) {
    word.reader = uint16_t(self);
    word.readTime = now;
    return;
  }
  // Concurrent readers: the word needs a time for each thread.
  if (freeVectors.empty()) {
    freeVectors.push_back(uint16_t(readVectors.size()));
    readVectors.emplace_back();
  }
  uint16_t index = freeVectors.back();
  freeVectors.pop_back();
  std::vector<uint32_t> &times = readVectors[index];
  times.assign(block.threadCount(), 0);
  times[word.reader] = word.readTime;
  times[self] = now;
  word.readers = uint16_t(index + 1);
}

Shadow::Knowledge::Knowledge(const Block &block) : block(block), self(block.self().index) {
  for (Entry &entry : entries)
    entry = {~0u, 0};
}

uint32_t Shadow::Knowledge::of(uint32_t component) {
  for (const Entry &entry : entries)
    if (entry.component == component)
      return entry.value;
  Entry &entry = entries[next++ % 4];
  entry = {component, block.ordering.known(self, component)};
  return entry.value;
}

/// Asynchronous readers of a granule that is about to be overwritten.
void Shadow::checkAsyncReaders(uint32_t granule, Knowledge &known, const char *what, const char *where) {
  if (!(flags[granule] & asyncRead))
    return;
  flags[granule] &= uint8_t(~asyncRead);
  for (uint32_t group = 0; group * 128 < block.threadCount(); ++group) {
    uint32_t &reads = wgmmaGroup[group][granule];
    if (!reads)
      continue;
    // A wgmma group belongs to the warpgroup: when one thread has waited for it, all of it is done (PTX ISA 8.7,
    // 9.7.15.7.2). CUTLASS relies on that: one thread releases a stage for its warpgroup (PipelineTmaAsync,
    // sm90_pipeline.hpp).
    if (known.of(block.ordering.groups(group)) < reads)
      block.report(ReportKind::StageReusedEarly, where,
                   fmt::format("{} overwrites {}, which a wgmma of warpgroup {} may still read: nothing tells that a "
                               "thread of it has waited "
                               "for wgmma group {}",
                               what, Block::name(granule * 16), group, reads));
    reads = 0;
  }
  if (uint8_t slot = storeSlot[granule]) {
    if (known.of(block.ordering.stores(slot - 1)) < storeGroup[granule])
      block.report(
          ReportKind::StoreSourceOverwritten, where,
          fmt::format(
              "{} overwrites {}, which a bulk store may still read: nothing tells that its thread has waited with "
              "wait_group.read",
              what, Block::name(granule * 16)));
    storeSlot[granule] = 0;
  }
}

void Shadow::checkWordWrite(Word &word, uint32_t offset, uint8_t mask, bool atomic, const char *where) {
  uint32_t self = block.self().index;
  if (word.writer != nobody && word.writer != self && word.writeMask & mask && !(atomic && word.atomic) &&
      block.ordering.known(self, word.writer) < word.writeTime)
    block.report(
        ReportKind::DataRace, where,
        fmt::format("thread {} wrote {} and nothing orders that before this write", word.writer, Block::name(offset)));
  uint32_t reader;
  if (!readersBefore(word, reader)) // reads of atomics are part of their writes, so these are plain loads
    block.report(
        ReportKind::DataRace, where,
        fmt::format("thread {} read {} and nothing orders that before this write", reader, Block::name(offset)));
}

void Shadow::read(uint32_t offset, uint32_t bytes, const char *where) {
  uint32_t self = block.self().index, end = offset + bytes;
  Knowledge known(block);
  for (uint32_t granule = offset / 16; granule * 16 < end; ++granule) {
    uint32_t from = std::max(offset, granule * 16), to = std::min(end, granule * 16 + 16);
    uint32_t mask = (1u << (to - granule * 16)) - (1u << (from - granule * 16));
    if ((initialised[granule] & mask) != mask)
      block.report(ReportKind::UninitialisedRead, where,
                   fmt::format("reads {}, which nobody has written", Block::name(from)));
    if (uint8_t barrier = copyBarrier[granule])
      if (known.of(block.ordering.phases(barrier - 1)) <= copyPhase[granule])
        block.report(ReportKind::UnobservedCopy, where,
                     fmt::format("reads {}, but has not observed phase {} of {}, which completes the copy into it",
                                 Block::name(from), copyPhase[granule], block.mbarriers.describe(barrier - 1)));
    openWords(granule);
    for (uint32_t word = from / 4; word * 4 < to; ++word) {
      Word &entry = words[word];
      uint32_t low = std::max(from, word * 4) - word * 4, high = std::min(to, word * 4 + 4) - word * 4;
      uint8_t bits = uint8_t((1u << high) - (1u << low));
      if (entry.writer != nobody && entry.writer != self && entry.writeMask & bits &&
          block.ordering.known(self, entry.writer) < entry.writeTime)
        block.report(ReportKind::DataRace, where,
                     fmt::format("thread {} wrote {} and nothing orders that before this read", entry.writer,
                                 Block::name(word * 4)));
      recordRead(entry);
    }
  }
}

void Shadow::write(uint32_t offset, uint32_t bytes, bool atomic, const char *where) {
  uint32_t self = block.self().index, end = offset + bytes, now = block.ordering.now();
  Knowledge known(block);
  for (uint32_t granule = offset / 16; granule * 16 < end; ++granule) {
    uint32_t from = std::max(offset, granule * 16), to = std::min(end, granule * 16 + 16);
    uint32_t mask = (1u << (to - granule * 16)) - (1u << (from - granule * 16));
    if (atomic && (initialised[granule] & mask) != mask)
      block.report(ReportKind::UninitialisedRead, where,
                   fmt::format("reads {}, which nobody has written", Block::name(from)));
    checkAsyncReaders(granule, known, "a write", where);
    if (uint8_t barrier = copyBarrier[granule]) {
      if (known.of(block.ordering.phases(barrier - 1)) <= copyPhase[granule])
        block.report(ReportKind::UnobservedCopy, where,
                     fmt::format("writes {}, but has not observed phase {} of {}, which completes a copy into it",
                                 Block::name(from), copyPhase[granule], block.mbarriers.describe(barrier - 1)));
      copyBarrier[granule] = 0;
    }
    for (uint32_t half = 0; half < 2; ++half)
      if (flags[granule] & holdsMbarrier << half && from < granule * 16 + half * 8 + 8 && to > granule * 16 + half * 8)
        block.mbarriers.overwritten(granule * 16 + half * 8, where);
    openWords(granule);
    initialised[granule] |= uint16_t(mask);
    for (uint32_t word = from / 4; word * 4 < to; ++word) {
      Word &entry = words[word];
      uint32_t low = std::max(from, word * 4) - word * 4, high = std::min(to, word * 4 + 4) - word * 4;
      uint8_t bits = uint8_t((1u << high) - (1u << low));
      checkWordWrite(entry, word * 4, bits, atomic, where);
      if (entry.readers)
        freeVectors.push_back(uint16_t(entry.readers - 1));
      // Of two threads that write different bytes of a word at the same time only the last is remembered.
      entry = {now, 0, uint16_t(self), nobody, 0, bits, uint8_t(atomic)};
    }
  }
}

/// A word with generic accesses that a copy overwrites.
void Shadow::checkWordOverwritten(Word &word, uint32_t offset, const char *where) {
  uint32_t self = block.self().index, reader;
  if (word.writer != nobody) {
    if (word.writer != self && block.ordering.known(self, word.writer) < word.writeTime)
      block.report(
          ReportKind::DataRace, where,
          fmt::format("thread {} wrote {} and nothing orders that before this copy", word.writer, Block::name(offset)));
    else if (block.ordering.knownProxied(self, word.writer) < word.writeTime)
      block.report(
          ReportKind::MissingProxyFence, where,
          fmt::format(
              "overwrites {}, which thread {} wrote through the generic proxy, without fence.proxy.async between",
              Block::name(offset), word.writer));
  }
  if (!readersBefore(word, reader))
    block.report(ReportKind::StageReusedEarly, where,
                 fmt::format("a copy overwrites {}, which thread {} may still read: nothing orders that read before",
                             Block::name(offset), reader));
  if (word.readers)
    freeVectors.push_back(uint16_t(word.readers - 1));
}

void Shadow::copyInto(uint32_t offset, uint32_t bytes, uint32_t barrier, uint32_t phase, const char *where) {
  Knowledge known(block);
  for (uint32_t granule = offset / 16; granule < (offset + bytes + 15) / 16; ++granule) {
    checkAsyncReaders(granule, known, "a copy", where);
    if (uint8_t earlier = copyBarrier[granule])
      if (known.of(block.ordering.phases(earlier - 1)) <= copyPhase[granule])
        block.report(ReportKind::StageReusedEarly, where,
                     fmt::format("a copy overwrites {}, into which an earlier copy may still be under way: phase {} of "
                                 "{} was not observed",
                                 Block::name(granule * 16), copyPhase[granule], block.mbarriers.describe(earlier - 1)));
    if (flags[granule]) {
      for (uint32_t half = 0; half < 2; ++half)
        if (flags[granule] & holdsMbarrier << half)
          block.mbarriers.overwritten(granule * 16 + half * 8, where);
      if (flags[granule] & wordsOpen)
        for (uint32_t i = 0; i < 4; ++i)
          checkWordOverwritten(words[granule * 4 + i], granule * 16 + i * 4, where);
      flags[granule] = 0;
    }
    initialised[granule] = 0xffff;
    copyBarrier[granule] = uint8_t(barrier + 1);
    copyPhase[granule] = phase;
  }
}

/// What a reader of the granule through the async proxy needs to know.
void Shadow::collect(uint32_t granule, ReadNeeds &needs) {
  if (initialised[granule] != 0xffff && needs.uninitialised == ~0u)
    needs.uninitialised = granule;
  if (uint8_t barrier = copyBarrier[granule]) {
    ReadNeeds::Copy copy{uint32_t(barrier - 1), copyPhase[granule], granule};
    if (needs.copies.empty() || needs.copies.back().barrier != copy.barrier || needs.copies.back().phase != copy.phase)
      needs.copies.push_back(copy);
  }
  if (flags[granule] & wordsOpen)
    for (uint32_t i = 0; i < 4; ++i) {
      const Word &word = words[granule * 4 + i];
      if (word.writer == nobody)
        continue;
      uint32_t &time = needs.written[word.writer];
      if (!time)
        needs.writers.push_back(word.writer);
      time = std::max(time, word.writeTime);
    }
}

bool Shadow::check(const ReadNeeds &needs, uint32_t thread, const char *what, const char *where) {
  bool good = true;
  if (needs.uninitialised != ~0u) {
    block.reportAs(int(thread), ReportKind::UninitialisedRead, where,
                   fmt::format("{} reads {}, which nobody has written", what, Block::name(needs.uninitialised * 16)));
    good = false;
  }
  for (const ReadNeeds::Copy &copy : needs.copies)
    if (block.ordering.known(thread, block.ordering.phases(copy.barrier)) <= copy.phase) {
      block.reportAs(
          int(thread), ReportKind::UnobservedCopy, where,
          fmt::format("{} reads {}, but this thread has not observed phase {} of {}, which completes the copy into it",
                      what, Block::name(copy.granule * 16), copy.phase, block.mbarriers.describe(copy.barrier)));
      good = false;
    }
  for (uint32_t writer : needs.writers) {
    uint32_t time = needs.written[writer];
    if (block.ordering.knownProxied(thread, writer) >= time)
      continue;
    good = false;
    if (block.ordering.known(thread, writer) < time)
      block.reportAs(int(thread), ReportKind::DataRace, where,
                     fmt::format("{} reads what thread {} wrote, and nothing orders that write before", what, writer));
    else
      block.reportAs(
          int(thread), ReportKind::MissingProxyFence, where,
          fmt::format("{} reads what thread {} wrote through the generic proxy, without fence.proxy.async between",
                      what, writer));
  }
  return good;
}

void Shadow::wgmmaReads(uint32_t granule, uint32_t warpgroup, uint32_t group, ReadNeeds &needs) {
  if (granule >= granules)
    return;
  collect(granule, needs);
  wgmmaGroup[warpgroup][granule] = group;
  flags[granule] |= asyncRead;
}

void Shadow::storeFrom(uint32_t offset, uint32_t bytes, uint32_t slot, uint32_t group, const char *where) {
  scratch.clear();
  for (uint32_t granule = offset / 16; granule < (offset + bytes + 15) / 16; ++granule) {
    collect(granule, scratch);
    storeSlot[granule] = uint8_t(slot + 1);
    storeGroup[granule] = group;
    flags[granule] |= asyncRead;
  }
  check(scratch, block.self().index, "the store", where);
}

} // namespace bpt::emulator
