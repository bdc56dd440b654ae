// Bulk copies between global and shared memory: tensors through tensor maps (TMA), rows of bytes without one.
#pragma once

#include "KernelBuilder.h"

namespace bpt::hopper {

/// Copies of one thread. Coordinates are i32 in elements, innermost dim first, one to five of them, and may lie outside
/// of the tensor: loads give zeros there, stores and reductions leave them out. Shared addresses are aligned to 128
/// bytes, to 1024 with the 128-byte swizzle.
class TensorMemory {
public:
  using Value = mlir::Value;
  explicit TensorMemory(KernelBuilder &e) : e(e) {}

  /// Fetches a tensor map ahead of its first use.
  void prefetch(Value map);
  /// The box of `map` at `coordinates` to shared memory; its bytes are counted on `barrier`.
  void load(Value map, mlir::ValueRange coordinates, Value shared, Value barrier);
  /// The box from shared memory to the tensor; completion by commit and wait. Generic writes of the source need
  /// fenceWrites and a barrier before.
  void store(Value map, mlir::ValueRange coordinates, Value shared);
  /// The same, adding to what is there.
  void reduceAdd(Value map, mlir::ValueRange coordinates, Value shared);
  /// `bytes` (a multiple of 16) from global to shared memory, both aligned to 16 bytes; counted on `barrier`.
  void loadRow(Value global, Value shared, int64_t bytes, Value barrier);

  /// Ends a group of stores.
  void commit();
  /// Waits until the sources of all but the last `pending` groups have been read, or until they have been written out.
  void waitRead(int64_t pending = 0);
  void waitWritten(int64_t pending = 0);
  /// Shows generic writes of shared memory by this thread to TMA and wgmma; other threads learn by a barrier after it.
  void fenceWrites();

private:
  Value toCluster(Value shared);
  KernelBuilder &e;
};

} // namespace bpt::hopper
