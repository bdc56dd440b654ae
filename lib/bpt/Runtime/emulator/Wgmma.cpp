// Issue, commit and wait of warpgroup products.
#include "Wgmma.h"
#include "Block.h"
#include "WgmmaLayout.h"
#include "WgmmaProduct.h"
#include <algorithm>
#include <cstring>
#include <fmt/format.h>

namespace bpt::emulator {

// A tag is a quiet NaN that arithmetic does not make: sign, 15 bits that number the operation, 7 bits that number the
// register.
constexpr uint32_t tagBase = 0xffc00000, tagCount = 1u << 15, maxRegisters = 128;
constexpr uint32_t maxAccumulators = 64; ///< kept at a time, of the emulator

struct WgmmaUnit::Operation {
  uint32_t number = 0, joined = 0, group = 0;
  WgmmaShape shape;
  uint64_t a = 0, b = 0;
  bool registers = false; ///< A comes from registers
  uint32_t tag = 0, inputTag = 0;
  uint32_t accumulator = 0;
  const char *where = "";
  std::vector<uint16_t> rows, columns; ///< granules of the operands
  std::vector<float> fragments = std::vector<float>(64 * 16);
  ReadNeeds needs;
  int checkedLike = -1; ///< a thread whose knowledge was found sufficient
};

struct WgmmaUnit::Warpgroup {
  std::vector<std::unique_ptr<Operation>> open, idle; ///< open ones in order
  uint32_t executed = 0;                              ///< operations
  std::vector<uint16_t> waiters;
  std::vector<float> left = std::vector<float>(64 * 16), right = std::vector<float>(256 * 16);
};

WgmmaUnit::WgmmaUnit(Block &block) : block(block), results(tagCount) {}
WgmmaUnit::~WgmmaUnit() = default;

void WgmmaUnit::reset(uint32_t threads) {
  uint32_t count = (threads + 127) / 128;
  while (warpgroups.size() < count)
    warpgroups.push_back(std::make_unique<Warpgroup>());
  for (auto &warpgroup : warpgroups) {
    warpgroup->executed = 0;
    warpgroup->waiters.clear();
    for (auto &operation : warpgroup->open)
      warpgroup->idle.push_back(std::move(operation));
    warpgroup->open.clear();
  }
  for (auto &accumulator : accumulators)
    accumulator->used = false;
  for (uint32_t tag = 0; tag < tagsUsed; ++tag)
    results[tag].live = false;
  nextTag = tagsUsed = 1;
  executed = 0;
}

/// A free accumulator, or the oldest.
WgmmaUnit::Accumulator &WgmmaUnit::newAccumulator(uint32_t n, uint32_t &index) {
  index = uint32_t(accumulators.size());
  uint32_t oldest = 0;
  for (uint32_t i = 0; i < accumulators.size(); ++i) {
    if (!accumulators[i]->used) {
      index = i;
      break;
    }
    if (accumulators[i]->age < accumulators[oldest]->age)
      oldest = i;
  }
  if (index == accumulators.size()) {
    if (accumulators.size() < maxAccumulators)
      accumulators.push_back(std::make_unique<Accumulator>());
    else
      index = oldest;
  }
  Accumulator &accumulator = *accumulators[index];
  accumulator.values.resize(64 * 256);
  accumulator.n = n;
  accumulator.resolved = 0;
  accumulator.used = true;
  accumulator.age = ++ages;
  return accumulator;
}

WgmmaUnit::Result *WgmmaUnit::result(float value, uint32_t &registerIndex) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if ((bits & tagBase) != tagBase)
    return nullptr;
  Result &found = results[bits >> 7 & (tagCount - 1)];
  registerIndex = bits & (maxRegisters - 1);
  return found.live ? &found : nullptr;
}

/// The first thread of a warpgroup to issue its operation `number` makes it.
WgmmaUnit::Operation &WgmmaUnit::begin(Warpgroup &warpgroup, uint32_t number, const WgmmaShape &shape, uint64_t a,
                                       uint64_t b, bool registers, uint32_t group, const char *where) {
  if (warpgroup.idle.empty())
    warpgroup.idle.push_back(std::make_unique<Operation>());
  Operation &operation = *warpgroup.open.emplace_back(std::move(warpgroup.idle.back()));
  warpgroup.idle.pop_back();
  operation.number = number;
  operation.joined = 0;
  operation.group = group;
  operation.shape = shape;
  operation.a = a;
  operation.b = b;
  operation.registers = registers;
  operation.where = where;
  operation.inputTag = 0;
  operation.checkedLike = -1;
  operation.tag = nextTag;
  nextTag = nextTag + 1 == tagCount ? 1 : nextTag + 1;
  tagsUsed = std::max(tagsUsed, operation.tag + 1);
  Result &result = results[operation.tag];
  result = Result();
  result.live = true;
  result.warpgroup = uint8_t(block.self().index / 128);
  result.group = group;
  collectOperands(operation, result.warpgroup);
  return operation;
}

/// Lists the granules that the operation reads, and what a thread must know before it may.
void WgmmaUnit::collectOperands(Operation &operation, uint32_t warpgroup) {
  operation.needs.written.resize(maxBlockThreads);
  operation.needs.clear();
  const WgmmaShape &shape = operation.shape;
  uint32_t size = shape.type == WgmmaType::TF32 ? 4 : 2;
  auto collect = [&](uint64_t bits, uint32_t extent, bool transposed, const char *name) {
    OperandDescriptor d = decodeDescriptor(bits);
    uint32_t width = swizzleWidth(d.swizzle), repeat = d.swizzle == OperandSwizzle::None ? 16 : width * 8;
    auto bad = [&](std::string text) {
      block.report(ReportKind::BadDescriptor, operation.where,
                   fmt::format("descriptor {:#x} of {}: {}", bits, name, text));
    };
    if (d.baseOffset)
      block.fail(ReportKind::Unsupported, operation.where,
                 fmt::format("descriptor {:#x} of {} has a base offset", bits, name));
    if (bits & 0xcffful << 48 & ~(7ul << 49) & ~(3ul << 62) || bits >> 46 & 3 || bits >> 30 & 3 || bits >> 14 & 3)
      bad("bits that must be zero are set");
    // The pattern repeats every `repeat` bytes of the address; without a base offset every repeat must start there.
    if (d.swizzle != OperandSwizzle::None) {
      if (d.start % repeat / width)
        bad(fmt::format("the start address {} is not in the first row of the {}-byte swizzle pattern",
                        Block::name(d.start), repeat));
      bool usesLeading = transposed && extent * 2 > width, usesStride = transposed ? true : extent > 8;
      if (usesStride && d.stride % repeat)
        bad(fmt::format("the stride byte offset {} is not a multiple of the {}-byte swizzle pattern", d.stride,
                        repeat));
      if (usesLeading && d.leading % repeat)
        bad(fmt::format("the leading byte offset {} is not a multiple of the {}-byte swizzle pattern", d.leading,
                        repeat));
      if (!transposed && d.start % width + 32 > width)
        bad("the 32 bytes of a row cross the swizzle's width");
    }
    auto touch = [&](uint32_t address) {
      if (address < reservedBytes || address + 16 > reservedBytes + block.sharedBytes)
        block.fail(ReportKind::OutOfBounds, operation.where,
                   fmt::format("operand {} at {} is outside the {} bytes of dynamic shared memory", name,
                               Block::name(address), block.sharedBytes));
      block.shadow.wgmmaReads(address / 16, warpgroup, operation.group, operation.needs);
    };
    if (!transposed)
      for (uint32_t row = 0; row < extent; ++row)
        for (uint32_t half = 0; half < 2; ++half)
          touch(kMajorAddress(d, row, half * 16 / size, size));
    else
      for (uint32_t k = 0; k < 16; ++k)
        for (uint32_t mn = 0; mn < extent; mn += 8)
          touch(mnMajorAddress(d, mn, k));
  };
  if (!operation.registers)
    collect(operation.a, 64, shape.transposeA, "A");
  collect(operation.b, shape.n, shape.transposeB, "B");
}

/// The thread's accumulator registers: all tags of one operation, which is then continued in place, or all numbers.
void WgmmaUnit::takeAccumulators(Operation &operation, const float *registers, uint32_t lane, const char *where) {
  uint32_t count = operation.shape.n / 2, index = 0;
  Result *input = result(registers[0], index);
  uint32_t tag = 0;
  if (input) {
    uint32_t first;
    memcpy(&first, registers, 4);
    tag = first >> 7 & (tagCount - 1);
    bool same = index == 0;
    const auto *bits = reinterpret_cast<const Bits *>(registers);
    for (uint32_t i = 0; i < count; ++i)
      same &= bits[i] == first + i;
    if (!same) {
      block.report(ReportKind::MissingWait, where,
                   "accumulator registers mix results of several wgmmas, or come in another order");
      tag = 0;
    } else if (operation.joined && operation.inputTag != tag) {
      block.report(ReportKind::NonUniformOperands, where, "threads of the warpgroup continue different accumulators");
    } else if (!operation.joined) {
      if (input->consumed)
        block.report(ReportKind::MissingWait, where, "continues an accumulator that a later wgmma has overwritten");
      if (input->warpgroup != block.self().index / 128 || accumulators[input->accumulator]->n != operation.shape.n)
        block.report(ReportKind::MissingWait, where,
                     "continues an accumulator of another warpgroup or shape that is in flight");
      input->consumed = true;
      operation.inputTag = tag;
      operation.accumulator = input->accumulator;
    }
  }
  if (!operation.joined) {
    if (!tag)
      newAccumulator(operation.shape.n, operation.accumulator);
    results[operation.tag].accumulator = operation.accumulator;
    results[operation.tag].age = uint32_t(accumulators[operation.accumulator]->age);
    accumulators[operation.accumulator]->resolved = 0;
  } else if (!tag && operation.inputTag && operation.shape.scaleD) {
    block.report(ReportKind::NonUniformOperands, where, "threads of the warpgroup continue different accumulators");
  }
  if (tag || !operation.shape.scaleD)
    return;
  float *values = accumulators[operation.accumulator]->values.data();
  uint32_t n = operation.shape.n;
  for (uint32_t i = 0; i < count; i += 2) {
    uint32_t at = accumulatorRow(lane, i) * n + accumulatorColumn(lane, i);
    for (uint32_t j = 0; j < 2; ++j) {
      uint32_t other;
      if (result(registers[i + j], other))
        block.report(ReportKind::MissingWait, where, "some accumulator registers are in flight and others are not");
      values[at + j] = registers[i + j];
    }
  }
}

void WgmmaUnit::issue(float *registers, const WgmmaShape &shape, const uint32_t *a, uint64_t aDescriptor,
                      uint64_t bDescriptor, const char *where) {
  Thread &self = block.self();
  uint32_t group = self.index / 128, lane = self.index % 128;
  if (group * 128 + 128 > block.threadCount())
    block.fail(ReportKind::DivergentCollective, where, "the last threads of the block are not a whole warpgroup");
  if (shape.n % 8 || shape.n < 8 || shape.n > 256)
    block.fail(ReportKind::BadDescriptor, where,
               fmt::format("expected N to be a multiple of 8 in [8, 256], but got {}", shape.n));
  Warpgroup &warpgroup = *warpgroups[group];
  WgmmaThread &own = self.wgmma;
  if (!own.fenced)
    block.report(ReportKind::MissingWgmmaFence, where,
                 "no wgmma.fence since the start, the last wgmma.wait_group, or a write of its registers");
  own.fenced = true; // one report is enough for a chain
  uint32_t number = own.issued++;
  ++own.uncommitted;
  bool fromRegisters = a != nullptr;
  Operation *operation;
  if (number - warpgroup.executed < warpgroup.open.size()) {
    operation = warpgroup.open[number - warpgroup.executed].get();
    if (operation->where != where && strcmp(operation->where, where) != 0)
      block.report(ReportKind::DivergentCollective, where,
                   fmt::format("another thread of the warpgroup is at a different wgmma [{}]", operation->where));
    if (packWgmma(operation->shape) != packWgmma(shape) || operation->registers != fromRegisters ||
        (!fromRegisters && operation->a != aDescriptor) || operation->b != bDescriptor)
      block.report(ReportKind::NonUniformOperands, where,
                   "descriptors or shape differ over the threads of the warpgroup");
    if (operation->group != own.committed + 1)
      block.report(ReportKind::DivergentCollective, where,
                   "threads of the warpgroup have committed different numbers of groups");
  } else {
    operation = &begin(warpgroup, number, shape, aDescriptor, bDescriptor, fromRegisters, own.committed + 1, where);
  }
  // A thread that knows the same as one that was found to know enough knows enough, but perhaps of that one's own
  // writes.
  const ReadNeeds &needs = operation->needs;
  int like = operation->checkedLike;
  bool known = like >= 0 && block.ordering.sameKnowledge(uint32_t(like), self.index) &&
               block.ordering.knownProxied(self.index, uint32_t(like)) >= needs.written[like];
  if (!known && block.shadow.check(needs, self.index, "wgmma", where))
    operation->checkedLike = int(self.index);
  takeAccumulators(*operation, registers, lane, where);
  if (fromRegisters) {
    float *to = operation->fragments.data();
    if (shape.type == WgmmaType::TF32)
      for (uint32_t i = 0; i < 4; ++i)
        to[fragmentRow32(lane, i) * 8 + fragmentColumn32(lane, i)] = fromTF32(a[i]);
    else
      for (uint32_t i = 0; i < 8; ++i) {
        auto bits = uint16_t(a[i / 2] >> (i % 2 * 16));
        to[fragmentRow16(lane, i) * 16 + fragmentColumn16(lane, i)] =
            shape.type == WgmmaType::F16 ? fromF16(bits) : fromBF16(bits);
      }
  }
  uint32_t first = tagBase | operation->tag << 7;
  auto *bits = reinterpret_cast<Bits *>(registers);
  for (uint32_t i = 0, count = shape.n / 2; i < count; ++i)
    bits[i] = first + i;
  if (++operation->joined == 128)
    execute(warpgroup, *operation);
}

/// Reads an operand into a dense f32 panel: `to[mn * mnStep + k * kStep]`.
static void gather(const uint8_t *window, uint64_t bits, uint32_t extent, bool transposed, WgmmaType type, bool negate,
                   float *to, uint32_t mnStep, uint32_t kStep) {
  OperandDescriptor d = decodeDescriptor(bits);
  float sign = negate ? -1.0f : 1.0f;
  if (type == WgmmaType::TF32) {
    for (uint32_t mn = 0; mn < extent; ++mn)
      for (uint32_t k = 0; k < 8; ++k) {
        uint32_t value;
        memcpy(&value, window + kMajorAddress(d, mn, k, 4), 4);
        to[mn * mnStep + k * kStep] = sign * fromTF32(value);
      }
    return;
  }
  // 8 elements are contiguous, along k or along mn.
  auto chunk = [&](uint32_t address, float *values) {
    uint16_t halves[8];
    memcpy(halves, window + address, 16);
    for (uint32_t i = 0; i < 8; ++i)
      values[i] = sign * (type == WgmmaType::F16 ? fromF16(halves[i]) : fromBF16(halves[i]));
  };
  float values[8];
  if (transposed)
    for (uint32_t k = 0; k < 16; ++k)
      for (uint32_t mn = 0; mn < extent; mn += 8) {
        chunk(mnMajorAddress(d, mn, k), values);
        for (uint32_t i = 0; i < 8; ++i)
          to[(mn + i) * mnStep + k * kStep] = values[i];
      }
  else
    for (uint32_t mn = 0; mn < extent; ++mn)
      for (uint32_t k = 0; k < 16; k += 8) {
        chunk(kMajorAddress(d, mn, k, 2), values);
        for (uint32_t i = 0; i < 8; ++i)
          to[mn * mnStep + (k + i) * kStep] = values[i];
      }
}

void WgmmaUnit::execute(Warpgroup &warpgroup, Operation &operation) {
  const WgmmaShape &shape = operation.shape;
  uint32_t k = shape.type == WgmmaType::TF32 ? 8 : 16;
  const float *left = operation.fragments.data();
  if (!operation.registers) {
    gather(block.window, operation.a, 64, shape.transposeA, shape.type, shape.negateA, warpgroup.left.data(), k, 1);
    left = warpgroup.left.data();
  } else if (shape.negateA) {
    for (float &value : operation.fragments)
      value = -value;
  }
  gather(block.window, operation.b, shape.n, shape.transposeB, shape.type, shape.negateB, warpgroup.right.data(), 1,
         shape.n);
  multiply64(accumulators[operation.accumulator]->values.data(), left, warpgroup.right.data(), shape.n, k,
             shape.scaleD);
  results[operation.tag].ready = true;
  ++executed;
  ++warpgroup.executed;
  block.progress();
  warpgroup.idle.push_back(std::move(warpgroup.open.front()));
  warpgroup.open.erase(warpgroup.open.begin());
  auto finished = [&](uint16_t thread) {
    if (block.threads[thread].value > warpgroup.executed)
      return false;
    block.wake(thread);
    return true;
  };
  auto &waiters = warpgroup.waiters;
  waiters.erase(std::remove_if(waiters.begin(), waiters.end(), finished), waiters.end());
}

void WgmmaUnit::fence() { block.self().wgmma.fenced = true; }

void WgmmaUnit::commit() {
  WgmmaThread &own = block.self().wgmma;
  own.lastOperation[++own.committed % 64] = own.issued;
  own.uncommitted = 0;
}

/// The numbers behind tags of a finished group, as many as follow each other in `bits`; returns how many. An
/// accumulator that every thread has taken is free again.
uint32_t WgmmaUnit::resolve(Result &result, uint32_t registerIndex, Bits *bits, uint32_t count, uint32_t lane) {
  Accumulator &accumulator = *accumulators[result.accumulator];
  const float *values = accumulator.values.data();
  uint32_t n = accumulator.n, first = bits[0], done = 0;
  count = std::min(count, n / 2 - registerIndex);
  do {
    uint32_t index = registerIndex + done;
    memcpy(&bits[done], &values[accumulatorRow(lane, index) * n + accumulatorColumn(lane, index)], 4);
    ++done;
  } while (done < count && bits[done] == first + done);
  accumulator.resolved += done;
  if (accumulator.resolved == 64 * n)
    accumulator.used = false;
  return done;
}

void WgmmaUnit::wait(uint32_t pending, float *registers, uint32_t count, const uint8_t *used, const char *where) {
  Thread &self = block.self();
  WgmmaThread &own = self.wgmma;
  own.fenced = false;
  uint32_t target = own.committed > pending ? own.committed - pending : 0;
  if (target > own.finished) {
    Warpgroup &warpgroup = *warpgroups[self.index / 128];
    uint32_t last = own.lastOperation[target % 64];
    if (warpgroup.executed < last) {
      self.value = last;
      warpgroup.waiters.push_back(uint16_t(self.index));
      block.suspend(Waiting::Wgmma, self.index / 128, where);
    }
    own.finished = target;
    block.ordering.advance(self.index, block.ordering.groups(self.index / 128), target);
  }
  auto *bits = reinterpret_cast<Bits *>(registers);
  for (uint32_t i = 0; i < count; ++i) {
    uint32_t index;
    Result *found = result(registers[i], index);
    if (!found)
      continue;
    if (found->ready && !found->consumed && found->group <= own.finished)
      i += resolve(*found, index, bits + i, count - i, self.index % 128) - 1;
    else if (used && used[i])
      registers[i] = use(registers[i], where);
  }
}

float WgmmaUnit::use(float value, const char *where) {
  uint32_t index;
  Result *found = result(value, index);
  if (!found)
    return value;
  const WgmmaThread &own = block.self().wgmma;
  if (found->consumed)
    block.report(ReportKind::MissingWait, where, "uses an accumulator register that a later wgmma continues");
  else if (found->group > own.committed)
    block.report(ReportKind::MissingCommit, where, "uses an accumulator register whose wgmma was never committed");
  else if (found->group > own.finished)
    block.report(ReportKind::MissingWait, where,
                 fmt::format("uses an accumulator register of wgmma group {} while only group {} has been waited for",
                             found->group, own.finished));
  else
    resolve(*found, index, reinterpret_cast<Bits *>(&value), 1, block.self().index % 128);
  return value;
}

void WgmmaUnit::threadEnded() {
  const Thread &self = block.self();
  if (self.wgmma.uncommitted)
    block.report(ReportKind::OutstandingWork, self.where, "ends with wgmmas that were never committed");
  else if (self.wgmma.finished < self.wgmma.committed && self.wgmma.lastOperation[self.wgmma.committed % 64])
    block.report(ReportKind::OutstandingWork, self.where, "ends without wgmma.wait_group for its wgmmas");
}

std::string WgmmaUnit::describe(uint32_t thread) const {
  const Warpgroup &warpgroup = *warpgroups[thread / 128];
  if (warpgroup.open.empty())
    return "wgmma";
  const Operation &first = *warpgroup.open.front();
  return fmt::format("a wgmma that {} of 128 threads have issued [{}]", first.joined, first.where);
}

} // namespace bpt::emulator
