// Writing, finding and removing checkpoints. Reading back is in CheckpointReader.cpp.
#include "bpt/Runtime/Checkpoint.h"
#include "CheckpointFiles.h"
#include "bpt/Runtime/Checksum.h"
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/SafeTensors.h"
#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <filesystem>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace bpt {

namespace fs = std::filesystem;

static std::string stepName(int64_t step) { return fmt::format("step-{}", step); }

static Status removeTree(const fs::path &path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error)
    return fileError(path.string(), "remove", error.value());
  return {};
}

static Status moveFolder(const fs::path &from, const fs::path &to) {
  if (std::rename(from.c_str(), to.c_str()) != 0)
    return fileError(from.string(), fmt::format("rename to {}", to.filename().string()), errno);
  return {};
}

static Status writeState(const fs::path &folder, const CheckpointState &state) {
  nlohmann::json json;
  json["format"] = checkpointFormat;
  json["version"] = checkpointVersion;
  json["step"] = state.step;
  json["seed"] = state.seed;
  json["configuration"] = nlohmann::json::parse(state.configuration);
  for (const char *file : {modelFile, optimizerFile}) {
    Expected<FileSum> sum = sumFile((folder / file).string());
    if (!sum)
      return sum.takeError();
    json["files"][file] = {{"bytes", sum->bytes}, {"xxh64", sum->xxh64}};
  }
  json["xxh64"] = sumText(json.dump());
  Expected<OutputFile> file = OutputFile::create((folder / stateFile).string());
  if (!file)
    return file.takeError();
  if (Status status = file->write(json.dump(2) + "\n"); !status)
    return status;
  if (Status status = file->sync(); !status)
    return status;
  return file->close();
}

static Status writeContents(const fs::path &folder, const CheckpointState &state, const std::vector<NamedTensor> &model,
                            const std::vector<NamedTensor> &optimizer) {
  // transformers refuses a model file without this.
  SafeTensorsWriteOptions options = {{{"format", "pt"}}, true};
  if (Status status = writeSafeTensors((folder / modelFile).string(), model, options); !status)
    return status;
  if (Status status = writeSafeTensors((folder / optimizerFile).string(), optimizer, options); !status)
    return status;
  if (Status status = writeState(folder, state); !status)
    return status;
  return syncDirectory(folder.string());
}

Status writeCheckpoint(const std::string &folder, const CheckpointState &state, const std::vector<NamedTensor> &model,
                       const std::vector<NamedTensor> &optimizer) {
  fs::path final = fs::path(folder) / stepName(state.step);
  fs::path temporary = fs::path(folder) / ("." + stepName(state.step) + ".new");
  if (Status status = removeTree(temporary); !status)
    return status;
  std::error_code error;
  if (!fs::create_directories(temporary, error) && error)
    return fileError(temporary.string(), "create", error.value());
  Status status = writeContents(temporary, state, model, optimizer);
  // A folder that is in the way cannot be renamed onto; it is damaged, or it would not be written again.
  if (status && fs::exists(final, error))
    status = removeCheckpoint(folder, state.step);
  if (status)
    status = moveFolder(temporary, final);
  if (!status) {
    (void)removeTree(temporary); // the first error is the one to report
    return status;
  }
  return syncDirectory(folder);
}

Expected<std::vector<int64_t>> listCheckpoints(const std::string &folder) {
  std::vector<int64_t> steps;
  std::error_code error;
  fs::directory_iterator entries(folder, error), end;
  if (error == std::errc::no_such_file_or_directory)
    return steps;
  for (; !error && entries != end; entries.increment(error)) {
    std::string name = entries->path().filename().string();
    int64_t step = 0;
    const char *digits = name.c_str() + 5, *stop = name.c_str() + name.size();
    if (name.rfind("step-", 0) != 0 || std::from_chars(digits, stop, step).ptr != stop || step < 0)
      continue;
    if (name == stepName(step)) // no padding, no sign
      steps.push_back(step);
  }
  if (error)
    return fileError(folder, "list", error.value());
  std::sort(steps.begin(), steps.end());
  return steps;
}

Expected<NewestCheckpoint> findNewestCheckpoint(const std::string &folder, bool contents) {
  Expected<std::vector<int64_t>> steps = listCheckpoints(folder);
  if (!steps)
    return steps.takeError();
  NewestCheckpoint result;
  for (auto step = steps->rbegin(); step != steps->rend(); ++step) {
    Expected<CheckpointInfo> info = verifyCheckpoint((fs::path(folder) / stepName(*step)).string(), contents);
    if (info) {
      result.checkpoint = info.take();
      return result;
    }
    if (info.error().code != ExitCode::BadInput)
      return info.takeError();
    result.skipped.push_back(info.error().message);
  }
  return result;
}

Status removeCheckpoint(const std::string &folder, int64_t step) {
  fs::path hidden = fs::path(folder) / ("." + stepName(step) + ".old");
  if (Status status = removeTree(hidden); !status)
    return status;
  if (Status status = moveFolder(fs::path(folder) / stepName(step), hidden); !status)
    return status;
  return removeTree(hidden);
}

Status pruneCheckpoints(const std::string &folder, int64_t keep, int64_t step) {
  Expected<std::vector<int64_t>> steps = listCheckpoints(folder);
  if (!steps)
    return steps.takeError();
  int64_t kept = 0;
  for (auto other = steps->rbegin(); other != steps->rend(); ++other) {
    bool damaged = *other > step;
    if (!damaged && (keep == 0 || ++kept <= keep))
      continue;
    if (Status status = removeCheckpoint(folder, *other); !status)
      return status;
  }
  return {};
}

Status removeLeftovers(const std::string &folder) {
  std::vector<fs::path> leftovers;
  std::error_code error;
  fs::directory_iterator entries(folder, error), end;
  if (error == std::errc::no_such_file_or_directory)
    return {};
  for (; !error && entries != end; entries.increment(error))
    if (entries->path().filename().string().rfind(".step-", 0) == 0)
      leftovers.push_back(entries->path());
  if (error)
    return fileError(folder, "list", error.value());
  for (const fs::path &path : leftovers)
    if (Status status = removeTree(path); !status)
      return status;
  return {};
}

} // namespace bpt
