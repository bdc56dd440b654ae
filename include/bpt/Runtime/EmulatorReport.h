// What the emulator finds wrong with a kernel.
#pragma once
#include <array>
#include <cstdint>
#include <string>

namespace bpt::emulator {

/// Kinds of findings. Each would be undefined, wrong or stuck on the GPU in some schedule, if not in this one.
enum class ReportKind {
  BadLaunch,              ///< grid, block or shared memory beyond the hardware's limits
  Deadlock,               ///< no thread can go on; the text says who waits for what
  MissingWait,            ///< an accumulator register used while its wgmma group is in flight
  MissingCommit,          ///< an accumulator register used whose wgmma was never committed
  MissingWgmmaFence,      ///< wgmma after register accesses without wgmma.fence
  UnobservedCopy,         ///< shared memory read (or overwritten) before the mbarrier phase of its copy was observed
  StageReusedEarly,       ///< shared memory overwritten while an asynchronous reader may not have finished
  UninitialisedRead,      ///< shared or global memory nobody has written
  OutOfBounds,            ///< outside the shared memory or every registered region
  Misaligned,             ///< an address that the instruction does not accept
  DataRace,               ///< two accesses to shared memory with nothing that orders them
  MissingProxyFence,      ///< generic writes used by the async proxy without fence.proxy.async
  BadDescriptor,          ///< a wgmma descriptor or shape that the hardware refuses or misreads
  NonUniformOperands,     ///< operands that differ over a warpgroup or warp where they must not
  DivergentCollective,    ///< threads of a warp or warpgroup in different collectives
  BarrierMisuse,          ///< named barriers: ids, counts, arriving twice
  BadMbarrier,            ///< an mbarrier not initialised, overwritten, or initialised twice
  TooManyArrivals,        ///< more arrivals in a phase than the mbarrier counts
  TransactionMismatch,    ///< bytes expected and bytes copied differ at the end
  StoreSourceOverwritten, ///< the source of a bulk store overwritten before wait_group.read
  OutstandingWork,        ///< a thread ended with asynchronous work that nobody waits for
  BadTensorMap,           ///< not a tensor map, or a box that the instruction does not accept
  TooManyRegisters,       ///< setmaxnreg asks for more than a multiprocessor has
  Trap,                   ///< the kernel trapped
  Unsupported             ///< what the emulator cannot do
};

/// The kind's name, as written above.
const char *toString(ReportKind kind);

struct Report {
  ReportKind kind = ReportKind::BadLaunch;
  std::string kernel;
  std::string location; ///< of the instruction: its debug location, else function, mnemonic and ordinal
  std::array<uint32_t, 3> block{};
  int warp = -1, thread = -1; ///< in the block; -1 where it is nobody's
  std::string text;           ///< what, with addresses as offsets in shared memory
};

/// One line: kernel, block, warp and thread, location, kind, text.
std::string toString(const Report &report);

} // namespace bpt::emulator
