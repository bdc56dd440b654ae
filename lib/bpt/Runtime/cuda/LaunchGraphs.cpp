// Lists of launches, captured once and replayed.
#include "LaunchGraphs.h"
#include <algorithm>
#include <cstring>
#include <utility>

namespace bpt::cuda {

/// Lists that are remembered: the entries of a program that take turns, such as the steps that accumulate and the one that updates.
static constexpr size_t mostKnown = 8;
static constexpr int captureOfThisThread = 1; // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
static constexpr size_t valueAlignment = 64;  // of tensor maps

LaunchGraphs::~LaunchGraphs() {
  for (Known &list : known)
    drop(list);
}

void LaunchGraphs::drop(Known &list) {
  if (list.graph)
    driver->cuGraphExecDestroy(list.graph);
}

void LaunchGraphs::add(Launch launch, void **arguments, const std::vector<Parameter> &parameters) {
  launch.values = (next.values.size() + valueAlignment - 1) / valueAlignment * valueAlignment;
  size_t end = launch.values;
  for (const Parameter &parameter : parameters)
    end = std::max(end, launch.values + parameter.offset + parameter.bytes);
  next.values.resize(end);
  for (size_t i = 0; i < parameters.size(); ++i)
    std::memcpy(next.values.data() + launch.values + parameters[i].offset, arguments[i], parameters[i].bytes);
  next.launches.push_back(launch);
}

Status LaunchGraphs::launchEach(const LaunchList &list, const std::vector<std::vector<Parameter>> &parameters,
                                const std::function<std::string(int32_t)> &describe) {
  for (const Launch &launch : list.launches) {
    std::vector<void *> arguments;
    for (const Parameter &parameter : parameters[static_cast<size_t>(launch.kernel)])
      arguments.push_back(const_cast<std::byte *>(list.values.data()) + launch.values + parameter.offset);
    CUresult result =
        driver->cuLaunchKernel(launch.function, launch.grid[0], launch.grid[1], launch.grid[2], launch.threads, 1, 1,
                               launch.sharedBytes, stream, arguments.data(), nullptr);
    if (Status status = driver->check(result, "launching " + describe(launch.kernel)); !status)
      return status;
  }
  return {};
}

Status LaunchGraphs::submit(const std::vector<std::vector<Parameter>> &parameters,
                            const std::function<std::string(int32_t)> &describe) {
  LaunchList list = std::exchange(next, {});
  if (list.launches.empty())
    return {};
  auto found = std::find_if(known.begin(), known.end(), [&](const Known &other) { return other.list == list; });
  if (found == known.end()) {
    if (known.size() == mostKnown) {
      drop(known.back());
      known.pop_back();
    }
    known.insert(known.begin(), Known{std::move(list)});
    return launchEach(known.front().list, parameters, describe);
  }
  std::rotate(known.begin(), found, found + 1);
  Known &again = known.front();
  if (!again.graph) {
    if (Status status = driver->check(driver->cuStreamBeginCapture_v2(stream, captureOfThisThread), "recording a step"); !status)
      return status;
    Status launched = launchEach(again.list, parameters, describe);
    CUgraph graph = nullptr;
    CUresult result = driver->cuStreamEndCapture(stream, &graph); // in any case: it ends the recording
    if (!launched)
      return launched;
    if (!result)
      result = driver->cuGraphInstantiateWithFlags(&again.graph, graph, /*flags=*/0);
    if (graph)
      driver->cuGraphDestroy(graph);
    if (Status status = driver->check(result, "making a graph of a step"); !status)
      return status;
  }
  return driver->check(driver->cuGraphLaunch(again.graph, stream), "launching a step");
}

} // namespace bpt::cuda
