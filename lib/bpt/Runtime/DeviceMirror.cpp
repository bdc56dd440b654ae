// Allocations and copies on a device.
#include "DeviceMirror.h"
#include "bpt/Runtime/File.h"

namespace bpt {

void DeviceMirror::release() {
  for (void *block : blocks)
    device.release(block);
  blocks.clear();
  if (arenaBlock)
    device.release(arenaBlock);
  arenaBlock = nullptr;
}

Status DeviceMirror::allocate(int64_t arenaBytes, const std::vector<int64_t> &argumentBytes, const std::string &entry) {
  release();
  Expected<void *> block = device.allocate(arenaBytes, "the arena of " + inQuotes(entry));
  if (!block)
    return block.takeError();
  arenaBlock = *block;
  for (int64_t bytes : argumentBytes) {
    Expected<void *> argument = device.allocate(bytes, "an argument of " + inQuotes(entry));
    if (!argument)
      return argument.takeError();
    blocks.push_back(*argument);
  }
  return {};
}

Status DeviceMirror::copyIn(const std::vector<Tensor> &arguments) {
  for (size_t i = 0; i < arguments.size(); ++i)
    if (Status status = device.copyIn(blocks[i], arguments[i].data(), arguments[i].bytes()); !status)
      return status;
  return {};
}

} // namespace bpt
