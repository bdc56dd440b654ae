// XXH64 of a stream of bytes: the checksum by which checkpoints are verified (`xxhsum -H64` prints the same).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace bpt {

/// XXH64 with seed 0, fed in pieces of any size.
class Checksum {
public:
  void update(const void *data, size_t bytes);
  uint64_t value() const;
  /// The value as 16 hexadecimal digits.
  std::string text() const;

private:
  uint64_t lanes[4] = {0x60ea27eeadc0b5d6, 0xc2b2ae3d27d4eb4f, 0, 0x61c8864e7a143579};
  unsigned char pending[32] = {};
  size_t pendingBytes = 0;
  uint64_t total = 0;
};

} // namespace bpt
