// What an entry has on a device with memory of its own: its arena, that in host memory, and copies of its arguments.
#pragma once
#include "bpt/Runtime/Device.h"
#include "bpt/Runtime/Plan.h"
#include "bpt/Runtime/Tensor.h"
#include <memory>
#include <vector>

namespace bpt {

class DeviceMirror {
public:
  explicit DeviceMirror(Device &device) : device(device) {}
  ~DeviceMirror() { release(); }
  DeviceMirror(const DeviceMirror &) = delete;
  DeviceMirror &operator=(const DeviceMirror &) = delete;

  /// Memory for the arenas of `plan` and arguments of these shapes; integers of rank 0 are where the host reads them,
  /// too, and other integers (tokens, which change every step) come by way of memory that the device reads by itself.
  /// What was there before is lost. Exit 4 when the device refuses.
  Status allocate(const Plan &plan, const std::vector<ArgumentInfo> &arguments, const std::vector<Shape> &shapes,
                  const std::string &entry);

  /// Copies argument `i` to the device.
  Status copyIn(size_t i, const Tensor &argument);

  uint8_t *arena() const { return static_cast<uint8_t *>(arenaBlock); }
  uint8_t *host() const { return static_cast<uint8_t *>(hostBlock); }
  const std::vector<void *> &arguments() const { return blocks; }

private:
  void release();

  Device &device;
  void *arenaBlock = nullptr, *hostBlock = nullptr;
  std::vector<void *> blocks;
  std::vector<bool> isShared;  ///< of blocks
  std::vector<void *> staging; ///< of arguments, on the host; null: copied from where they are
};

} // namespace bpt
