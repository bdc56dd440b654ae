// Finding libcuda.so.1 and its functions.
#include "Driver.h"
#include <dlfcn.h>
#include <fmt/format.h>

namespace bpt::cuda {

/// CUDA 12.4 brought PTX 8.4, which programs are written in, and cuFuncGetParamInfo.
static constexpr int leastVersion = 12040;
static constexpr CUresult outOfMemory = 2; // CUDA_ERROR_OUT_OF_MEMORY

static std::string versionText(int version) { return fmt::format("{}.{}", version / 1000, version % 1000 / 10); }

Status Driver::check(CUresult result, const std::string &what) const {
  if (result == 0)
    return {};
  const char *name = nullptr, *text = nullptr;
  cuGetErrorName(result, &name);
  cuGetErrorString(result, &text);
  return Error{result == outOfMemory ? ExitCode::Memory : ExitCode::BadInput,
               fmt::format("{}: {} ({})", what, text ? text : "the driver failed", name ? name : std::to_string(result))};
}

Expected<std::shared_ptr<const Driver>> Driver::load() {
  void *handle = ::dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    const char *reason = ::dlerror();
    return badInput(fmt::format("expected an NVIDIA driver for --target=cuda, but could not load libcuda.so.1 ({}); install the "
                                "driver, or use --target=emulator or --target=cpu",
                                reason ? reason : "unknown reason"));
  }
  auto driver = std::make_shared<Driver>();
  driver->library = std::shared_ptr<void>(handle, [](void *library) { ::dlclose(library); });
  // A driver that lacks a function is older than the oldest that will do.
  const char *missing = nullptr;
#define BPT_CUDA_FUNCTION(name, parameters)                                                                                    \
  if (!(driver->name = reinterpret_cast<CUresult(*) parameters>(::dlsym(handle, #name))) && !missing)                          \
    missing = #name;
#include "DriverAPI.def"
  int version = 0;
  if (driver->cuDriverGetVersion)
    driver->cuDriverGetVersion(&version);
  if (missing || version < leastVersion)
    return badInput(fmt::format("expected a driver for CUDA {} or later, but got {}{}; update the NVIDIA driver", versionText(leastVersion),
                                versionText(version), missing ? fmt::format(" without {}", missing) : ""));
  if (Status status = driver->check(driver->cuInit(0), "starting the CUDA driver"); !status)
    return status.takeError();
  return std::shared_ptr<const Driver>(std::move(driver));
}

} // namespace bpt::cuda
