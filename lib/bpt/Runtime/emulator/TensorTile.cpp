// Tensor maps and the boxes that copies move (PTX ISA 8.7, 5.5).
#include "TensorTile.h"
#include "Block.h"
#include "GlobalMemory.h"
#include "WgmmaLayout.h"
#include "WgmmaProduct.h"
#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <mutex>

namespace bpt::emulator {

uint32_t elementBytes(TensorType type) {
  static const uint32_t bytes[] = {2, 2, 4, 4, 8, 1, 4};
  return bytes[uint32_t(type)];
}

static OperandSwizzle swizzleOf(const TensorMap &map) {
  static const OperandSwizzle kinds[] = {OperandSwizzle::None, OperandSwizzle::B32, OperandSwizzle::B64,
                                         OperandSwizzle::B128};
  return kinds[map.swizzle];
}

Status encodeTensorMap(TensorMap &map, void *base, TensorType type, uint32_t rank, const uint64_t *sizes,
                       const uint64_t *strides, const uint32_t *box, Swizzle swizzle) {
  // The limits are those of cuTensorMapEncodeTiled in the CUDA Driver API, 6.31 (tensor map object management).
  if (rank < 1 || rank > 5)
    return badInput(fmt::format("expected a tensor map of rank 1 to 5, but got {}", rank));
  if (reinterpret_cast<uintptr_t>(base) % 16)
    return badInput("expected the tensor's base to be aligned to 16 bytes");
  memset(static_cast<void *>(&map), 0, sizeof map);
  for (uint32_t i = 0; i < 5; ++i) {
    map.sizes[i] = i < rank ? sizes[i] : 1;
    map.box[i] = uint16_t(i < rank ? box[i] : 1);
    if (map.sizes[i] == 0 || map.sizes[i] > uint64_t(1) << 32)
      return badInput(fmt::format("expected size {} of a tensor map to be in [1, 2^32], but got {}", i, map.sizes[i]));
    if (i < rank && (box[i] == 0 || box[i] > 256))
      return badInput(fmt::format("expected box size {} of a tensor map to be in [1, 256], but got {}", i, box[i]));
    if (i + 1 < rank) {
      map.strides[i] = strides[i];
      if (strides[i] % 16 || strides[i] >= uint64_t(1) << 40)
        return badInput(fmt::format("expected stride {} of a tensor map to be a multiple of 16 below 2^40, but got {}",
                                    i, strides[i]));
    }
  }
  uint32_t rowBytes = box[0] * elementBytes(type);
  if (rowBytes % 16)
    return badInput(
        fmt::format("expected box rows of a tensor map to be a multiple of 16 bytes, but got {}", rowBytes));
  static const uint32_t widths[] = {~0u, 32, 64, 128};
  if (rowBytes > widths[uint32_t(swizzle)])
    return badInput(fmt::format("expected box rows of at most {} bytes with this swizzle, but got {}",
                                widths[uint32_t(swizzle)], rowBytes));
  // Narrower rows are legal, but what the hardware leaves between them is not documented.
  if (swizzle != Swizzle::None && rowBytes != widths[uint32_t(swizzle)])
    return badInput(fmt::format("the emulator needs box rows of {} bytes with this swizzle, but got {}",
                                widths[uint32_t(swizzle)], rowBytes));
  map.magic = tensorMapMagic;
  map.base = static_cast<uint8_t *>(base);
  map.rank = uint8_t(rank);
  map.type = uint8_t(type);
  map.swizzle = uint8_t(swizzle);
  return {};
}

uint32_t tileBytes(const TensorMap &map) {
  uint32_t bytes = elementBytes(TensorType(map.type));
  for (uint16_t size : map.box)
    bytes *= size;
  return bytes;
}

namespace {

/// A row of the box: where it lies in shared memory (before swizzling), and which of its bytes lie inside the tensor,
/// from `global` on.
struct Row {
  uint32_t shared, from, to;
  uint8_t *global;
};

/// Calls `visit(row)` for the box rows in order; `global` is null and [from, to) empty for rows that lie outside.
template <typename F> void forRows(const TensorMap &map, uint32_t offset, const int32_t *c, F visit) {
  uint32_t size = elementBytes(TensorType(map.type)), rowBytes = map.box[0] * size;
  int64_t low = std::max<int64_t>(0, -int64_t(c[0])),
          high = std::min<int64_t>(map.box[0], int64_t(map.sizes[0]) - c[0]);
  uint32_t index[5] = {};
  uint32_t rows = uint32_t(map.box[1]) * map.box[2] * map.box[3] * map.box[4];
  for (uint32_t row = 0; row < rows; ++row) {
    uint32_t rest = row;
    bool inside = low < high;
    int64_t distance = 0;
    for (uint32_t i = 1; i < 5; ++i) {
      index[i] = rest % map.box[i];
      rest /= map.box[i];
      int64_t position = int64_t(i < map.rank ? c[i] : 0) + index[i];
      inside = inside && position >= 0 && position < int64_t(map.sizes[i]);
      distance += position * int64_t(map.strides[i - 1]);
    }
    Row result{offset + row * rowBytes, 0, 0, nullptr};
    if (inside) {
      result.from = uint32_t(low) * size;
      result.to = uint32_t(high) * size;
      result.global = map.base + distance + (c[0] + low) * int64_t(size);
    }
    visit(result);
  }
}

/// Checks every row inside against the registered memory: the bounds once for all rows, since they lie in one tensor.
void checkRows(Block &block, const TensorMap &map, const int32_t *coordinates, Access access, const char *where) {
  if (!block.options->memory)
    return;
  forRows(map, 0, coordinates, [&](const Row &row) {
    if (row.global)
      checkGlobal(block, row.global, row.to - row.from, access, where);
  });
}

template <typename T, typename F>
void reduceRow(const Row &row, const uint8_t *window, OperandSwizzle kind, F combine) {
  for (uint32_t at = row.from; at < row.to; at += sizeof(T)) {
    T value, old;
    memcpy(&value, window + swizzle(row.shared + at, kind), sizeof(T));
    uint8_t *to = row.global + (at - row.from);
    memcpy(&old, to, sizeof(T));
    old = combine(old, value);
    memcpy(to, &old, sizeof(T));
  }
}

uint16_t toBF16(float value) {
  uint32_t bits;
  memcpy(&bits, &value, 4);
  if (value != value)
    return 0x7fff;
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

template <typename T> T combineIntegers(Reduction reduction, T a, T b) {
  switch (reduction) {
  case Reduction::Min:
    return std::min(a, b);
  case Reduction::Max:
    return std::max(a, b);
  case Reduction::And:
    return a & b;
  case Reduction::Or:
    return a | b;
  case Reduction::Xor:
    return a ^ b;
  default:
    return a + b;
  }
}

} // namespace

std::vector<std::pair<uint32_t, uint32_t>> storedRanges(const TensorMap &map, uint32_t offset,
                                                        const int32_t *coordinates) {
  uint32_t rowBytes = map.box[0] * elementBytes(TensorType(map.type));
  std::vector<std::pair<uint32_t, uint32_t>> ranges;
  forRows(map, offset, coordinates, [&](const Row &row) {
    if (!row.global)
      return;
    if (!ranges.empty() && ranges.back().first + ranges.back().second == row.shared)
      ranges.back().second += rowBytes;
    else
      ranges.emplace_back(row.shared, rowBytes);
  });
  return ranges;
}

void loadTile(Block &block, const TensorMap &map, uint32_t offset, const int32_t *coordinates, const char *where) {
  checkRows(block, map, coordinates, Access::Read, where);
  uint32_t rowBytes = map.box[0] * elementBytes(TensorType(map.type));
  OperandSwizzle kind = swizzleOf(map);
  forRows(map, offset, coordinates, [&](const Row &row) {
    for (uint32_t at = 0; at < rowBytes; at += 16) {
      uint8_t *to = block.window + swizzle(row.shared + at, kind);
      if (at >= row.from && at + 16 <= row.to) {
        memcpy(to, row.global + (at - row.from), 16);
        continue;
      }
      memset(to, 0, 16);
      uint32_t low = std::max(at, row.from), high = std::min(at + 16, row.to);
      if (low < high)
        memcpy(to + (low - at), row.global + (low - row.from), high - low);
    }
  });
}

void storeTile(Block &block, const TensorMap &map, uint32_t offset, const int32_t *coordinates, Reduction reduction,
               const char *where) {
  checkRows(block, map, coordinates, reduction == Reduction::None ? Access::Write : Access::Atomic, where);
  OperandSwizzle kind = swizzleOf(map);
  auto type = TensorType(map.type);
  const uint8_t *window = block.window;
  if (reduction == Reduction::None) {
    forRows(map, offset, coordinates, [&](const Row &row) {
      for (uint32_t at = row.from; at < row.to;) {
        uint32_t end = std::min(row.to, at / 16 * 16 + 16);
        memcpy(row.global + (at - row.from), window + swizzle(row.shared + at, kind), end - at);
        at = end;
      }
    });
    return;
  }
  bool integers = type == TensorType::I32;
  if (!integers &&
      (reduction != Reduction::Add || type == TensorType::U8 || type == TensorType::TF32 || type == TensorType::F16))
    block.fail(ReportKind::Unsupported, where, "this reduction of this element type is not emulated");
  if (integers && reduction > Reduction::Xor)
    block.fail(ReportKind::Unsupported, where, "inc and dec reductions are not emulated");
  // Blocks on other host threads may add to the same elements.
  static std::mutex mutex;
  std::lock_guard lock(mutex);
  forRows(map, offset, coordinates, [&](const Row &row) {
    if (integers)
      reduceRow<int32_t>(row, window, kind, [&](int32_t a, int32_t b) { return combineIntegers(reduction, a, b); });
    else if (type == TensorType::F32)
      reduceRow<float>(row, window, kind, [](float a, float b) { return a + b; });
    else if (type == TensorType::F64)
      reduceRow<double>(row, window, kind, [](double a, double b) { return a + b; });
    else
      reduceRow<uint16_t>(row, window, kind, [](uint16_t a, uint16_t b) { return toBF16(fromBF16(a) + fromBF16(b)); });
  });
}

} // namespace bpt::emulator
