// Moving a box of a tensor map to and from shared memory.
#pragma once
#include "bpt/Runtime/Emulator.h"
#include <utility>
#include <vector>

namespace bpt::emulator {
class Block;

constexpr uint64_t tensorMapMagic = 0x62707454656e736full;

/// Bytes of the box in shared memory.
uint32_t tileBytes(const TensorMap &map);

/// Copies the box at `coordinates` to shared memory; elements outside the tensor are zero.
void loadTile(Block &block, const TensorMap &map, uint32_t offset, const int32_t *coordinates, const char *where);

/// The ranges [offset, offset + bytes) of shared memory whose rows lie inside the tensor: what a store reads. A swizzle
/// moves bytes within their row only.
std::vector<std::pair<uint32_t, uint32_t>> storedRanges(const TensorMap &map, uint32_t offset,
                                                        const int32_t *coordinates);

/// Copies or reduces the box to global memory; elements outside the tensor are left out.
void storeTile(Block &block, const TensorMap &map, uint32_t offset, const int32_t *coordinates, Reduction reduction,
               const char *where);

} // namespace bpt::emulator
