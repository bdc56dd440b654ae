// A compiled program in memory: its manifest, its code, and entries that can be planned and run.
#pragma once
#include "bpt/Runtime/Arena.h"
#include "bpt/Runtime/Device.h"
#include "bpt/Runtime/Manifest.h"
#include "bpt/Runtime/Plan.h"
#include "bpt/Runtime/Tensor.h"
#include "bpt/Runtime/Threads.h"
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace bpt {

/// Address of the code of `symbol`, or null when there is none.
using SymbolResolver = std::function<void *(const std::string &symbol)>;

struct PrepareOptions {
  int threads = 1;
  int64_t memoryLimit = 0; ///< bytes the arena may have; 0: no limit. Above it: exit 4 with the plan's table
  /// Arena to run in, grown when it is too small; null: the entry has its own. Entries that share one never run at
  /// the same time, and results of one die with the run of another.
  std::shared_ptr<Arena> arena;
};

/// One function of a program. Not for use by several threads at once.
class Entry {
public:
  const EntryInfo &info() const;

  /// Plans for arguments of these shapes (in the order of the signature; checked against it) and allocates the arena.
  /// Errors: shapes that do not fit the signature (exit 1), over the limit or refused allocation (exit 4).
  Status prepare(const std::vector<Shape> &shapes, const PrepareOptions &options);

  /// The plan of the last prepare().
  const Plan &plan() const;

  /// Shapes of the results for the last prepare().
  const std::vector<Shape> &resultShapes() const;

  /// Floating point operations of one run at the prepared sizes (model FLOPs of visible work).
  int64_t flops() const;

  /// Runs on `arguments` (in the order of the signature, with the prepared shapes). Results are views: into the arena,
  /// valid until the next run or prepare, or of the argument that was updated in place. Integer arguments with a range
  /// are checked first: a value outside is exit 1 with its index.
  Expected<std::vector<Tensor>> run(const std::vector<Tensor> &arguments);

  /// On a device with memory of its own: arguments that are updated in place are copied there by the first run only, and stay there until
  /// fetchUpdates().
  void keepUpdates(bool keep);
  /// Brings what runs have updated to the tensors they were given, after keepUpdates(true); nothing to do elsewhere.
  Status fetchUpdates();

  /// On a device with memory of its own: each run calls `work` once everything is started, before it waits. Integer arguments have been
  /// copied by then and may change.
  void whileRunning(std::function<void()> work);

  /// On a device with memory of its own: later runs take the arguments that the last one copied there and leave the results there; what
  /// they return is not filled in. For measuring; false ends it.
  void stayOnDevice(bool stay);

  /// Has runs report to `profile` (null: to nobody), which outlives them. Only code compiled for profiling says more
  /// than how long each run took.
  void profileInto(Profile *profile);

private:
  friend class Program;
  struct Impl;
  std::shared_ptr<Impl> impl;
};

/// A manifest with the code it describes.
class Program {
public:
  /// Takes over a manifest whose code `resolve` finds (the JIT's way in). `keepAlive` is held as long as the program or
  /// an entry of it lives. Errors: a CPU feature this machine lacks (exit 1, names it), a missing symbol.
  /// `device` runs the kernels of a program that has some.
  static Expected<Program> create(Manifest manifest, const SymbolResolver &resolve,
                                  std::shared_ptr<void> keepAlive = nullptr, std::shared_ptr<Device> device = nullptr);

  /// Loads a shared object made by bpt-compile. Errors: exit 5 when it cannot be read, exit 1 when it is not one.
  static Expected<Program> open(const std::string &path);

  const Manifest &manifest() const;

  /// The entry called `name` (empty: the only one), not yet prepared.
  Expected<Entry> entry(const std::string &name) const;

private:
  friend class Entry;
  struct Impl;
  std::shared_ptr<const Impl> impl;
};

/// Ok when this machine has every feature of `features` ("+avx512f"; names as in LLVM); else exit 1 naming the missing
/// ones and the remedy.
Status checkCpuFeatures(const std::vector<std::string> &features);

} // namespace bpt
