// Reader and writer of safetensors files. Files are untrusted: the header is checked completely before any data is
// used, nothing is allocated by a size the file only claims, and data is copied, so a file that shrinks later is
// harmless. Format: https://github.com/huggingface/safetensors (u64 header length, JSON header, data).
#pragma once
#include "bpt/Runtime/Tensor.h"
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace bpt {

/// Largest header that is read or written, as in the reference implementation.
inline constexpr uint64_t maxSafeTensorsHeaderBytes = 100000000;

/// One tensor of a file, as its header describes it (already validated).
struct SafeTensorsInfo {
  std::string name;
  std::string dtype;            ///< as in the file: "F32", "BOOL", "F8_E4M3", ...
  std::optional<DataType> type; ///< set when the runtime can hold this dtype
  Shape shape;
  uint64_t begin = 0; ///< first byte, counted from the end of the header
  uint64_t end = 0;   ///< one past the last byte
};

/// The content of a header.
struct SafeTensorsHeader {
  std::vector<SafeTensorsInfo> tensors; ///< sorted by name
  std::map<std::string, std::string> metadata;
  uint64_t dataStart = 0; ///< file offset of the first data byte: 8 + header length

  /// The tensor called `name`, or null.
  const SafeTensorsInfo *find(std::string_view name) const;
};

/// Checks the JSON text `header` of a file that has `dataBytes` bytes after it. Every rule of the format is checked:
/// UTF-8 JSON object, unique keys, bounded depth and rank, known dtypes, checked products, offsets that cover the data
/// without overlap, gap or rest. Errors: exit 1 with the tensor and the rule.
Expected<SafeTensorsHeader> parseSafeTensorsHeader(std::string_view header, uint64_t dataBytes);

/// An open file. Tensors are read on demand, straight into their buffer.
class SafeTensorsFile {
public:
  /// Opens and validates. Errors: exit 5 when the file cannot be read, exit 1 when its contents are wrong.
  static Expected<SafeTensorsFile> open(const std::string &path);

  const std::string &path() const { return filePath; }
  const SafeTensorsHeader &header() const { return contents; }
  const std::vector<SafeTensorsInfo> &tensors() const { return contents.tensors; }
  const std::map<std::string, std::string> &metadata() const { return contents.metadata; }
  const SafeTensorsInfo *find(std::string_view name) const { return contents.find(name); }

  /// Reads the tensor called `name` into a new buffer. Errors: unknown name (with the nearest known one) or a dtype the
  /// runtime cannot hold (exit 1), refused allocation (exit 4), read error or a file that shrank (exit 5).
  Expected<Tensor> read(std::string_view name) const;

  /// Reads the data of `info` into `buffer`, which has info.end - info.begin bytes.
  Status readInto(const SafeTensorsInfo &info, void *buffer) const;

private:
  std::string filePath;
  SafeTensorsHeader contents;
  std::shared_ptr<const int> descriptor; ///< closed with the last copy
};

/// Options of writeSafeTensors.
struct SafeTensorsWriteOptions {
  std::map<std::string, std::string> metadata;
  bool sync = false; ///< fsync before closing
};

/// Writes `tensors` to `path` (created or truncated). The bytes depend on names, types, shapes, elements and metadata
/// only, and are those of the reference implementation: tensors are ordered by type (I64 F64 F32 I32 BF16 F16), then by
/// name; the header is padded to a multiple of 8.
/// Errors: duplicate or reserved name, header too large (exit 1); any failing system call (exit 5; a regular file that
/// is not complete is removed).
Status writeSafeTensors(const std::string &path, const std::vector<NamedTensor> &tensors,
                        const SafeTensorsWriteOptions &options = {});

} // namespace bpt
