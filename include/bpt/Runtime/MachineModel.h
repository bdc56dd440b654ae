// How fast a machine computes, for predictions: what a run takes is known before it runs, how long only roughly.
#pragma once
#include <optional>
#include <string>
#include <vector>

namespace bpt {

struct MachineModel {
  std::string name;          ///< as --machine says it
  std::string description;   ///< the rate and where it comes from
  double flopsPerSecond = 0; ///< that training steps reach
  double hostBytesPerSecond =
      0; ///< of copies between the memories of a GPU and its host, one way; 0: there is one memory
};

/// The share of the peak that a whole training step is assumed to reach (docs/performance.md has measured ones).
inline constexpr double assumedShareOfPeak = 0.65;

/// `this` machine with `threads` threads: two FMA units of the widest vectors that it has at the clock it reports; or a
/// GPU by its data sheet's dense rate of 16-bit products: a100, h100, h200. None for another name.
std::optional<MachineModel> findMachine(const std::string &name, int threads);
/// The names findMachine knows.
const std::vector<std::string> &machineNames();

} // namespace bpt
