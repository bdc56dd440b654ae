// XXH64 as specified in xxHash's doc/xxhash_spec.md (Yann Collet), little-endian machines only, as the rest of the runtime.
#include "bpt/Runtime/Checksum.h"

#include <algorithm>
#include <cstring>

namespace bpt {

static constexpr uint64_t prime1 = 0x9e3779b185ebca87, prime2 = 0xc2b2ae3d27d4eb4f, prime3 = 0x165667b19e3779f9,
                          prime4 = 0x85ebca77c2b2ae63, prime5 = 0x27d4eb2f165667c5;

static uint64_t rotate(uint64_t x, int bits) { return x << bits | x >> (64 - bits); }

static uint64_t mixLane(uint64_t lane, uint64_t input) { return rotate(lane + input * prime2, 31) * prime1; }

template <typename T> static uint64_t load(const unsigned char *p) {
  T value;
  std::memcpy(&value, p, sizeof(T));
  return value;
}

static void consume(uint64_t lanes[4], const unsigned char *p) {
  for (int i = 0; i < 4; ++i)
    lanes[i] = mixLane(lanes[i], load<uint64_t>(p + 8 * i));
}

void Checksum::update(const void *data, size_t bytes) {
  auto *p = static_cast<const unsigned char *>(data);
  total += bytes;
  if (pendingBytes) {
    size_t taken = std::min(bytes, sizeof(pending) - pendingBytes);
    std::memcpy(pending + pendingBytes, p, taken);
    pendingBytes += taken;
    p += taken;
    bytes -= taken;
    if (pendingBytes < sizeof(pending))
      return;
    consume(lanes, pending);
    pendingBytes = 0;
  }
  for (; bytes >= sizeof(pending); p += sizeof(pending), bytes -= sizeof(pending))
    consume(lanes, p);
  if (bytes)
    std::memcpy(pending, p, bytes);
  pendingBytes = bytes;
}

uint64_t Checksum::value() const {
  uint64_t h = prime5;
  if (total >= sizeof(pending)) {
    h = rotate(lanes[0], 1) + rotate(lanes[1], 7) + rotate(lanes[2], 12) + rotate(lanes[3], 18);
    for (uint64_t lane : lanes)
      h = (h ^ mixLane(0, lane)) * prime1 + prime4;
  }
  h += total;
  const unsigned char *p = pending, *end = pending + pendingBytes;
  for (; end - p >= 8; p += 8)
    h = rotate(h ^ mixLane(0, load<uint64_t>(p)), 27) * prime1 + prime4;
  if (end - p >= 4) {
    h = rotate(h ^ load<uint32_t>(p) * prime1, 23) * prime2 + prime3;
    p += 4;
  }
  for (; p < end; ++p)
    h = rotate(h ^ *p * prime5, 11) * prime1;
  h = (h ^ h >> 33) * prime2;
  h = (h ^ h >> 29) * prime3;
  return h ^ h >> 32;
}

std::string Checksum::text() const {
  static const char digits[] = "0123456789abcdef";
  std::string result(16, '0');
  uint64_t h = value();
  for (int i = 15; i >= 0; --i, h >>= 4)
    result[i] = digits[h & 15];
  return result;
}

} // namespace bpt
