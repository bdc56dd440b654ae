// Allocations and copies on a device.
#include "DeviceMirror.h"
#include "bpt/Runtime/File.h"
#include <cstring>

namespace bpt {

void DeviceMirror::release() {
  for (size_t i = 0; i < blocks.size(); ++i)
    isShared[i] ? device.releaseShared(blocks[i]) : device.release(blocks[i]);
  blocks.clear();
  isShared.clear();
  if (arenaBlock)
    device.release(arenaBlock);
  arenaBlock = nullptr;
}

Status DeviceMirror::allocate(int64_t arenaBytes, const std::vector<ArgumentInfo> &arguments,
                              const std::vector<Shape> &shapes, const std::string &entry) {
  release();
  Expected<void *> block = device.allocate(arenaBytes, "the arena of " + inQuotes(entry));
  if (!block)
    return block.takeError();
  arenaBlock = *block;
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
  }
  return {};
}

Status DeviceMirror::copyIn(size_t i, const Tensor &argument) {
  if (!isShared[i])
    return device.copyIn(blocks[i], argument.data(), argument.bytes());
  std::memcpy(blocks[i], argument.data(), static_cast<size_t>(argument.bytes()));
  return {};
}

} // namespace bpt
