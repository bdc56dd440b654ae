// Binds tensors to the arguments of an entry by name, and makes up those that are not given.
#pragma once
#include "bpt/Runtime/Manifest.h"
#include "bpt/Runtime/SafeTensors.h"
#include "bpt/Runtime/Tensor.h"
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace bpt {

/// Ok when `type` and `shape` fit `argument`; else exit 1 with both sides.
Status checkArgument(const ArgumentInfo &argument, DataType type, const Shape &shape);

/// Ok when every element of an integer argument with a range lies in it (or is its ignoreIndex); else exit 1 with the
/// first index that does not. Arguments without a range are always ok.
Status checkIntegerRange(const ArgumentInfo &argument, const Tensor &tensor);

struct ArgumentSources {
  const SafeTensorsFile *inputs = nullptr; ///< tensors by name; every one must be an argument
  std::map<std::string, Shape> shapes;     ///< shapes of dynamic arguments that are not in `inputs`
  uint64_t seed = 0;                       ///< of the arguments that are not in `inputs`
};

/// The shapes collectArguments would give; reads and makes no elements. Same errors.
Expected<std::vector<Shape>> argumentShapes(const EntryInfo &entry, const ArgumentSources &sources);

/// The arguments of `entry` in order. Those not in `inputs` are random: floats N(0,1), integers in [0, range), or [0,
/// 97) without a range; the value of an element depends on seed, argument position and element index only. Errors (exit
/// 1): an input that is no argument (with the nearest name), a type or shape that does not fit (both sides), a dynamic
/// shape that is not given.
Expected<std::vector<Tensor>> collectArguments(const EntryInfo &entry, const ArgumentSources &sources);

/// The candidate that `name` was most likely meant to be (edit distance), or an empty string when none is close.
std::string nearestName(const std::string &name, const std::vector<std::string> &candidates);

} // namespace bpt
