// Allocations and copies on a device.
#include "DeviceMirror.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Sizes.h"
#include <cstring>

namespace bpt {

void DeviceMirror::release() {
  for (size_t i = 0; i < blocks.size(); ++i)
    isShared[i] ? device.releaseShared(blocks[i]) : device.release(blocks[i]);
  for (void *block : staging)
    if (block)
      device.releaseShared(block);
  staging.clear();
  blocks.clear();
  isShared.clear();
  if (arenaBlock)
    device.release(arenaBlock);
  if (hostBlock)
    device.releaseShared(hostBlock);
  arenaBlock = hostBlock = nullptr;
}

Status DeviceMirror::allocate(const Plan &plan, const std::vector<ArgumentInfo> &arguments,
                              const std::vector<Shape> &shapes, const std::string &entry) {
  release();
  Expected<void *> block = device.allocate(plan.arenaBytes, "the arena of " + inQuotes(entry));
  if (!block)
    return block.takeError();
  arenaBlock = *block;
  if (plan.hostBytes > 0) {
    Expected<void *> host =
        device.allocateShared(plan.hostBytes, "host memory of " + inQuotes(entry) + ", " + formatBytes(plan.hostBytes));
    if (!host)
      return host.takeError();
    hostBlock = *host;
  }
  for (size_t i = 0; i < shapes.size(); ++i) {
    Expected<int64_t> count = countElements(shapes[i], arguments[i].type);
    if (!count)
      return count.takeError();
    int64_t bytes = *count * bytesPerElement(arguments[i].type);
    std::string what = "argument " + inQuotes(arguments[i].name) + " of " + inQuotes(entry);
    bool shared = shapes[i].empty() && !isFloat(arguments[i].type);
    Expected<void *> argument = shared ? device.allocateShared(bytes, what) : device.allocate(bytes, what);
    if (!argument)
      return argument.takeError();
    blocks.push_back(*argument);
    isShared.push_back(shared);
    staging.push_back(nullptr);
    if (!shared && !isFloat(arguments[i].type)) {
      Expected<void *> staged = device.allocateShared(bytes, what);
      if (!staged)
        return staged.takeError();
      staging.back() = *staged;
    }
  }
  return {};
}

Status DeviceMirror::copyIn(size_t i, const Tensor &argument) {
  void *onHost = isShared[i] ? blocks[i] : staging[i];
  if (onHost)
    std::memcpy(onHost, argument.data(), static_cast<size_t>(argument.bytes()));
  return isShared[i] ? Status() : device.copyIn(blocks[i], onHost ? onHost : argument.data(), argument.bytes());
}

} // namespace bpt
