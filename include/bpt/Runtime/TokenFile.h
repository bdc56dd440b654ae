// Files of token ids: raw u8, u16 and u32 (nanoGPT), and both formats of llm.c.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace bpt {

/// An open token file. The file is untrusted: sizes are checked when it is opened, every id when it is read. Tokens are
/// read with pread rather than mapped, so that a disk error or a file cut short is an error and not a SIGBUS.
class TokenFile {
public:
  /// Opens `path` ("-": standard input, held in memory) as `type`: "u8", "u16", "u32", "llmc" (the 1024-byte header of
  /// llm.c: magic 20240520 version 1 with u16, magic 20240801 version 7 with u32), or "auto": an llm.c header if it has
  /// one, else what the name ends in (.u8, .u16, .u32), else the smallest type that holds `range`. `range` is the
  /// vocabulary: ids lie in [0, range). Errors (exit 1): no tokens, a size that is no multiple of the width or not that
  /// of the header, an unknown magic or version, a width that cannot hold the vocabulary, and among the first GiB an id
  /// outside it, with its position. Exit 5: the file cannot be read.
  static Expected<TokenFile> open(const std::string &path, const std::string &type, std::optional<int64_t> range);

  const std::string &path() const { return name; }
  /// Number of tokens.
  int64_t count() const { return tokens; }
  /// Bytes of a token: 1, 2 or 4.
  int width() const { return bytesPerToken; }

  /// Reads tokens [first, first + n) as i32; the positions must exist. Errors: an id outside the range (exit 1, with
  /// its position), a read error or a file that has become shorter (exit 5).
  Status read(int64_t first, int64_t n, int32_t *ids) const;

private:
  Status detect(const std::string &type);
  Status readHeader(bool required);
  Status checkSize();
  Status checkIds() const;
  Status readBytes(int64_t offset, int64_t bytes, void *buffer) const;

  std::string name;
  std::shared_ptr<const int> descriptor;   ///< closed with the last copy; null for standard input
  std::shared_ptr<const std::string> text; ///< contents of standard input
  std::optional<int64_t> range;
  int64_t fileBytes = 0;
  int64_t dataStart = 0;
  int64_t tokens = 0;
  int bytesPerToken = 0;
};

} // namespace bpt
