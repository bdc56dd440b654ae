// Generic loads, stores and atomics of kernels: EmulatorABI.def's checks before the access itself.
#include "Block.h"
#include "GlobalMemory.h"
#include <fmt/format.h>

using namespace bpt::emulator;

static void access(const void *address, uint64_t bytes, uint32_t packed, Access kind, const char *where) {
  Block &block = Block::current();
  uint32_t space = packed & 0xff, alignment = packed >> 8;
  if (alignment && reinterpret_cast<uintptr_t>(address) % alignment)
    block.fail(ReportKind::Misaligned, where,
               fmt::format("an access of {} bytes at {} is not aligned to {} bytes", bytes, address, alignment));
  if (block.inWindow(address)) {
    if (space == 1)
      block.fail(ReportKind::OutOfBounds, where, "a global access to a shared address");
    uint32_t offset = block.sharedOffset(address, bytes, 1, where, "the access");
    if (kind == Access::Read)
      block.shadow.read(offset, uint32_t(bytes), where);
    else
      block.shadow.write(offset, uint32_t(bytes), kind == Access::Atomic, where);
    return;
  }
  if (space == 3)
    block.fail(ReportKind::OutOfBounds, where,
               fmt::format("a shared access to {}, which is outside the block's shared memory", address));
  if (space == 0 && block.onStack(address))
    return;
  checkGlobal(block, address, bytes, kind, where);
}

extern "C" {
void bpt_emulated_read(const void *address, uint64_t bytes, uint32_t space, const char *where) {
  access(address, bytes, space, Access::Read, where);
}
void bpt_emulated_write(void *address, uint64_t bytes, uint32_t space, const char *where) {
  access(address, bytes, space, Access::Write, where);
}
void bpt_emulated_atomic(void *address, uint64_t bytes, uint32_t space, const char *where) {
  access(address, bytes, space, Access::Atomic, where);
}
}
