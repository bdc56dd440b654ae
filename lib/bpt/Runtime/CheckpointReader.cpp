// Verifying and loading checkpoints. They are untrusted like any other file: a damaged one is an error that names the
// file and what is wrong with it.
#include "CheckpointFiles.h"
#include "bpt/Runtime/Checkpoint.h"
#include "bpt/Runtime/Checksum.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/SafeTensors.h"
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <set>
#include <sys/stat.h>
#include <unistd.h>

namespace bpt {

using nlohmann::json;

std::string sumText(std::string_view text) {
  Checksum sum;
  sum.update(text.data(), text.size());
  return sum.text();
}

Expected<FileSum> sumFile(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0 && errno == ENOENT)
    return badInput(path + ": the file is missing");
  if (descriptor < 0)
    return fileError(path, "open", errno);
  Checksum sum;
  FileSum result;
  std::vector<char> chunk(1 << 20);
  int failure = 0;
  while (true) {
    ssize_t count = ::read(descriptor, chunk.data(), chunk.size());
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      failure = errno;
    if (count <= 0)
      break;
    sum.update(chunk.data(), static_cast<size_t>(count));
    result.bytes += count;
  }
  ::close(descriptor);
  if (failure)
    return fileError(path, "read", failure);
  result.xxh64 = sum.text();
  return result;
}

static Error damaged(const std::string &path, const std::string &why) {
  return badInput(fmt::format("{}: the checkpoint is damaged: {}", path, why));
}

/// Parses state.json and checks its own checksum.
static Expected<json> readState(const std::string &path) {
  constexpr int64_t longest = 1 << 20;
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored))
    return damaged(path, "the file is missing");
  Expected<std::string> text = readFile(path, longest);
  if (!text)
    return text.takeError();
  json state = json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!state.is_object() || !state.contains("xxh64") || !state["xxh64"].is_string())
    return damaged(path, "it is not complete JSON");
  std::string sum = state["xxh64"].get<std::string>();
  state.erase("xxh64");
  if (sumText(state.dump()) != sum)
    return damaged(path, "its checksum does not fit");
  return state;
}

static Status verifyFile(const std::string &path, const json &expected, bool contents) {
  int64_t bytes = expected.value("bytes", int64_t(-1));
  struct stat facts;
  if (::stat(path.c_str(), &facts) < 0)
    return errno == ENOENT ? damaged(path, "the file is missing") : fileError(path, "read", errno);
  if (facts.st_size != bytes)
    return damaged(path, fmt::format("expected {} bytes, but got {}", bytes, facts.st_size));
  if (!contents)
    return {};
  Expected<FileSum> sum = sumFile(path);
  if (!sum)
    return sum.takeError();
  if (sum->xxh64 != expected.value("xxh64", std::string()))
    return damaged(path, "its checksum does not fit");
  return {};
}

Expected<CheckpointInfo> verifyCheckpoint(const std::string &path, bool contents) {
  std::string statePath = path + "/" + stateFile;
  Expected<json> state = readState(statePath);
  if (!state)
    return state.takeError();
  // The checksum fits, so this is what some version of bpt wrote; which one is still to be asked.
  try {
    if (state->at("format") != checkpointFormat || state->at("version") != checkpointVersion)
      return badInput(fmt::format("{}: expected {} version {}, but got {} version {}", statePath, checkpointFormat,
                                  checkpointVersion, state->at("format").dump(), state->at("version").dump()));
    CheckpointInfo info;
    info.path = path;
    info.state.step = state->at("step").get<int64_t>();
    info.state.seed = state->at("seed").get<int64_t>();
    info.state.configuration = state->at("configuration").dump();
    if (std::filesystem::path(path).filename().string() != fmt::format("step-{}", info.state.step))
      return damaged(path, fmt::format("its state says step {}", info.state.step));
    for (const char *file : {modelFile, optimizerFile})
      if (Status status = verifyFile(path + "/" + file, state->at("files").at(file), contents); !status)
        return status.takeError();
    return info;
  } catch (const json::exception &error) {
    return damaged(statePath, error.what());
  }
}

static Status loadFile(const std::string &path, const std::vector<NamedTensor> &tensors) {
  Expected<SafeTensorsFile> file = SafeTensorsFile::open(path);
  if (!file)
    return file.takeError();
  std::set<std::string> known;
  for (const NamedTensor &tensor : tensors) {
    known.insert(tensor.name);
    std::string wanted = describeType(tensor.tensor.type(), tensor.tensor.shape());
    const SafeTensorsInfo *info = file->find(tensor.name);
    if (!info)
      return badInput(
          fmt::format("{}: the checkpoint is of another model: this model has {} of {}, the checkpoint does not", path,
                      inQuotes(tensor.name), wanted));
    std::string got = info->type ? describeType(*info->type, info->shape) : info->dtype;
    if (got != wanted)
      return badInput(
          fmt::format("{}: the checkpoint is of another model: {} is {} in this model and {} in the checkpoint", path,
                      inQuotes(tensor.name), wanted, got));
  }
  for (const SafeTensorsInfo &info : file->tensors())
    if (!known.count(info.name))
      return badInput(fmt::format("{}: the checkpoint is of another model: it has {} of {}, this model does not", path,
                                  inQuotes(info.name), info.type ? describeType(*info.type, info.shape) : info.dtype));
  for (const NamedTensor &tensor : tensors)
    if (Status status = file->readInto(*file->find(tensor.name), tensor.tensor.data()); !status)
      return status;
  return {};
}

Status loadCheckpoint(const CheckpointInfo &checkpoint, const std::vector<NamedTensor> &model,
                      const std::vector<NamedTensor> &optimizer) {
  if (Status status = loadFile(checkpoint.path + "/" + modelFile, model); !status)
    return status;
  return loadFile(checkpoint.path + "/" + optimizerFile, optimizer);
}

} // namespace bpt
