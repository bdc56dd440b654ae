// The memory plan of an entry for given sizes and threads: where every slot lies, how large the arena is, and who is
// alive at the peak. Known before anything runs.
#pragma once
#include "bpt/Runtime/Manifest.h"
#include "bpt/Runtime/Packer.h"
#include <cstdint>
#include <string>
#include <vector>

namespace bpt {

struct PlannedSlot {
  std::string name;
  std::string kind;
  int64_t bytes = 0; ///< as the formula says, before alignment
  int64_t offset = 0;
  int64_t first = 0;
  int64_t last = 0;

  /// Whether it lies in host memory, for a device with memory of its own: not in the arena, but in one beside it.
  bool isOnHost() const { return kind == "host"; }
};

struct Plan {
  std::vector<PlannedSlot> slots; ///< the entry's slots in order, then possibly the thread scratch
  std::vector<int64_t> offsets;   ///< of `slots`, each in its arena
  int64_t arenaBytes = 0;
  int64_t hostBytes = 0;  ///< of the arena in host memory
  int64_t lowerBound = 0; ///< bytes alive at `peakTime`; no plan can be smaller
  int64_t peakTime = 0;
  int64_t threads = 1;
  int64_t scratchStride = 0; ///< bytes per thread, a multiple of 64; 0 when no scratch is needed
  int64_t scratchOffset = 0; ///< of thread 0

  int64_t sharedScratchOffset() const { return scratchOffset + threads * scratchStride; }

  /// What compiled code receives: offsets from `arena`, also for what is in the host's.
  std::vector<int64_t> offsetsFrom(const uint8_t *arena, const uint8_t *host) const;

  /// Indices of the slots of the arena alive at its peak, largest first, then in order.
  std::vector<size_t> alivePeak() const;
};

/// Plans `entry` of `manifest` for the dynamic dimensions `dims` and `threads` >= 1.
/// Errors: a formula that does not evaluate or is negative (names the slot), sizes beyond 63 bits.
Expected<Plan> planEntry(const Manifest &manifest, const EntryInfo &entry, const std::vector<int64_t> &dims,
                         int threads, PackEffort effort = PackEffort::Full);

/// What the arena of `entry` needs at least, as a formula over its dynamic dims: the largest of the sums of what is
/// alive at a time. For plans before sizes are known.
std::string formatPlanFormula(const Manifest &manifest, const EntryInfo &entry);

/// Ok when `plan` fits into `limit` bytes (0: no limit); else exit 4 with both numbers, a remedy and the plan's table.
Status checkMemoryLimit(const Plan &plan, const std::string &entry, int64_t limit);

/// A table for people: totals per kind at the peak, then the `rows` largest slots alive there.
std::string formatPlan(const Plan &plan, size_t rows = 20);

/// The same for programs: {"arena_bytes","host_bytes","lower_bound_bytes","peak_time","threads","kinds":{..},"alive":[..]}.
std::string planJson(const Plan &plan);

/// The dynamic sizes of arguments of these shapes, in the order compiled code wants them.
std::vector<int64_t> dynamicSizes(const EntryInfo &entry, const std::vector<Shape> &shapes);

/// Bytes of a tensor in an arena; the shape is one of a signature that was checked.
int64_t alignedBytes(DataType type, const Shape &shape);

} // namespace bpt
