// The parallel loop of compiled code, and how many threads a process should use.
#include "bpt/Runtime/Threads.h"
#include "bpt/Runtime/Arena.h"
#include "bpt/Runtime/File.h"
#include <algorithm>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <fmt/format.h>
#include <fstream>
#include <sched.h>
#include <sstream>
#include <thread>

namespace bpt {

namespace {

int processorsOfAffinityMask() {
  // The mask of the kernel may be larger than cpu_set_t.
  for (int cpus = 1024; cpus <= 1 << 20; cpus *= 2) {
    cpu_set_t *set = CPU_ALLOC(static_cast<size_t>(cpus));
    if (!set)
      return 0;
    size_t bytes = CPU_ALLOC_SIZE(static_cast<size_t>(cpus));
    int count = ::sched_getaffinity(0, bytes, set) == 0 ? CPU_COUNT_S(bytes, set) : 0;
    CPU_FREE(set);
    if (count > 0)
      return count;
  }
  return 0;
}

/// Processors the file's "quota period" (cgroup v2 cpu.max) allows, rounded up; 0 without a limit.
int processorsOfQuota(const std::string &path) {
  std::ifstream file(path);
  double quota = 0, period = 0;
  // "max 100000" means no limit and does not parse as a number.
  if (!(file >> quota >> period) || quota <= 0 || period <= 0)
    return 0;
  return std::max(1, static_cast<int>((quota + period - 1) / period));
}

/// The tightest CPU quota of this process's cgroup and the groups it lies in; 0 without one.
int processorsOfCgroup() {
  std::ifstream groups("/proc/self/cgroup");
  std::string group;
  for (std::string line; std::getline(groups, line);)
    if (line.rfind("0::", 0) == 0)
      group = line.substr(3);
  int tightest = 0;
  for (;; group.erase(group.rfind('/'))) {
    int quota = processorsOfQuota("/sys/fs/cgroup" + group + "/cpu.max");
    if (quota && (!tightest || quota < tightest))
      tightest = quota;
    if (group.find('/') == std::string::npos)
      return tightest;
  }
}

} // namespace

int availableProcessors() {
  int processors = processorsOfAffinityMask();
  if (processors <= 0)
    processors = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  if (int quota = processorsOfCgroup())
    processors = std::min(processors, quota);
  return std::clamp(processors, 1, maxThreads);
}

int chooseThreads(int requested, const char *ompNumThreads, std::string &warning) {
  if (requested > 0)
    return std::min(requested, maxThreads);
  if (!ompNumThreads || !*ompNumThreads)
    return availableProcessors();
  std::string_view text = ompNumThreads;
  std::string_view item = text.substr(0, text.find(','));
  while (!item.empty() && item.front() == ' ')
    item.remove_prefix(1);
  while (!item.empty() && item.back() == ' ')
    item.remove_suffix(1);
  int count = 0;
  auto [end, failure] = std::from_chars(item.data(), item.data() + item.size(), count);
  if (failure == std::errc() && end == item.data() + item.size() && count >= 1 && count <= maxThreads)
    return count;
  count = availableProcessors();
  warning = fmt::format("OMP_NUM_THREADS: expected a number from 1 to {}, but got {}; using {} threads", maxThreads,
                        inQuotes(text), count);
  return count;
}

} // namespace bpt

namespace {

struct ScratchBody {
  void (*body)(void *closure, int64_t item, uint8_t *scratch);
  void *closure;
  uint8_t *scratch;
  int64_t stride;
};

void callWithScratch(void *closure, int64_t item, int worker) {
  auto &call = *static_cast<ScratchBody *>(closure);
  // Worker -1 is a nested loop: its scratch is the one slice given.
  call.body(call.closure, item, call.scratch + (worker > 0 ? worker * call.stride : 0));
}

} // namespace

extern "C" void bpt_parallel_for(bpt_context *context, void (*body)(void *closure, int64_t item, uint8_t *scratch),
                                 void *closure, int64_t n) {
  ScratchBody call = {body, closure, context->scratch, context->scratchStride};
  if (!context->threads->insideBody() || n <= 0 || context->scratchStride == 0) {
    context->threads->run(n, callWithScratch, &call);
    return;
  }
  // A loop inside a body: the thread's own slice is in use by that body, so this one gets another.
  bpt::Expected<bpt::Arena> scratch = bpt::Arena::allocate(context->scratchStride, "the scratch of a nested loop");
  if (!scratch) {
    context->scratchRefused = true;
    return;
  }
  call.scratch = scratch->data();
  context->threads->run(n, callWithScratch, &call);
}

extern "C" uint8_t *bpt_shared_scratch(bpt_context *context) {
  return context->threads->insideBody() ? nullptr : context->sharedScratch;
}

const bpt::RuntimeSymbol *bpt::runtimeSymbols() {
  static const RuntimeSymbol symbols[] = {
#define BPT_RUNTIME_FUNCTION(name, result, parameters) {#name, reinterpret_cast<void *>(&name)},
#include "bpt/Runtime/RuntimeABI.def"
      {nullptr, nullptr}};
  return symbols;
}
