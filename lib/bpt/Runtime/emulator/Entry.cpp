// The functions of EmulatorABI.def.
#include "Block.h"
#include <algorithm>
#include <chrono>
#include <cstring>
#include <fmt/format.h>

using namespace bpt::emulator;

namespace bpt::emulator {

const Symbol *symbols() {
  static const Symbol list[] = {
#define BPT_EMULATOR_FUNCTION(name, result, parameters) {#name, reinterpret_cast<void *>(&name)},
#include "bpt/Runtime/EmulatorABI.def"
      {nullptr, nullptr}};
  return list;
}

} // namespace bpt::emulator

static Block &block() { return Block::current(); }

/// Accepts 32-bit shared addresses as well as host addresses.
static void *shared(void *address) {
  auto bits = reinterpret_cast<uintptr_t>(address);
  return bits >> 32 ? address : block().window + (bits & (windowBytes - 1));
}
static const void *shared(const void *address) { return shared(const_cast<void *>(address)); }

extern "C" {

uint8_t *bpt_emulated_shared(void) { return block().window + reservedBytes; }

void *bpt_emulated_shared_address(uint64_t address) { return block().window + (address & (windowBytes - 1)); }

uint32_t bpt_emulated_is_space(const void *address, uint32_t space) {
  bool isShared = block().inWindow(address), local = block().onStack(address);
  return space == 3 ? isShared : space == 5 ? local : !isShared && !local;
}

uint64_t bpt_emulated_special_register(uint32_t which) {
  Block &b = block();
  const Launch &launch = *b.launch;
  uint32_t thread = b.self().index, lane = thread % 32;
  switch (SpecialRegister(which)) {
  case SpecialRegister::TidX:
    return thread % launch.block[0];
  case SpecialRegister::TidY:
    return thread / launch.block[0] % launch.block[1];
  case SpecialRegister::TidZ:
    return thread / launch.block[0] / launch.block[1];
  case SpecialRegister::NtidX:
  case SpecialRegister::NtidY:
  case SpecialRegister::NtidZ:
    return launch.block[which - uint32_t(SpecialRegister::NtidX)];
  case SpecialRegister::CtaidX:
  case SpecialRegister::CtaidY:
  case SpecialRegister::CtaidZ:
    return b.position[which - uint32_t(SpecialRegister::CtaidX)];
  case SpecialRegister::NctaidX:
  case SpecialRegister::NctaidY:
  case SpecialRegister::NctaidZ:
    return launch.grid[which - uint32_t(SpecialRegister::NctaidX)];
  case SpecialRegister::LaneId:
    return lane;
  case SpecialRegister::WarpId:
    return thread / 32;
  case SpecialRegister::NwarpId:
    return (b.threadCount() + 31) / 32;
  case SpecialRegister::LanemaskEq:
    return 1u << lane;
  case SpecialRegister::LanemaskLe:
    return (2ull << lane) - 1;
  case SpecialRegister::LanemaskLt:
    return (1u << lane) - 1;
  case SpecialRegister::LanemaskGe:
    return uint32_t(~((1u << lane) - 1));
  case SpecialRegister::LanemaskGt:
    return uint32_t(~((2ull << lane) - 1));
  case SpecialRegister::NsmId:
  case SpecialRegister::ClusterSize:
    return 1;
  case SpecialRegister::Clock:
  case SpecialRegister::Clock64:
  case SpecialRegister::GlobalTimer:
    return uint64_t(std::chrono::steady_clock::now().time_since_epoch().count());
  case SpecialRegister::DynamicSharedSize:
    return launch.sharedBytes;
  case SpecialRegister::TotalSharedSize:
    return launch.sharedBytes + reservedBytes;
  case SpecialRegister::SmId:
  case SpecialRegister::GridId:
  case SpecialRegister::ClusterRank:
    return 0;
  }
  return 0;
}

void bpt_emulated_mbarrier_init(void *barrier, uint32_t count, const char *where) {
  block().mbarriers.initialise(shared(barrier), count, where);
}
void bpt_emulated_mbarrier_invalidate(void *barrier, const char *where) {
  block().mbarriers.invalidate(shared(barrier), where);
}
uint64_t bpt_emulated_mbarrier_arrive(void *barrier, uint32_t count, uint32_t bytes, uint32_t drop, const char *where) {
  return block().mbarriers.arrive(shared(barrier), count, bytes, drop != 0, where);
}
void bpt_emulated_mbarrier_expect(void *barrier, uint32_t bytes, const char *where) {
  block().mbarriers.expect(shared(barrier), bytes, where);
}
void bpt_emulated_mbarrier_complete(void *barrier, uint32_t bytes, const char *where) {
  block().mbarriers.complete(shared(barrier), bytes, where);
}
uint32_t bpt_emulated_mbarrier_try_wait(void *barrier, uint64_t state, uint32_t parity, const char *where) {
  return block().mbarriers.wait(shared(barrier), state, parity != 0, true, where);
}
uint32_t bpt_emulated_mbarrier_test_wait(void *barrier, uint64_t state, uint32_t parity, const char *where) {
  return block().mbarriers.wait(shared(barrier), state, parity != 0, false, where);
}

void bpt_emulated_barrier_sync(uint32_t id, uint32_t count, uint32_t, const char *where) {
  block().barriers.sync(id, count, where);
}
void bpt_emulated_barrier_arrive(uint32_t id, uint32_t count, uint32_t, const char *where) {
  block().barriers.arrive(id, count, where);
}

void bpt_emulated_fence_proxy_async(const char *) { block().ordering.fence(block().self().index); }
void bpt_emulated_fence_mbarrier_init(const char *) { block().mbarriers.fenceInitialisation(); }

void bpt_emulated_tensor_load(void *destination, void *barrier, const void *map, uint32_t rank,
                              const int32_t *coordinates, const char *where) {
  block().copies.tensorLoad(shared(destination), shared(barrier), map, rank, coordinates, where);
}
void bpt_emulated_tensor_store(const void *map, const void *source, uint32_t rank, const int32_t *coordinates,
                               uint32_t reduction, const char *where) {
  block().self().where = where;
  block().copies.tensorStore(map, shared(source), rank, coordinates, Reduction(reduction), where);
}
void bpt_emulated_tensor_prefetch(const void *map, const char *where) { block().copies.checkMap(map, where); }
void bpt_emulated_bulk_load(void *destination, void *barrier, const void *source, uint32_t bytes, const char *where) {
  block().copies.load(shared(destination), shared(barrier), source, bytes, where);
}
void bpt_emulated_bulk_store(void *destination, const void *source, uint32_t bytes, const char *where) {
  block().self().where = where;
  block().copies.store(destination, shared(source), bytes, where);
}
void bpt_emulated_bulk_commit(const char *) { block().copies.commit(); }
void bpt_emulated_bulk_wait(uint32_t pending, uint32_t read, const char *) { block().copies.wait(pending, read != 0); }

void bpt_emulated_wgmma(float *accumulators, uint64_t shape, const uint32_t *a, uint64_t a_descriptor,
                        uint64_t b_descriptor, const char *where) {
  block().self().where = where;
  block().wgmma.issue(accumulators, unpackWgmma(shape), a, a_descriptor, b_descriptor, where);
}
void bpt_emulated_wgmma_fence(const char *) { block().wgmma.fence(); }
void bpt_emulated_wgmma_unfence(const char *) { block().self().wgmma.fenced = false; }
void bpt_emulated_wgmma_commit(const char *) { block().wgmma.commit(); }
void bpt_emulated_wgmma_wait(uint32_t pending, float *registers, uint32_t count, const uint8_t *used,
                             const char *where) {
  block().wgmma.wait(pending, registers, count, used, where);
}
float bpt_emulated_accumulator(float value, const char *where) { return block().wgmma.use(value, where); }

void bpt_emulated_trap(const char *where) { block().fail(ReportKind::Trap, where, "the kernel trapped"); }

} // extern "C"
