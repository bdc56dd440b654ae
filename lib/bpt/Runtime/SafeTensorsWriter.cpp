// Writes safetensors files with the layout of the reference implementation: same tensors, same bytes.
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/SafeTensors.h"
#include <algorithm>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bpt {

namespace {

/// Position of a type in a file. Wide types come first, so that every tensor is aligned to its element; among types of
/// the same width the order is the reference's.
int rank(DataType type) {
  switch (type) {
  case DataType::I64:
    return 0;
  case DataType::F64:
    return 1;
  case DataType::F32:
    return 2;
  case DataType::I32:
    return 3;
  case DataType::BF16:
    return 4;
  case DataType::F16:
    return 5;
  }
  return 6;
}

/// The JSON text for `tensors` in file order, padded with spaces to a multiple of 8.
Expected<std::string> headerText(const std::vector<const NamedTensor *> &tensors,
                                 const std::map<std::string, std::string> &metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty())
    json["__metadata__"] = metadata;
  int64_t offset = 0;
  // Members are appended as they come: looking each one up would be quadratic in an ordered object.
  auto &members = json.get_ref<nlohmann::ordered_json::object_t &>();
  for (const NamedTensor *named : tensors) {
    const Tensor &tensor = named->tensor;
    members.emplace_back(named->name, nlohmann::ordered_json{{"dtype", fileName(tensor.type())},
                                                             {"shape", tensor.shape()},
                                                             {"data_offsets", {offset, offset + tensor.bytes()}}});
    offset += tensor.bytes();
  }
  std::string text;
  try {
    text = json.dump();
  } catch (const nlohmann::json::exception &) {
    return badInput("a tensor name or metadata entry is not UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');
  if (text.size() > maxSafeTensorsHeaderBytes)
    return badInput(fmt::format("the header would have {} bytes, more than the limit of {}", text.size(),
                                maxSafeTensorsHeaderBytes));
  return text;
}

} // namespace

Status writeSafeTensors(const std::string &path, const std::vector<NamedTensor> &tensors,
                        const SafeTensorsWriteOptions &options) {
  std::vector<const NamedTensor *> order;
  for (const NamedTensor &named : tensors)
    order.push_back(&named);
  std::sort(order.begin(), order.end(), [](const NamedTensor *a, const NamedTensor *b) { return a->name < b->name; });
  for (size_t i = 0; i < order.size(); ++i)
    if (order[i]->name == "__metadata__" || (i > 0 && order[i - 1]->name == order[i]->name))
      return badInput(fmt::format("{}: the tensor name {} is {}", path, inQuotes(order[i]->name),
                                  order[i]->name == "__metadata__" ? "reserved" : "used twice"));
  std::stable_sort(order.begin(), order.end(), [](const NamedTensor *a, const NamedTensor *b) {
    return rank(a->tensor.type()) < rank(b->tensor.type());
  });
  Expected<std::string> header = headerText(order, options.metadata);
  if (!header)
    return header.error().in(path);

  Expected<OutputFile> file = OutputFile::create(path);
  if (!file)
    return file.takeError();
  unsigned char prefix[8];
  for (size_t i = 0; i < 8; ++i)
    prefix[i] = static_cast<unsigned char>(uint64_t(header->size()) >> (8 * i));
  if (Status status = file->write(prefix, sizeof(prefix)); !status)
    return status;
  if (Status status = file->write(*header); !status)
    return status;
  for (const NamedTensor *named : order)
    if (Status status = file->write(named->tensor.data(), named->tensor.bytes()); !status)
      return status;
  if (options.sync)
    if (Status status = file->sync(); !status)
      return status;
  return file->close();
}

} // namespace bpt
