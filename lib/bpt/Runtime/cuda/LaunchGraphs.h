// The launches of a run, handed to the GPU as one CUDA graph where they were seen before: a train step launches the same
// kernels with the same arguments every time, and a graph of them costs the host one call.
#pragma once
#include "Driver.h"
#include <array>
#include <functional>
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
  size_t values = 0; ///< where its arguments begin in LaunchList::values

  bool operator==(const Launch &other) const {
    return kernel == other.kernel && grid == other.grid && threads == other.threads && sharedBytes == other.sharedBytes &&
           values == other.values;
  }
};

/// Launches and the bytes of all their arguments: what is equal does the same.
struct LaunchList {
  std::vector<Launch> launches;
  std::vector<std::byte> values;

  bool operator==(const LaunchList &other) const { return launches == other.launches && values == other.values; }
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

  /// Gives the list to the stream and begins another: a list that was seen before as a graph, else kernel by kernel.
  /// `describe` names a kernel for the error of its launch.
  Status submit(const std::vector<std::vector<Parameter>> &parameters,
                const std::function<std::string(int32_t)> &describe);

private:
  struct Known {
    LaunchList list;
    CUgraphExec graph = nullptr; ///< from the second time on
  };
  Status launchEach(const LaunchList &list, const std::vector<std::vector<Parameter>> &parameters,
                    const std::function<std::string(int32_t)> &describe);
  void drop(Known &known);

  std::shared_ptr<const Driver> driver;
  CUstream stream;
  LaunchList next;
  std::vector<Known> known; ///< the last used first
};

} // namespace bpt::cuda
