// What writer and reader of checkpoints agree on: names, version, checksums.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <string>
#include <string_view>

namespace bpt {

inline constexpr const char *modelFile = "model.safetensors";
inline constexpr const char *optimizerFile = "optimizer.safetensors";
inline constexpr const char *stateFile = "state.json";
inline constexpr const char *checkpointFormat = "bpt-checkpoint";
inline constexpr int checkpointVersion = 1;

/// Size and XXH64 (16 hexadecimal digits) of a file.
struct FileSum {
  int64_t bytes = 0;
  std::string xxh64;
};

/// Reads all of `path`. Errors: exit 1 when there is no such file, exit 5 when it cannot be read.
Expected<FileSum> sumFile(const std::string &path);

/// XXH64 of `text`.
std::string sumText(std::string_view text);

} // namespace bpt
