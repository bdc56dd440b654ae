// Launches on the emulator.
#include "EmulatorDevice.h"
#include <algorithm>
#include <cstring>

namespace bpt {

Expected<bool> parseEmulatorCode(const std::string &name) {
  if (name != "emitted" && name != "optimized")
    return usageError("unknown emulator code '" + name + "'; expected emitted or optimized");
  return name == "optimized";
}

Expected<std::vector<emulator::Mode>> parseEmulatorModes(const std::string &name) {
  using Modes = std::vector<emulator::Mode>;
  if (name == "eager")
    return Modes{emulator::Mode::Eager};
  if (name == "random")
    return Modes{emulator::Mode::Random};
  if (name == "late")
    return Modes{emulator::Mode::Late};
  if (name == "all")
    return Modes{emulator::Mode::Eager, emulator::Mode::Random, emulator::Mode::Late};
  return usageError("unknown emulator mode '" + name + "'; expected eager, random, late or all");
}

namespace {
class EmulatorDevice : public Device {
public:
  EmulatorDevice(std::vector<KernelInfo> kernels, std::vector<emulator::KernelFunction> code,
                 std::shared_ptr<const EmulatorOptions> given)
      : kernels(std::move(kernels)), code(std::move(code)), given(std::move(given)) {}

  /// Few: scratch and blocks cost the host memory and time, and results do not depend on it.
  int64_t workers() const override { return 64; }

  Status beginRun(std::vector<Memory> regions) override {
    memory = std::make_unique<emulator::GlobalMemory>();
    copies.clear();
    done = 0;
    std::stable_sort(regions.begin(), regions.end(),
                     [](const Memory &a, const Memory &b) { return a.address < b.address; });
    uint8_t *end = nullptr;
    for (const Memory &region : regions) {
      auto *begin = static_cast<uint8_t *>(region.address);
      if (region.bytes > 0 && begin >= end) {
        memory->add(begin, static_cast<size_t>(region.bytes), region.name, region.written);
        end = begin + region.bytes;
      }
    }
    return {};
  }

  Status launch(const KernelLaunch &request) override {
    const KernelInfo &kernel = kernels[static_cast<size_t>(request.kernel)];
    emulator::Launch launch;
    launch.function = code[static_cast<size_t>(request.kernel)];
    launch.name = kernel.name;
    for (size_t i = 0; i < 3; ++i)
      launch.grid[i] = static_cast<uint32_t>(request.grid[i]);
    launch.block = {static_cast<uint32_t>(request.threads), 1, 1};
    launch.sharedBytes = static_cast<uint32_t>(request.sharedBytes);
    launch.arguments = request.arguments;
    emulator::Options options;
    options.mode = given->mode;
    options.seed = given->seed;
    options.hostThreads = given->hostThreads;
    options.memory = memory.get();
    emulator::LaunchResult result = emulator::run(launch, options);
    if (result.reports.empty())
      return {};
    constexpr size_t mostLines = 10;
    std::string text = "kernel '" + kernel.name + "'" + (kernel.place.empty() ? "" : " of " + kernel.place) +
                       ": the emulator reports " + std::to_string(result.reportCount) + " findings";
    for (size_t i = 0; i < std::min(result.reports.size(), mostLines); ++i)
      text += "\n  " + emulator::toString(result.reports[i]);
    return badInput(text);
  }

  /// Early or late, as the mode says; until then the destination holds NaNs that nobody has written.
  Expected<int64_t> beginCopy(void *to, const void *from, int64_t bytes) override {
    copies.push_back({static_cast<uint8_t *>(to), static_cast<const uint8_t *>(from), static_cast<size_t>(bytes)});
    if (given->mode == emulator::Mode::Late)
      std::memset(to, 0xff, static_cast<size_t>(bytes));
    else
      finishCopies(copies.size());
    return static_cast<int64_t>(copies.size()) - 1;
  }
  Status waitCopy(int64_t number) override {
    finishCopies(static_cast<size_t>(number) + 1);
    return {};
  }

  Status fillTensorMap(void *map, const TensorMapInfo &info) override {
    emulator::TensorType type = info.element == DataType::BF16  ? emulator::TensorType::BF16
                                : info.element == DataType::F16 ? emulator::TensorType::F16
                                                                : emulator::TensorType::F32;
    emulator::Swizzle swizzle = info.swizzle == 128  ? emulator::Swizzle::B128
                                : info.swizzle == 64 ? emulator::Swizzle::B64
                                : info.swizzle == 32 ? emulator::Swizzle::B32
                                                     : emulator::Swizzle::None;
    std::vector<uint64_t> sizes(info.sizes.begin(), info.sizes.end()),
        strides(info.strides.begin(), info.strides.end());
    std::vector<uint32_t> box(info.box.begin(), info.box.end());
    return emulator::encodeTensorMap(*static_cast<emulator::TensorMap *>(map), info.base, type,
                                     static_cast<uint32_t>(sizes.size()), sizes.data(), strides.data(), box.data(),
                                     swizzle);
  }

  Status endRun() override {
    return done == copies.size() ? Status()
                                 : badInput(std::to_string(copies.size() - done) + " copies were never waited for");
  }

private:
  struct Copy {
    uint8_t *to;
    const uint8_t *from;
    size_t bytes;
  };
  void finishCopies(size_t count) {
    for (; done < count; ++done) {
      const Copy &copy = copies[done];
      std::memcpy(copy.to, copy.from, copy.bytes);
      memory->markInitialised(copy.to, copy.bytes);
    }
  }

  std::vector<KernelInfo> kernels;
  std::vector<emulator::KernelFunction> code;
  std::shared_ptr<const EmulatorOptions> given;
  std::unique_ptr<emulator::GlobalMemory> memory;
  std::vector<Copy> copies; ///< of the run
  size_t done = 0;          ///< of copies
};
} // namespace

Expected<std::shared_ptr<Device>> createEmulatorDevice(const Manifest &manifest, const SymbolResolver &resolve,
                                                       std::shared_ptr<const EmulatorOptions> options) {
  std::vector<emulator::KernelFunction> code;
  for (const KernelInfo &kernel : manifest.kernels) {
    void *address = resolve("bpt_emulated_" + kernel.name);
    if (!address)
      return badInput("the code of kernel '" + kernel.name + "' is missing");
    code.push_back(reinterpret_cast<emulator::KernelFunction>(address));
  }
  return std::shared_ptr<Device>(
      std::make_shared<EmulatorDevice>(manifest.kernels, std::move(code), std::move(options)));
}

} // namespace bpt
