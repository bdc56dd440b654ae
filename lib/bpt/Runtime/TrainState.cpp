// Lays out, initialises and loads the state of a training run.
#include "bpt/Runtime/TrainState.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/Checksum.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Packer.h"
#include "bpt/Runtime/Random.h"
#include "bpt/Runtime/SafeTensors.h"
#include <algorithm>
#include <cstring>
#include <fmt/format.h>
#include <set>

namespace bpt {

Expected<std::vector<TrainedParameter>> trainedParameters(const std::vector<ArgumentInfo> &lossArguments) {
  std::vector<TrainedParameter> parameters;
  for (const ArgumentInfo &argument : lossArguments) {
    if (!argument.parameter)
      continue;
    DataType master = argument.type == DataType::F64 ? DataType::F64 : DataType::F32;
    if (std::any_of(argument.shape.begin(), argument.shape.end(), [](int64_t size) { return size < 0; }))
      return badInput(fmt::format("parameter {}: expected a static shape, but got {}", inQuotes(argument.name),
                                  describeType(argument.type, argument.shape)));
    parameters.push_back({argument.name, argument.shape, master, master, argument.init.value_or(Init{})});
  }
  if (parameters.empty())
    return badInput("expected a loss graph with parameters, but no argument has bpt.init");
  return parameters;
}

/// Calls visit(name, type, shape, bytes) for every tensor of the state, in the order of memory.
template <typename Visit>
static Status forEachTensor(const std::vector<TrainedParameter> &parameters, const Visit &visit) {
  for (const TrainedParameter &parameter : parameters)
    for (const char *suffix : {"", ".m", ".v"}) {
      DataType type = *suffix ? parameter.moments : parameter.type;
      Expected<int64_t> count = countElements(parameter.shape, type);
      if (!count)
        return count.error().in("parameter " + inQuotes(parameter.name));
      if (Status status = visit(parameter, suffix, type, *count * bytesPerElement(type)); !status)
        return status;
    }
  return {};
}

Expected<int64_t> TrainState::bytes(const std::vector<TrainedParameter> &parameters) {
  int64_t total = 0;
  Status status =
      forEachTensor(parameters, [&](const TrainedParameter &, const char *, DataType, int64_t bytes) -> Status {
        Expected<int64_t> aligned = alignedSize(bytes);
        if (!aligned || __builtin_add_overflow(total, *aligned, &total))
          return badInput("the parameters do not fit in 63 bits");
        return {};
      });
  if (!status)
    return status.takeError();
  return total;
}

TrainState TrainState::place(const std::vector<TrainedParameter> &parameters, uint8_t *block) {
  TrainState state;
  (void)forEachTensor(
      parameters, [&](const TrainedParameter &parameter, const char *suffix, DataType type, int64_t bytes) -> Status {
        NamedTensor tensor = {parameter.name + suffix, Tensor::view(type, parameter.shape, block)};
        (*suffix ? state.optimizer : state.model).push_back(std::move(tensor));
        block += *alignedSize(bytes);
        return {};
      });
  return state;
}

static void initialize(const Tensor &tensor, const TrainedParameter &parameter, uint64_t seed) {
  if (parameter.init.kind == Init::Kind::Zeros) {
    std::memset(tensor.data(), 0, static_cast<size_t>(tensor.bytes()));
  } else if (parameter.init.kind == Init::Kind::Ones) {
    for (int64_t i = 0; i < tensor.elements(); ++i)
      tensor.set(i, 1);
  } else {
    // The name picks the stream: adding or reordering parameters leaves the others as they were.
    Checksum name;
    name.update(parameter.name.data(), parameter.name.size());
    fillNormal(tensor, seed, static_cast<uint32_t>(name.value()), parameter.init.std);
  }
}

void initializeState(const TrainState &state, const std::vector<TrainedParameter> &parameters, uint64_t seed) {
  for (size_t i = 0; i < parameters.size(); ++i)
    initialize(state.model[i].tensor, parameters[i], seed);
  for (const NamedTensor &moment : state.optimizer)
    std::memset(moment.tensor.data(), 0, static_cast<size_t>(moment.tensor.bytes()));
}

/// The tensor of `file` for the parameter `name`: of that name, or without its first part.
static const SafeTensorsInfo *findParameter(const SafeTensorsFile &file, const std::string &name) {
  if (const SafeTensorsInfo *info = file.find(name))
    return info;
  size_t dot = name.find('.');
  return dot == std::string::npos ? nullptr : file.find(name.substr(dot + 1));
}

static Status loadParameter(const SafeTensorsFile &file, const SafeTensorsInfo &info, const NamedTensor &parameter,
                            bool checkOnly) {
  const Tensor &tensor = parameter.tensor;
  if (!info.type || !isFloat(*info.type) || info.shape != tensor.shape())
    return badInput(fmt::format("{}: {}: expected {} or another float type of this shape, but got {}", file.path(),
                                inQuotes(parameter.name), describeType(tensor.type(), tensor.shape()),
                                info.type ? describeType(*info.type, info.shape) : info.dtype));
  if (checkOnly)
    return {};
  if (*info.type == tensor.type())
    return file.readInto(info, tensor.data());
  Expected<Tensor> read = file.read(info.name);
  if (!read)
    return read.takeError();
  convertElements(*read, tensor, nullptr);
  return {};
}

Expected<ExtraTensors> loadParameters(const std::string &path, const std::vector<NamedTensor> &parameters,
                                      bool checkOnly) {
  Expected<SafeTensorsFile> file = SafeTensorsFile::open(path);
  if (!file)
    return file.takeError();
  std::vector<std::string> names;
  for (const SafeTensorsInfo &info : file->tensors())
    names.push_back(info.name);
  std::set<std::string> used;
  for (const NamedTensor &parameter : parameters) {
    const SafeTensorsInfo *info = findParameter(*file, parameter.name);
    if (!info) {
      std::string nearest = nearestName(parameter.name, names);
      return badInput(fmt::format("{}: expected the parameter {}, but the file has no such tensor{}", path,
                                  inQuotes(parameter.name),
                                  nearest.empty() ? "" : "; the nearest name is " + inQuotes(nearest)));
    }
    used.insert(info->name);
    if (Status status = loadParameter(*file, *info, parameter, checkOnly); !status)
      return status.takeError();
  }
  ExtraTensors extra;
  for (std::string &name : names)
    if (!used.count(name))
      extra.names.push_back(std::move(name));
  return extra;
}

void convertElements(const Tensor &from, const Tensor &to, ThreadPool *threads) {
  if (from.type() == to.type()) {
    std::memcpy(to.data(), from.data(), static_cast<size_t>(from.bytes()));
    return;
  }
  constexpr int64_t chunk = 1 << 16;
  auto convert = [&](int64_t item, int) {
    for (int64_t i = item * chunk, end = std::min(from.elements(), i + chunk); i < end; ++i)
      to.set(i, from.get(i));
  };
  int64_t chunks = (from.elements() + chunk - 1) / chunk;
  if (threads)
    return threads->parallelFor(chunks, convert);
  for (int64_t item = 0; item < chunks; ++item)
    convert(item, 0);
}

} // namespace bpt
