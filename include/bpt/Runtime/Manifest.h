// The manifest of a compiled program: entries with their arguments, results, memory slots and size formulas. It is
// JSON; in a shared object it is the data symbol `bpt_manifest` with its length in `bpt_manifest_size`.
#pragma once
#include "bpt/Runtime/Formula.h"
#include "bpt/Runtime/Tensor.h"
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bpt {

/// How a parameter starts (`bpt.init`).
struct Init {
  enum class Kind { Normal, Zeros, Ones };
  Kind kind = Kind::Zeros;
  double std = 0; ///< standard deviation of Normal
};

struct ArgumentInfo {
  std::string name;
  DataType type = DataType::F32;
  Shape shape;                        ///< -1: dynamic
  bool parameter = false;             ///< has `bpt.init`
  std::optional<Init> init;           ///< set for parameters
  bool decay = false;                 ///< weight decay applies (`bpt.decay`)
  std::optional<int64_t> range;       ///< integers lie in [0, range)
  std::optional<int64_t> ignoreIndex; ///< allowed besides `range`; -100 for an argument called `targets` unless given
};

struct ResultInfo {
  std::string name;
  DataType type = DataType::F32;
  std::vector<Formula> shape;
  /// Where the result is: exactly one is set. An index into EntryInfo::slots, or the argument updated in place.
  std::optional<int64_t> slot;
  std::optional<int64_t> argument;
};

/// One buffer of the arena. `first` and `last` are positions in the entry's linear time, both inclusive.
struct SlotInfo {
  std::string name;
  std::string kind; ///< activation, gradient, workspace, result, host (in the arena in host memory), ...
  Formula bytes;
  int64_t first = 0;
  int64_t last = 0;
};

struct EntryInfo {
  std::string name;   ///< of the function: "loss.grad"
  std::string symbol; ///< of the code: "bpt_entry_loss_grad"
  std::vector<ArgumentInfo> arguments;
  std::vector<ResultInfo> results;
  std::vector<SlotInfo> slots; ///< offsets[i] belongs to slots[i]
  Formula flops;

  /// Number of dynamic dimensions of all arguments.
  int64_t dynamicDims() const;
};

/// An op of the source program that profiled code says begin and end of.
struct RegionInfo {
  std::string op;       ///< "bpt.attention"
  std::string function; ///< the function it is in: "layer.vjp"
  std::string place;    ///< where it comes from: "graph.mlir:12"; may be empty
  int64_t flops = 0;    ///< model FLOPs of one call; 0: unknown or none
  int64_t bytes = 0;    ///< of its operands, each counted once; 0: unknown
};

/// A kernel of a program for a GPU.
struct KernelInfo {
  std::string name;  ///< "layer_norm_0_kernel0"
  std::string place; ///< of the op it is for: "graph.mlir:12"; may be empty
};

struct Manifest {
  std::string compiler; ///< version that wrote it
  std::string target;   ///< "cpu", "reference", "emulator" or "cuda"
  std::string cpuName;
  std::vector<std::string> cpuFeatures; ///< "+avx512f", ...: what the code needs to run
  /// Bytes of scratch each thread gets. The runtime packs one slot of threads * threadScratch bytes (rounded to 64 per
  /// thread) for the whole entry; it takes the slot of kind "thread_scratch" when the entry has one, else adds one
  /// behind the entry's slots.
  int64_t threadScratch = 0;
  int64_t sharedScratch = 0;   ///< bytes of scratch all threads share; behind that of the threads in the same slot
  std::string keptActivations; ///< what layers keep for their backward: "input", .. "all"; empty where it is not recorded
  std::vector<EntryInfo> entries;
  std::vector<RegionInfo> regions; ///< of code compiled for profiling
  std::vector<KernelInfo> kernels; ///< launches name them by their index

  /// The entry called `name`; an error with the nearest name and the list of names. An empty name means the only entry.
  Expected<const EntryInfo *> find(const std::string &name) const;
};

/// Parses and validates. Errors name the field with its path, such as `entries[0].slots[3].bytes`.
Expected<Manifest> parseManifest(std::string_view json);

/// The JSON text of `manifest`; parseManifest gives the same manifest back. Deterministic.
std::string writeManifest(const Manifest &manifest);

} // namespace bpt
