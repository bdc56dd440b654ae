// Kernels on an NVIDIA GPU: one stream, launches in their order, errors when the driver tells.
#include "Driver.h"
#include "LaunchGraphs.h"
#include "bpt/Runtime/Device.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Sizes.h"
#include <fmt/format.h>

namespace bpt {
namespace {

using namespace cuda;

// Numbers of cuda.h.
constexpr int attributeMajor = 75, attributeMinor = 76;        // CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, _MINOR
constexpr int attributeMultiprocessors = 16;                   // CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT
constexpr CUresult invalidValue = 1;                           // CUDA_ERROR_INVALID_VALUE
constexpr int functionSharedBytes = 8;                         // CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
constexpr int optionErrorLog = 5, optionErrorLogBytes = 6;     // CU_JIT_ERROR_LOG_BUFFER, .._SIZE_BYTES
constexpr int mapFloat16 = 6, mapFloat32 = 7, mapBfloat16 = 9; // CU_TENSOR_MAP_DATA_TYPE_..
constexpr int mapSwizzle128 = 3;                               // CU_TENSOR_MAP_SWIZZLE_128B; 1 and 2: 32 and 64 bytes
constexpr int mapPromotion256 = 3;                             // CU_TENSOR_MAP_L2_PROMOTION_L2_256B
/// What a block may have (CUDA programming guide, compute capability 9.0).
constexpr int mostSharedBytes = 227 << 10;
/// Warps of each multiprocessor that run items of loops: enough to hide latency, few enough for their scratch.
constexpr int64_t workersPerMultiprocessor = 8;

class CudaDevice : public Device {
public:
  explicit CudaDevice(std::shared_ptr<const Driver> driver) : driver(std::move(driver)) {}

  ~CudaDevice() override {
    graphs.reset();
    if (stream)
      driver->cuStreamDestroy_v2(stream);
    if (module)
      driver->cuModuleUnload(module);
    if (context)
      driver->cuDevicePrimaryCtxRelease_v2(device);
  }

  Status open() {
    int count = 0, major = 0, minor = 0;
    if (Status status = driver->check(driver->cuDeviceGetCount(&count), "counting GPUs"); !status)
      return status;
    if (count == 0)
      return badInput(
          "expected an NVIDIA GPU for --target=cuda, but the driver has none (CUDA_VISIBLE_DEVICES may hide it); use "
          "--target=emulator or --target=cpu");
    char name[256] = "";
    CUresult result = driver->cuDeviceGet(&device, 0);
    if (!result)
      result = driver->cuDeviceGetName(name, sizeof(name) - 1, device);
    if (!result)
      result = driver->cuDeviceGetAttribute(&major, attributeMajor, device);
    if (!result)
      result = driver->cuDeviceGetAttribute(&minor, attributeMinor, device);
    if (!result)
      result = driver->cuDeviceGetAttribute(&multiprocessors, attributeMultiprocessors, device);
    if (Status status = driver->check(result, "asking for the GPU's properties"); !status)
      return status;
    if (major != 9 || minor != 0)
      return badInput(fmt::format(
          "expected a Hopper GPU (sm_90: H100, H200), but GPU 0 is {} (sm_{}{}); kernels for others do not exist", name,
          major, minor));
    result = driver->cuDevicePrimaryCtxRetain(&context, device);
    if (!result)
      result = driver->cuCtxSetCurrent(context);
    if (!result)
      result = driver->cuStreamCreate(&stream, /*CU_STREAM_NON_BLOCKING=*/1);
    graphs = std::make_unique<LaunchGraphs>(driver, stream);
    return driver->check(result, fmt::format("opening GPU 0, {}", name));
  }

  Status load(const std::vector<KernelInfo> &given, std::string_view image) {
    kernels = given;
    char log[4096] = "";
    int options[] = {optionErrorLog, optionErrorLogBytes};
    void *values[] = {log, reinterpret_cast<void *>(sizeof(log) - 1)};
    CUresult result = driver->cuModuleLoadDataEx(&module, image.data(), 2, options, values);
    if (Status status = driver->check(result, "loading the kernels"); !status)
      return log[0] ? status.error().in(log) : status.takeError();
    for (const KernelInfo &kernel : kernels) {
      CUfunction function = nullptr;
      result = driver->cuModuleGetFunction(&function, module, kernel.name.c_str());
      if (!result)
        result = driver->cuFuncSetAttribute(function, functionSharedBytes, mostSharedBytes);
      if (Status status = driver->check(result, fmt::format("preparing kernel {}", inQuotes(kernel.name))); !status)
        return status;
      functions.push_back(function);
      Expected<std::vector<Parameter>> found = findParameters(function, kernel.name);
      if (!found)
        return found.takeError();
      parameters.push_back(found.take());
    }
    return {};
  }

  int64_t workers() const override { return multiprocessors * workersPerMultiprocessor; }
  bool hasOwnMemory() const override { return true; }

  Expected<void *> allocate(int64_t bytes, const std::string &what) override {
    CUdeviceptr address = 0;
    CUresult result = driver->cuMemAlloc_v2(&address, static_cast<size_t>(std::max<int64_t>(bytes, 1)));
    if (result) {
      size_t free = 0, total = 0;
      driver->cuMemGetInfo_v2(&free, &total);
      return driver
          ->check(result,
                  fmt::format("{} needs {} of GPU memory, and {} of {} are free", what, formatBytes(bytes),
                              formatBytes(static_cast<int64_t>(free)), formatBytes(static_cast<int64_t>(total))))
          .takeError();
    }
    return reinterpret_cast<void *>(address);
  }
  void release(void *memory) override { driver->cuMemFree_v2(toAddress(memory)); }
  Expected<void *> allocateShared(int64_t bytes, const std::string &what) override {
    void *address = nullptr; // with unified addressing it is the kernels' address, too
    constexpr unsigned portableAndMapped = 3;
    CUresult result =
        driver->cuMemHostAlloc(&address, static_cast<size_t>(std::max<int64_t>(bytes, 1)), portableAndMapped);
    if (Status status = driver->check(result, what); !status)
      return status.takeError();
    return address;
  }
  void releaseShared(void *memory) override { driver->cuMemFreeHost(memory); }

  Status copyIn(void *to, const void *from, int64_t bytes) override {
    return driver->check(driver->cuMemcpyHtoDAsync_v2(toAddress(to), from, static_cast<size_t>(bytes), stream),
                         "copying to the GPU");
  }
  Status copyOut(void *to, const void *from, int64_t bytes) override {
    if (Status status = start(); !status)
      return status;
    return driver->check(driver->cuMemcpyDtoHAsync_v2(to, toAddress(from), static_cast<size_t>(bytes), stream),
                         "copying from the GPU");
  }

  Status beginRun(std::vector<Memory>) override {
    last = -1;
    graphs->clear();
    return driver->check(driver->cuCtxSetCurrent(context), "choosing the GPU");
  }

  /// Launches begin together, when somebody waits for what they do.
  Status launch(const KernelLaunch &request) override {
    last = request.kernel;
    auto kernel = static_cast<size_t>(request.kernel);
    Launch launch{functions[kernel], request.kernel};
    for (size_t i = 0; i < 3; ++i)
      launch.grid[i] = static_cast<unsigned>(request.grid[i]);
    launch.threads = static_cast<unsigned>(request.threads);
    launch.sharedBytes = static_cast<unsigned>(request.sharedBytes);
    graphs->add(launch, request.arguments, parameters[kernel]);
    return {};
  }

  Expected<int64_t> beginCopy(void *to, const void *from, int64_t bytes) override {
    return static_cast<int64_t>(graphs->add(Copy{toAddress(to), toAddress(from), static_cast<size_t>(bytes)}));
  }
  Status waitCopy(int64_t number) override {
    graphs->add(CopyWait{static_cast<size_t>(number)});
    return {};
  }

  Status start() override {
    return graphs->submit(parameters, [this](int32_t kernel) { return describe(kernel); });
  }

  /// Errors of a kernel show when its stream is waited for: the last launch is the latest it can have been.
  Status endRun() override {
    if (Status status = start(); !status)
      return status;
    std::string what = "running kernels";
    if (last >= 0)
      what += ", " + describe(last) + " being the last of them";
    return driver->check(driver->cuStreamSynchronize(stream), what);
  }

  Status fillTensorMap(void *map, const TensorMapInfo &info) override {
    int type = info.element == DataType::BF16 ? mapBfloat16 : info.element == DataType::F16 ? mapFloat16 : mapFloat32;
    int swizzle = info.swizzle == 0 ? 0 : info.swizzle == 32 ? 1 : info.swizzle == 64 ? 2 : mapSwizzle128;
    std::vector<uint64_t> sizes(info.sizes.begin(), info.sizes.end()),
        strides(info.strides.begin(), info.strides.end());
    std::vector<uint32_t> box(info.box.begin(), info.box.end()), steps(sizes.size(), 1);
    return driver->check(driver->cuTensorMapEncodeTiled(map, type, static_cast<unsigned>(sizes.size()), info.base,
                                                        sizes.data(), strides.data(), box.data(), steps.data(),
                                                        /*interleave=*/0, swizzle, mapPromotion256, /*fill=*/0),
                         "describing a tensor for the TMA unit");
  }

private:
  Expected<std::vector<Parameter>> findParameters(CUfunction function, const std::string &name) {
    std::vector<Parameter> found;
    for (Parameter parameter;; found.push_back(parameter)) {
      CUresult result = driver->cuFuncGetParamInfo(function, found.size(), &parameter.offset, &parameter.bytes);
      if (result == invalidValue) // there are no more
        return found;
      if (Status status = driver->check(result, "asking for the parameters of kernel " + inQuotes(name)); !status)
        return status.takeError();
    }
  }

  static CUdeviceptr toAddress(const void *memory) { return reinterpret_cast<CUdeviceptr>(memory); }

  std::string describe(int32_t kernel) const {
    const KernelInfo &info = kernels[static_cast<size_t>(kernel)];
    return "kernel " + inQuotes(info.name) + (info.place.empty() ? "" : " of " + info.place);
  }

  std::shared_ptr<const Driver> driver;
  CUdevice device = 0;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  CUmodule module = nullptr;
  int multiprocessors = 0;
  int32_t last = -1;
  std::vector<KernelInfo> kernels;
  std::vector<CUfunction> functions;
  std::vector<std::vector<Parameter>> parameters; ///< of each kernel
  std::unique_ptr<LaunchGraphs> graphs;
};
} // namespace

std::optional<int64_t> freeGpuMemory() {
  Expected<std::shared_ptr<const Driver>> driver = Driver::load();
  CUdevice device = 0;
  CUcontext context = nullptr;
  if (!driver || (*driver)->cuDeviceGet(&device, 0) || (*driver)->cuDevicePrimaryCtxRetain(&context, device))
    return std::nullopt;
  size_t free = 0, total = 0;
  CUresult result = (*driver)->cuCtxSetCurrent(context);
  if (!result)
    result = (*driver)->cuMemGetInfo_v2(&free, &total);
  (*driver)->cuDevicePrimaryCtxRelease_v2(device);
  return result ? std::nullopt : std::optional<int64_t>(static_cast<int64_t>(free));
}

Expected<std::shared_ptr<Device>> openCudaDevice(const std::vector<KernelInfo> &kernels, std::string_view image) {
  Expected<std::shared_ptr<const Driver>> driver = Driver::load();
  if (!driver)
    return driver.takeError();
  auto device = std::make_shared<CudaDevice>(driver.take());
  if (Status status = device->open(); !status)
    return status.takeError();
  if (Status status = device->load(kernels, image); !status)
    return status.takeError();
  return std::shared_ptr<Device>(std::move(device));
}

} // namespace bpt
