// Runs rewritten Hopper kernels (lowerToEmulator) on the CPU, one fiber a GPU thread, and reports what would be wrong
// on the GPU.
//
//   using namespace bpt::emulator;
//   // 1. Once a process: memory that kernels may touch. Buffers that nobody has written yet are tracked byte by byte.
//   GlobalMemory memory;
//   memory.add(arena, arenaBytes, "arena", /*initialised=*/false);
//   memory.add(input, inputBytes, "input", /*initialised=*/true);
//   memory.markInitialised(arena, n);              // after a host memcpy or memset into a tracked region
//
//   // 2. Tensor maps, innermost dimension first: what cuTensorMapEncodeTiled gets on the GPU.
//   TensorMap map;
//   uint64_t sizes[3] = {128, 1024, 8}, strides[2] = {256, 262144};   // elements; bytes of dimensions 1..rank-1
//   uint32_t box[3] = {64, 128, 1};
//   if (Status s = encodeTensorMap(map, q, TensorType::BF16, 3, sizes, strides, box, Swizzle::B128); !s)
//     return s.takeError();
//
//   // 3. A launch; arguments as for cuLaunchKernel: pointers to the values, a tensor map by its own address.
//   void *arguments[] = {&map, &lsePointer, &rows, &scale};
//   Launch launch;
//   launch.function = reinterpret_cast<KernelFunction>(jit.lookup("bpt_emulated_attention"));
//   launch.name = "attention";
//   launch.grid = {8, 16, 1};
//   launch.block = {384, 1, 1};
//   launch.sharedBytes = 230000;
//   launch.arguments = arguments;
//   Options options;                               // eager, all blocks, as many host threads as processors
//   options.memory = &memory;
//   LaunchResult result = run(launch, options);
//   for (const Report &report : result.reports)
//     std::cerr << toString(report) << "\n";       // nothing to see in a correct kernel
//   // For tests: run each kernel with Mode::Eager, Mode::Random (some seeds) and Mode::Late.
//
// A JIT binds the functions of `symbols()` (EmulatorABI.h), and exp2f, log2f of the process.
#pragma once
#include "bpt/Runtime/EmulatorABI.h"
#include "bpt/Runtime/EmulatorReport.h"
#include "bpt/Runtime/Error.h"
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace bpt::emulator {

/// Element types of tensor maps; sizes 2, 2, 4, 4, 8, 1, 4 bytes.
enum class TensorType : uint32_t { BF16, F16, F32, TF32, F64, U8, I32 };
/// Bytes of one element.
uint32_t elementBytes(TensorType type);

/// Swizzling of rows of 32, 64 or 128 bytes (PTX ISA 8.7, 5.5.7).
enum class Swizzle : uint32_t { None, B32, B64, B128 };

/// What a kernel gets as its 128-byte tensor map on the emulator. Dimension 0 is the innermost. Filled in by
/// encodeTensorMap only.
struct alignas(64) TensorMap {
  uint64_t magic;      ///< tells a tensor map from other bytes
  uint8_t *base;       ///< of element (0, .., 0)
  uint64_t sizes[5];   ///< elements; 1 above the rank
  uint64_t strides[4]; ///< bytes, of dimensions 1..4
  uint16_t box[5];     ///< elements, at most 256 each; 1 above the rank
  uint8_t rank, type, swizzle;
};
static_assert(sizeof(TensorMap) == 128, "a tensor map is a 128-byte kernel argument");

/// Fills in `map`; refuses what cuTensorMapEncodeTiled refuses (alignment of base and strides, box sizes, rows wider
/// than the swizzle).
Status encodeTensorMap(TensorMap &map, void *base, TensorType type, uint32_t rank, const uint64_t *sizes,
                       const uint64_t *strides, const uint32_t *box, Swizzle swizzle);

/// The global memory that kernels may touch. Regions do not overlap. Thread-safe, but a region must not be removed while a
/// kernel runs, and one added meanwhile is seen by later launches only.
class GlobalMemory {
public:
  GlobalMemory();
  ~GlobalMemory();
  /// Adds [base, base + bytes). An uninitialised region is tracked byte by byte, and reading it before it was written
  /// is reported.
  void add(const void *base, size_t bytes, std::string name, bool initialised);
  /// Removes the region that begins at `base`.
  void remove(const void *base);
  /// The host has written these bytes.
  void markInitialised(const void *base, size_t bytes);

  struct Impl;
  Impl &implementation() const { return *impl; }

private:
  std::unique_ptr<Impl> impl;
};

/// When asynchronous work happens, within what the hardware may do.
enum class Mode {
  Eager,  ///< copies are done as they are issued; threads run in order
  Random, ///< copies are done at random times, warps run in random order; decided by the seed alone
  Late    ///< copies are done only when nothing else can go on; their destination is poisoned until then
};

/// The rewritten kernel: `bpt_emulated_<name>` of the module.
using KernelFunction = void (*)(void **arguments);

struct Launch {
  KernelFunction function = nullptr;
  std::string name;
  std::array<uint32_t, 3> grid{1, 1, 1};
  std::array<uint32_t, 3> block{1, 1, 1};
  uint32_t sharedBytes = 0;   ///< dynamic shared memory, at most 227 KiB
  void **arguments = nullptr; ///< one pointer an argument
};

struct Options {
  Mode mode = Mode::Eager;
  uint64_t seed = 1;
  int hostThreads = 0;                  ///< blocks that run at a time; 0: one a processor
  uint64_t firstBlock = 0;              ///< blocks are numbered x first, then y, then z
  uint64_t blocks = ~uint64_t(0);       ///< at most so many from firstBlock on
  size_t maxReports = 50;               ///< reports kept; equal kind and location counts once a block
  bool flushDenormals = true;           ///< as .ftz instructions do
  const GlobalMemory *memory = nullptr; ///< null: no bounds checks of global memory
};

struct LaunchResult {
  std::vector<Report> reports; ///< in block order
  uint64_t reportCount = 0;    ///< with those that were dropped
  uint64_t blocks = 0;         ///< that ran to their end
  uint64_t wgmmas = 0;         ///< warpgroup products
  uint64_t copiedBytes = 0;    ///< by bulk copies, both ways
};

/// Runs the kernel's blocks and returns when all have ended or are stuck. A wrong launch (sizes) is a report of kind
/// BadLaunch.
LaunchResult run(const Launch &launch, const Options &options = {});

} // namespace bpt::emulator
