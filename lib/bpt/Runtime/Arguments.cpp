// Matches named tensors to an entry's signature, and makes up random ones.
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Random.h"
#include <algorithm>
#include <fmt/format.h>
#include <numeric>

namespace bpt {

namespace {

/// Random integers of arguments without a declared range lie in [0, this) (docs: bpt.range).
constexpr int64_t defaultRange = 97;
/// Names longer than this are not worth comparing; also bounds the work for untrusted names.
constexpr size_t longestComparedName = 256;

/// Levenshtein distance.
size_t editDistance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t(0));
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

std::vector<std::string> argumentNames(const EntryInfo &entry) {
  std::vector<std::string> names;
  for (const ArgumentInfo &argument : entry.arguments)
    names.push_back(argument.name);
  return names;
}

Error unknownArgument(const EntryInfo &entry, const std::string &name) {
  std::vector<std::string> names = argumentNames(entry);
  std::string nearest = nearestName(name, names);
  std::string hint = nearest.empty() ? "" : "; did you mean " + inQuotes(nearest);
  if (nearest.empty() && names.size() <= 12)
    hint = fmt::format("; its arguments are {}", fmt::join(names, ", "));
  return badInput(fmt::format("no argument of {} is called {}{}", inQuotes(entry.name), inQuotes(name), hint));
}

/// The shape of an argument that is not in the inputs.
Expected<Shape> shapeWithoutInput(const ArgumentInfo &argument, const ArgumentSources &sources) {
  auto given = sources.shapes.find(argument.name);
  Shape shape = given == sources.shapes.end() ? argument.shape : given->second;
  if (given == sources.shapes.end() && std::count(shape.begin(), shape.end(), -1) > 0) {
    std::string example;
    for (int64_t size : shape)
      example += fmt::format("{}{}", example.empty() ? "" : "x", size < 0 ? 8 : size);
    return badInput(fmt::format("argument {} is {} and is not given: give the tensor in --inputs, or its sizes as in "
                                "--shape={}={}",
                                inQuotes(argument.name), describeType(argument.type, argument.shape), argument.name,
                                example));
  }
  if (Status status = checkArgument(argument, argument.type, shape); !status)
    return status.takeError();
  return shape;
}

/// The shape of an argument that is in the inputs.
Expected<Shape> inputShape(const ArgumentInfo &argument, const SafeTensorsInfo &info) {
  if (!info.type)
    return badInput(fmt::format("argument {}: expected {}, but got dtype {}", inQuotes(argument.name),
                                describeType(argument.type, argument.shape), info.dtype));
  if (Status status = checkArgument(argument, *info.type, info.shape); !status)
    return status.takeError();
  return info.shape;
}

Expected<Tensor> randomArgument(const ArgumentInfo &argument, const Shape &shape, uint64_t seed, size_t position) {
  Expected<Tensor> tensor = Tensor::allocate(argument.type, shape);
  if (!tensor)
    return tensor.error().in("argument " + inQuotes(argument.name));
  if (isFloat(argument.type))
    fillNormal(*tensor, seed, static_cast<uint32_t>(position));
  else
    fillIntegers(*tensor, seed, static_cast<uint32_t>(position), argument.range.value_or(defaultRange));
  return tensor;
}

} // namespace

Status checkArgument(const ArgumentInfo &argument, DataType type, const Shape &shape) {
  bool fits = type == argument.type && shape.size() == argument.shape.size();
  for (size_t i = 0; fits && i < shape.size(); ++i)
    fits = argument.shape[i] < 0 ? shape[i] >= 0 : shape[i] == argument.shape[i];
  if (fits)
    return {};
  return badInput(fmt::format("argument {}: expected {}, but got {}", inQuotes(argument.name),
                              describeType(argument.type, argument.shape), describeType(type, shape)));
}

Status checkIntegerRange(const ArgumentInfo &argument, const Tensor &tensor) {
  if (isFloat(argument.type) || !argument.range)
    return {};
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    int64_t value = tensor.getInteger(i);
    if ((value >= 0 && value < *argument.range) || (argument.ignoreIndex && value == *argument.ignoreIndex))
      continue;
    std::string index;
    int64_t rest = i;
    for (int64_t d = tensor.rank() - 1; d >= 0; --d) {
      int64_t size = tensor.shape()[static_cast<size_t>(d)];
      index = fmt::format("{}{}{}", rest % size, index.empty() ? "" : ", ", index);
      rest /= size;
    }
    std::string allowed = argument.ignoreIndex ? fmt::format(" or {}", *argument.ignoreIndex) : "";
    return badInput(fmt::format("argument {}: expected integers from 0 to {}{}, but got {} at index [{}]",
                                inQuotes(argument.name), *argument.range - 1, allowed, value, index));
  }
  return {};
}

Expected<std::vector<Shape>> argumentShapes(const EntryInfo &entry, const ArgumentSources &sources) {
  std::vector<std::string> names = argumentNames(entry);
  auto known = [&](const std::string &name) { return std::find(names.begin(), names.end(), name) != names.end(); };
  if (sources.inputs)
    for (const SafeTensorsInfo &info : sources.inputs->tensors())
      if (!known(info.name))
        return unknownArgument(entry, info.name).in(sources.inputs->path());
  for (const auto &[name, shape] : sources.shapes)
    if (!known(name))
      return unknownArgument(entry, name).in("--shape");

  std::vector<Shape> shapes;
  for (const ArgumentInfo &argument : entry.arguments) {
    const SafeTensorsInfo *info = sources.inputs ? sources.inputs->find(argument.name) : nullptr;
    Expected<Shape> shape = info ? inputShape(argument, *info) : shapeWithoutInput(argument, sources);
    if (!shape)
      return info ? shape.error().in(sources.inputs->path()) : shape.takeError();
    shapes.push_back(shape.take());
  }
  return shapes;
}

Expected<std::vector<Tensor>> collectArguments(const EntryInfo &entry, const ArgumentSources &sources) {
  Expected<std::vector<Shape>> shapes = argumentShapes(entry, sources);
  if (!shapes)
    return shapes.takeError();
  std::vector<Tensor> arguments;
  for (size_t i = 0; i < entry.arguments.size(); ++i) {
    const ArgumentInfo &argument = entry.arguments[i];
    bool given = sources.inputs && sources.inputs->find(argument.name);
    Expected<Tensor> tensor =
        given ? sources.inputs->read(argument.name) : randomArgument(argument, (*shapes)[i], sources.seed, i);
    if (!tensor)
      return tensor.takeError();
    arguments.push_back(tensor.take());
  }
  return arguments;
}

std::string nearestName(const std::string &name, const std::vector<std::string> &candidates) {
  if (name.size() > longestComparedName)
    return {};
  std::string nearest;
  size_t best = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string &candidate : candidates) {
    if (candidate.size() > longestComparedName)
      continue;
    size_t distance = editDistance(name, candidate);
    if (distance >= best)
      continue;
    best = distance;
    nearest = candidate;
  }
  return nearest;
}

} // namespace bpt
