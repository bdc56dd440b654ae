// Lists of launches and copies, captured once and replayed.
#include "LaunchGraphs.h"
#include <algorithm>
#include <cstring>
#include <utility>

namespace bpt::cuda {

/// Lists that are remembered: the entries of a program that take turns, such as the steps that accumulate and the one
/// that updates.
static constexpr size_t mostKnown = 8;
static constexpr int captureOfThisThread = 1; // CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
static constexpr size_t valueAlignment = 64;  // of tensor maps

LaunchGraphs::~LaunchGraphs() {
  for (Known &list : known)
    drop(list);
  for (const std::vector<CUevent> &events : {begun, done})
    for (CUevent event : events)
      driver->cuEventDestroy_v2(event);
  if (copyStream)
    driver->cuStreamDestroy_v2(copyStream);
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
  next.work.push_back(launch);
}

size_t LaunchGraphs::add(Copy copy) {
  next.work.push_back(copy);
  return next.copies++;
}

Status LaunchGraphs::doLaunch(const Launch &launch, const WorkList &list, const std::vector<Parameter> &parameters,
                              const std::function<std::string(int32_t)> &describe) {
  std::vector<void *> arguments;
  for (const Parameter &parameter : parameters)
    arguments.push_back(const_cast<std::byte *>(list.values.data()) + launch.values + parameter.offset);
  CUresult result = driver->cuLaunchKernel(launch.function, launch.grid[0], launch.grid[1], launch.grid[2],
                                           launch.threads, 1, 1, launch.sharedBytes, stream, arguments.data(), nullptr);
  return driver->check(result, "launching " + describe(launch.kernel));
}

Status LaunchGraphs::makeCopyStream(size_t copies) {
  CUresult result = copyStream || copies == 0 ? 0 : driver->cuStreamCreate(&copyStream, /*CU_STREAM_NON_BLOCKING=*/1);
  for (std::vector<CUevent> *events : {&begun, &done})
    while (!result && events->size() < copies) {
      CUevent event = nullptr;
      result = driver->cuEventCreate(&event, /*CU_EVENT_DISABLE_TIMING=*/2);
      if (!result)
        events->push_back(event);
    }
  return driver->check(result, "preparing copies beside the kernels");
}

Status LaunchGraphs::doCopy(const Copy &copy, size_t number) {
  CUresult result = driver->cuEventRecord(begun[number], stream);
  if (!result)
    result = driver->cuStreamWaitEvent(copyStream, begun[number], 0);
  if (!result)
    result = driver->cuMemcpyAsync(copy.to, copy.from, copy.bytes, copyStream);
  if (!result)
    result = driver->cuEventRecord(done[number], copyStream);
  return driver->check(result, "copying between the GPU and host memory");
}

Status LaunchGraphs::doEach(const WorkList &list, const std::vector<std::vector<Parameter>> &parameters,
                            const std::function<std::string(int32_t)> &describe) {
  size_t copies = 0;
  for (const auto &piece : list.work) {
    Status status;
    if (auto *launch = std::get_if<Launch>(&piece))
      status = doLaunch(*launch, list, parameters[static_cast<size_t>(launch->kernel)], describe);
    else if (auto *copy = std::get_if<Copy>(&piece))
      status = doCopy(*copy, copies++);
    else
      status = driver->check(driver->cuStreamWaitEvent(stream, done[std::get<CopyWait>(piece).number], 0),
                             "waiting for a copy");
    if (!status)
      return status;
  }
  return {};
}

Status LaunchGraphs::submit(const std::vector<std::vector<Parameter>> &parameters,
                            const std::function<std::string(int32_t)> &describe) {
  WorkList list = std::exchange(next, {});
  if (list.work.empty())
    return {};
  if (Status status = makeCopyStream(list.copies); !status)
    return status;
  auto found = std::find_if(known.begin(), known.end(), [&](const Known &other) { return other.list == list; });
  if (found == known.end()) {
    if (known.size() == mostKnown) {
      drop(known.back());
      known.pop_back();
    }
    known.insert(known.begin(), Known{std::move(list)});
    return doEach(known.front().list, parameters, describe);
  }
  std::rotate(known.begin(), found, found + 1);
  Known &again = known.front();
  if (!again.graph) {
    if (Status status = driver->check(driver->cuStreamBeginCapture_v2(stream, captureOfThisThread), "recording a step");
        !status)
      return status;
    Status launched = doEach(again.list, parameters, describe);
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
