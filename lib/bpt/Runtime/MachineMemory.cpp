// Memory this process can have: /proc/meminfo and the limits of its cgroups, or a GPU's.
#include "bpt/Runtime/MachineMemory.h"
#include "bpt/Runtime/Device.h"
#include <algorithm>
#include <fstream>
#include <optional>
#include <string>
#include <unistd.h>

namespace bpt {

namespace {

/// The number at the start of a file; none for "max" or without the file.
std::optional<int64_t> readNumber(const std::string &path) {
  std::ifstream file(path);
  int64_t value = 0;
  if (file >> value)
    return value;
  return std::nullopt;
}

/// The number behind `key` in a file of lines "key number".
std::optional<int64_t> readField(const std::string &path, const std::string &key) {
  std::ifstream file(path);
  std::string name, rest;
  int64_t value = 0;
  while (file >> name >> value) {
    if (name == key)
      return value;
    std::getline(file, rest);
  }
  return std::nullopt;
}

/// What is left of the tightest limit of this process's cgroup and the groups it lies in.
std::optional<int64_t> leftInCgroup() {
  std::ifstream groups("/proc/self/cgroup");
  std::string group;
  for (std::string line; std::getline(groups, line);)
    if (line.rfind("0::", 0) == 0)
      group = line.substr(3);
  std::optional<int64_t> least;
  for (;; group.erase(group.rfind('/'))) {
    std::string folder = "/sys/fs/cgroup" + group;
    std::optional<int64_t> limit = readNumber(folder + "/memory.max"), used = readNumber(folder + "/memory.current");
    if (limit && used) {
      // Cached pages of files are given back when memory is asked for.
      int64_t left = *limit - *used + readField(folder + "/memory.stat", "inactive_file").value_or(0);
      least = std::min(least.value_or(left), left);
    }
    if (group.find('/') == std::string::npos)
      return least;
  }
}

} // namespace

int64_t availableMemory(std::string_view target) {
  if (target == "cuda")
    if (std::optional<int64_t> free = freeGpuMemory())
      return *free;
  int64_t available = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<int64_t>(::sysconf(_SC_PAGESIZE));
  if (std::optional<int64_t> kilobytes = readField("/proc/meminfo", "MemAvailable:"))
    available = *kilobytes * 1024;
  if (std::optional<int64_t> left = leftInCgroup())
    available = std::min(available, *left);
  return std::max<int64_t>(available, 0);
}

int64_t memoryBudget(int64_t given, std::string_view target) {
  return given ? given : availableMemory(target) / 10 * 9;
}

} // namespace bpt
