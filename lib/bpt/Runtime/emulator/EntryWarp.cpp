// Collectives of a warp: EmulatorABI.def's functions on top of the exchange of values (PTX
// ISA 8.7, 9.7.9.6, 9.7.13, 9.7.14.5).
#include "Block.h"
#include <algorithm>
#include <cstring>
#include <fmt/format.h>

using namespace bpt::emulator;

static Block &block() { return Block::current(); }

/// stmatrix and ldmatrix: lane 8m + r gives the address of row r of matrix m, lane l holds elements 2(l%4) and 2(l%4)
/// + 1 of row l/4 (transposed: of column l/4). Calls `element(byte offset of the element in shared memory, matrix,
/// half)`.
template <typename F> static void forElements(const uint64_t *rows, uint32_t matrices, bool transposed, F element) {
  uint32_t lane = block().self().index % 32;
  for (uint32_t matrix = 0; matrix < matrices; ++matrix)
    for (uint32_t half = 0; half < 2; ++half) {
      uint32_t major = lane / 4, minor = lane % 4 * 2 + half;
      uint32_t row = transposed ? minor : major, column = transposed ? major : minor;
      element(uint32_t(rows[matrix * 8 + row]) + column * 2, matrix, half);
    }
}

/// Meets the warp with the lane's row address as an offset; lanes beyond 8 * matrices bring none.
static const uint64_t *meet(Collective kind, const void *row, uint32_t matrices, const char *where) {
  uint64_t offset = 0;
  if (block().self().index % 32 < matrices * 8) {
    auto bits = reinterpret_cast<uintptr_t>(row);
    const void *address = bits >> 32 ? row : block().window + (bits & (windowBytes - 1));
    offset = block().sharedOffset(address, 16, 16, where, "the matrix row");
  }
  return block().warps.exchange(kind, ~0u, offset, true, where);
}

extern "C" {

void bpt_emulated_warp_sync(uint32_t mask, const char *where) {
  block().warps.exchange(Collective::Sync, mask, 0, false, where);
}

uint64_t bpt_emulated_shuffle(uint32_t mode, uint32_t mask, uint32_t value, uint32_t lane, uint32_t clamp,
                              const char *where) {
  static const Collective kinds[] = {Collective::ShuffleUp, Collective::ShuffleDown, Collective::ShuffleButterfly,
                                     Collective::ShuffleIndex};
  const uint64_t *values = block().warps.exchange(kinds[mode], mask, value, false, where);
  uint32_t own = block().self().index % 32;
  // PTX ISA 8.7, 9.7.9.6: c = clamp, segment mask in bits 8..12.
  uint32_t segment = clamp >> 8 & 31, bound = (own & segment) | (clamp & 31 & ~segment), lowest = own & segment;
  uint32_t source = own;
  bool valid = false;
  lane &= 31;
  switch (ShuffleMode(mode)) {
  case ShuffleMode::Up:
    source = own - lane;
    valid = int32_t(own - lane) >= int32_t(bound);
    break;
  case ShuffleMode::Down:
    source = own + lane;
    valid = source <= bound;
    break;
  case ShuffleMode::Butterfly:
    source = own ^ lane;
    valid = source <= bound;
    break;
  case ShuffleMode::Index:
    source = lowest | (lane & ~segment);
    valid = source <= bound;
    break;
  }
  if (!valid)
    source = own;
  if (!(mask >> source & 1))
    block().report(ReportKind::DivergentCollective, where,
                   fmt::format("reads lane {}, which is not in the member mask {:#x}", source, mask));
  return uint32_t(values[source]) | uint64_t(valid) << 32;
}

uint64_t bpt_emulated_elect(uint32_t mask, const char *where) {
  block().warps.exchange(Collective::Elect, mask, 0, false, where);
  uint32_t leader = uint32_t(__builtin_ctz(mask));
  return leader | uint64_t(block().self().index % 32 == leader) << 32;
}

uint32_t bpt_emulated_vote(uint32_t mode, uint32_t mask, uint32_t predicate, const char *where) {
  static const Collective kinds[] = {Collective::VoteAll, Collective::VoteAny, Collective::VoteUniform,
                                     Collective::VoteBallot};
  const uint64_t *values = block().warps.exchange(kinds[mode], mask, predicate & 1, false, where);
  uint32_t ballot = 0;
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1)
      ballot |= uint32_t(values[lane]) << lane;
  switch (VoteMode(mode)) {
  case VoteMode::All:
    return ballot == mask;
  case VoteMode::Any:
    return ballot != 0;
  case VoteMode::Uniform:
    return ballot == mask || ballot == 0;
  case VoteMode::Ballot:
    break;
  }
  return ballot;
}

uint32_t bpt_emulated_redux(uint32_t operation, uint32_t mask, uint32_t value, const char *where) {
  const uint64_t *values =
      block().warps.exchange(Collective::Redux, mask, uint64_t(operation) << 32 | value, false, where);
  uint32_t result = value;
  for (uint32_t lane = 0; lane < 32; ++lane) {
    if (!(mask >> lane & 1) || lane == block().self().index % 32)
      continue;
    auto other = uint32_t(values[lane]);
    if (values[lane] >> 32 != operation)
      block().report(ReportKind::DivergentCollective, where, "lanes of the warp reduce with different operations");
    switch (ReduxOperation(operation)) {
    case ReduxOperation::Add:
      result += other;
      break;
    case ReduxOperation::Min:
      result = uint32_t(std::min(int32_t(result), int32_t(other)));
      break;
    case ReduxOperation::Max:
      result = uint32_t(std::max(int32_t(result), int32_t(other)));
      break;
    case ReduxOperation::UnsignedMin:
      result = std::min(result, other);
      break;
    case ReduxOperation::UnsignedMax:
      result = std::max(result, other);
      break;
    case ReduxOperation::And:
      result &= other;
      break;
    case ReduxOperation::Or:
      result |= other;
      break;
    case ReduxOperation::Xor:
      result ^= other;
      break;
    }
  }
  return result;
}

uint64_t bpt_emulated_match(uint32_t all, uint32_t mask, uint64_t value, const char *where) {
  const uint64_t *values =
      block().warps.exchange(all ? Collective::MatchAll : Collective::MatchAny, mask, value, false, where);
  uint32_t same = 0;
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1 && values[lane] == value)
      same |= 1u << lane;
  if (!all)
    return same;
  return same == mask ? mask | uint64_t(1) << 32 : 0;
}

void bpt_emulated_stmatrix(void *row, uint32_t matrices, uint32_t transposed, const uint32_t *values,
                           const char *where) {
  uint64_t rows[32];
  memcpy(rows, meet(Collective::StoreMatrix, row, matrices, where), sizeof rows);
  uint32_t lane = block().self().index % 32;
  for (uint32_t matrix = 0; !transposed && matrix < matrices; ++matrix) { // a lane's two elements are neighbours
    uint32_t offset = uint32_t(rows[matrix * 8 + lane / 4]) + lane % 4 * 4;
    block().shadow.write(offset, 4, false, where);
    memcpy(block().window + offset, &values[matrix], 4);
  }
  if (!transposed)
    return;
  forElements(rows, matrices, transposed != 0, [&](uint32_t offset, uint32_t matrix, uint32_t half) {
    auto value = uint16_t(values[matrix] >> half * 16);
    block().shadow.write(offset, 2, false, where);
    memcpy(block().window + offset, &value, 2);
  });
}

void bpt_emulated_ldmatrix(const void *row, uint32_t matrices, uint32_t transposed, uint32_t *values,
                           const char *where) {
  uint64_t rows[32];
  memcpy(rows, meet(Collective::LoadMatrix, row, matrices, where), sizeof rows);
  forElements(rows, matrices, transposed != 0, [&](uint32_t offset, uint32_t matrix, uint32_t half) {
    uint16_t value;
    block().shadow.read(offset, 2, where);
    memcpy(&value, block().window + offset, 2);
    values[matrix] = half ? (values[matrix] & 0xffff) | uint32_t(value) << 16 : value;
  });
}

void bpt_emulated_setmaxnreg(uint32_t increase, uint32_t registers, const char *where) {
  const uint64_t *values =
      block().warps.exchange(Collective::SetRegisters, ~0u, increase << 16 | registers, true, where);
  uint32_t own = block().self().index % 32;
  for (uint32_t lane = 0; lane < 32; ++lane)
    if (values[lane] != values[own])
      block().report(ReportKind::NonUniformOperands, where, "setmaxnreg differs over the warp");
  if (registers % 8 || registers < 24 || registers > 256)
    block().report(ReportKind::Unsupported, where,
                   fmt::format("expected a multiple of 8 in [24, 256], but got {}", registers));
  block().self().registers = registers;
  block().self().registersWhere = where;
}
}
