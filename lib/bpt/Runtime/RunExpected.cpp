// --expected: results against those of a file.
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/RunCommand.h"
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>

namespace bpt {

/// The distance from 1 to the next number.
static double epsilonOf(DataType type) {
  switch (type) {
  case DataType::F64:
    return 0x1p-52;
  case DataType::F32:
    return 0x1p-23;
  case DataType::F16:
    return 0x1p-10;
  case DataType::BF16:
    return 0x1p-7;
  case DataType::I32:
  case DataType::I64:
    break;
  }
  return 0;
}

static double largestMagnitude(const Tensor &tensor) {
  double largest = 0;
  for (int64_t i = 0; i < tensor.elements(); ++i)
    if (double value = std::fabs(tensor.get(i)); std::isfinite(value))
      largest = std::max(largest, value);
  return largest;
}

Status checkExpected(const std::vector<NamedTensor> &results, const std::string &path) {
  Expected<SafeTensorsFile> file = SafeTensorsFile::open(path);
  if (!file)
    return file.takeError();
  std::vector<NamedTensor> expected;
  for (const NamedTensor &result : results) {
    Expected<Tensor> tensor = file->read(result.name);
    if (!tensor)
      return tensor.takeError();
    expected.push_back({result.name, tensor.take()});
  }
  Expected<std::vector<Comparison>> comparisons = compareResults(results, expected);
  if (!comparisons)
    return comparisons.error().in(path);
  std::string wrong;
  for (size_t i = 0; i < results.size(); ++i) {
    const Comparison &comparison = (*comparisons)[i];
    double allowed = 4 * epsilonOf(results[i].tensor.type()) * largestMagnitude(expected[i].tensor);
    auto given = file->metadata().find("tolerance." + comparison.name);
    if (given != file->metadata().end()) {
      char *end = nullptr;
      allowed = std::strtod(given->second.c_str(), &end);
      if (end == given->second.c_str() || *end || !(allowed >= 0))
        return badInput(fmt::format("{}: metadata {}: expected a number that is not negative, but got {}", path,
                                    inQuotes(given->first), inQuotes(given->second)));
    }
    if (!(comparison.maxAbs <= allowed))
      wrong += fmt::format("{}{} is {:.3g} away, {:.3g} allowed", wrong.empty() ? "" : "; ", inQuotes(comparison.name),
                           comparison.maxAbs, allowed);
  }
  return wrong.empty() ? Status() : badInput(fmt::format("results differ from {}: {}", path, wrong));
}

} // namespace bpt
