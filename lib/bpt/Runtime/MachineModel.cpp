// Rates of machines: this one's from /proc/cpuinfo, GPUs' from their data sheets.
#include "bpt/Runtime/MachineModel.h"
#include <algorithm>
#include <fmt/format.h>
#include <fstream>

namespace bpt {

namespace {

struct CpuInfo {
  double gigahertz = 2.5;
  bool avx2 = false, avx512 = false, intel = false;
};

CpuInfo readCpuInfo() {
  CpuInfo info;
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    size_t colon = line.find(':');
    if (colon == std::string::npos)
      continue;
    std::string key = line.substr(0, line.find_last_not_of(" \t", colon - 1) + 1), value = line.substr(colon + 1);
    if (key == "cpu MHz")
      info.gigahertz = std::max(info.gigahertz, std::atof(value.c_str()) / 1000);
    else if (key == "flags")
      info.avx2 = value.find(" avx2") != std::string::npos, info.avx512 = value.find(" avx512f") != std::string::npos;
    else if (key == "vendor_id")
      info.intel = value.find("Intel") != std::string::npos;
  }
  return info;
}

/// Dense rates of bf16 products in TFLOP/s, and of PCI Express 4 or 5 x16 in GB/s (NVIDIA's data sheets, SXM).
struct Gpu {
  const char *name;
  double teraflops, hostGigabytes;
};
constexpr Gpu gpus[] = {{"a100", 312, 32}, {"h100", 989, 64}, {"h200", 989, 64}};
/// Of the data sheet's rate between GPU and host, as large copies reach it.
constexpr double assumedShareOfLink = 0.8;

} // namespace

std::optional<MachineModel> findMachine(const std::string &name, int threads) {
  if (name == "this") {
    CpuInfo cpu = readCpuInfo();
    // f32 FLOPs a cycle: two FMA units. AMD's 512-bit instructions run as two halves up to Zen 4.
    double perCycle = cpu.avx512 && cpu.intel ? 64 : cpu.avx2 || cpu.avx512 ? 32 : 8;
    double peak = threads * perCycle * cpu.gigahertz * 1e9;
    return MachineModel{name,
                        fmt::format("{} thread{} at {:.2f} GHz, {:.0f} GFLOP/s, {:.0f} % of it reached", threads,
                                    threads == 1 ? "" : "s", cpu.gigahertz, peak * 1e-9, 100 * assumedShareOfPeak),
                        assumedShareOfPeak * peak, 0};
  }
  for (const Gpu &gpu : gpus)
    if (name == gpu.name)
      return MachineModel{name,
                          fmt::format("one GPU of {:.0f} TFLOP/s in 16 bits, {:.0f} % of it reached", gpu.teraflops,
                                      100 * assumedShareOfPeak),
                          assumedShareOfPeak * gpu.teraflops * 1e12, assumedShareOfLink * gpu.hostGigabytes * 1e9};
  return std::nullopt;
}

const std::vector<std::string> &machineNames() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> all = {"this"};
    for (const Gpu &gpu : gpus)
      all.push_back(gpu.name);
    return all;
  }();
  return names;
}

} // namespace bpt
