// A machine that runs the kernels of a program: a GPU, or the emulator of one.
#pragma once
#include "bpt/Runtime/DataType.h"
#include "bpt/Runtime/Error.h"
#include "bpt/Runtime/Manifest.h"
#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bpt {

/// Blocks of threads that run a kernel.
struct KernelLaunch {
  int32_t kernel = 0; ///< index into Manifest::kernels
  std::array<int64_t, 3> grid{1, 1, 1};
  int32_t threads = 1;
  int32_t sharedBytes = 0;
  void **arguments = nullptr; ///< addresses of the values, as for bpt_launch
};

/// What a tensor map describes; innermost dim first. See bpt_tensor_map.
struct TensorMapInfo {
  void *base = nullptr;
  DataType element = DataType::F32;
  std::vector<int64_t> sizes, strides, box;
  int32_t swizzle = 0;
};

/// Programs hold a device as long as they live. Calls come from one thread at a time.
class Device {
public:
  virtual ~Device() = default;

  /// Warps that run items of parallel loops at once; the plan has scratch for so many. The same for every run.
  virtual int64_t workers() const = 0;

  /// Runs a kernel after all that was launched before. An error names the kernel; what it was about to write is not
  /// known then.
  virtual Status launch(const KernelLaunch &launch) = 0;

  /// Begins a copy between memory of the host (allocateShared() where the device has its own) and the device, after all
  /// that was launched before and beside what is launched later. Copies are done one after another; the result is the
  /// number of this one in its run.
  virtual Expected<int64_t> beginCopy(void *to, const void *from, int64_t bytes) = 0;
  /// What is launched from now on waits for copy `number`, and so for those before it.
  virtual Status waitCopy(int64_t number) = 0;

  /// Fills 128 bytes, aligned to 64. Errors: what the hardware does not allow (alignment, box sizes).
  virtual Status fillTensorMap(void *map, const TensorMapInfo &info) = 0;

  /// Whether kernels see another memory than the host. If so, what runs is copied there and back; if not, the rest of
  /// this group is never called.
  virtual bool hasOwnMemory() const { return false; }
  /// `what` names it in the error: exit 4 with what is free.
  virtual Expected<void *> allocate(int64_t bytes, const std::string &what) {
    return badInput(what + ": the device has no memory");
  }
  virtual void release(void *memory) {}
  /// Memory that the host and kernels see at the same address; released by releaseShared().
  virtual Expected<void *> allocateShared(int64_t bytes, const std::string &what) { return allocate(bytes, what); }
  virtual void releaseShared(void *memory) { release(memory); }
  /// Copies in the order of launches. The host's side is free to change, or complete, after endRun().
  virtual Status copyIn(void *to, const void *from, int64_t bytes) { return {}; }
  virtual Status copyOut(void *to, const void *from, int64_t bytes) { return {}; }

  /// Memory that a run may touch. What is not `written` yet has no values that may be used.
  struct Memory {
    void *address;
    int64_t bytes;
    std::string name;
    bool written;
  };
  /// Begins what was launched so far, without waiting for it.
  virtual Status start() { return {}; }

  /// A run of an entry begins. Regions may lie within others.
  virtual Status beginRun(std::vector<Memory> memory) = 0;

  /// Waits until all launches are done. The first error of the run, if any.
  virtual Status endRun() = 0;
};

/// Bytes that are free on the first NVIDIA GPU; none without a driver that will do, or without a GPU.
std::optional<int64_t> freeGpuMemory();

/// The first NVIDIA GPU, with the kernels of `image` (a cubin, or PTX text that ends with a zero) in it. Errors (exit
/// 1): no driver, a driver that is too old, no GPU, one that is no Hopper, code the driver refuses (with its log); exit
/// 4 when its memory is used up.
Expected<std::shared_ptr<Device>> openCudaDevice(const std::vector<KernelInfo> &kernels, std::string_view image);

} // namespace bpt
