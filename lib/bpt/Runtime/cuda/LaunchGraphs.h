// The launches and copies of a run, handed to the GPU as one CUDA graph where they were seen before: a train step does
// the same with the same arguments every time, and a graph of it costs the host one call.
#pragma once
#include "Driver.h"
#include <array>
#include <functional>
#include <variant>
#include <vector>

namespace bpt::cuda {

/// Where a kernel's parameters lie among its arguments, from the driver.
struct Parameter {
  size_t offset = 0, bytes = 0;
};

struct Launch {
  CUfunction function = nullptr;
  int32_t kernel = 0; ///< its number, for errors
  std::array<unsigned, 3> grid{1, 1, 1};
  unsigned threads = 1, sharedBytes = 0;
  size_t values = 0; ///< where its arguments begin in WorkList::values

  bool operator==(const Launch &) const = default;
};

/// A copy, on a stream of its own, that begins after the work before it.
struct Copy {
  CUdeviceptr to = 0, from = 0;
  size_t bytes = 0;

  bool operator==(const Copy &) const = default;
};

/// The work behind it waits for copy `number` of the list.
struct CopyWait {
  size_t number = 0;

  bool operator==(const CopyWait &) const = default;
};

/// What a run does, and the bytes of all arguments: what is equal does the same.
struct WorkList {
  std::vector<std::variant<Launch, Copy, CopyWait>> work;
  std::vector<std::byte> values;
  size_t copies = 0;

  bool operator==(const WorkList &) const = default;
};

class LaunchGraphs {
public:
  LaunchGraphs(std::shared_ptr<const Driver> driver, CUstream stream) : driver(std::move(driver)), stream(stream) {}
  ~LaunchGraphs();
  LaunchGraphs(const LaunchGraphs &) = delete;
  LaunchGraphs &operator=(const LaunchGraphs &) = delete;

  /// Forgets what was added and not submitted.
  void clear() { next = {}; }
  /// Adds a launch to the list; the values of its arguments are copied.
  void add(Launch launch, void **arguments, const std::vector<Parameter> &parameters);
  /// Adds a copy; the result is its number for CopyWait.
  size_t add(Copy copy);
  void add(CopyWait wait) { next.work.push_back(wait); }

  /// Gives the list to the stream and begins another: a list that was seen before as a graph, else piece by piece. All
  /// its copies are waited for in it. `describe` names a kernel for the error of its launch.
  Status submit(const std::vector<std::vector<Parameter>> &parameters,
                const std::function<std::string(int32_t)> &describe);

private:
  struct Known {
    WorkList list;
    CUgraphExec graph = nullptr; ///< from the second time on
  };
  Status doEach(const WorkList &list, const std::vector<std::vector<Parameter>> &parameters,
                const std::function<std::string(int32_t)> &describe);
  Status doLaunch(const Launch &launch, const WorkList &list, const std::vector<Parameter> &parameters,
                  const std::function<std::string(int32_t)> &describe);
  Status doCopy(const Copy &copy, size_t number);
  Status makeCopyStream(size_t copies);
  void drop(Known &known);

  std::shared_ptr<const Driver> driver;
  CUstream stream, copyStream = nullptr;
  std::vector<CUevent> begun, done; ///< of each copy: the work before it, and itself
  WorkList next;
  std::vector<Known> known; ///< the last used first
};

} // namespace bpt::cuda
