// Opens, checks and reads token files. The llm.c formats are those of its llmc/dataloader.h.
#include "bpt/Runtime/TokenFile.h"
#include "bpt/Runtime/File.h"
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <limits>
#include <sys/stat.h>
#include <unistd.h>

namespace bpt {

static constexpr int64_t headerBytes = 1024;
static constexpr int64_t standardInputLimit = int64_t(1) << 34;
/// How far ids are checked before training starts; the rest is checked as it is read. A GiB takes about a second.
static constexpr int64_t checkedBytes = int64_t(1) << 30;

struct LlmcFormat {
  int32_t magic, version;
  int width;
};
static constexpr LlmcFormat llmcFormats[] = {{20240520, 1, 2}, {20240801, 7, 4}};

static bool endsWith(const std::string &text, const std::string &ending) {
  return text.size() >= ending.size() && text.compare(text.size() - ending.size(), ending.size(), ending) == 0;
}

Expected<TokenFile> TokenFile::open(const std::string &path, const std::string &type, std::optional<int64_t> range) {
  TokenFile file;
  file.range = range;
  file.name = path;
  if (path == "-") {
    file.name = "<standard input>";
    Expected<std::string> text = readFile(path, standardInputLimit);
    if (!text)
      return text.takeError();
    file.fileBytes = static_cast<int64_t>(text->size());
    file.text = std::make_shared<const std::string>(text.take());
  } else {
    int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
      return fileError(path, "open", errno);
    file.descriptor = std::shared_ptr<const int>(new int(descriptor), [](const int *d) {
      ::close(*d);
      delete d;
    });
    struct stat facts;
    if (::fstat(descriptor, &facts) < 0)
      return fileError(path, "read", errno);
    if (!S_ISREG(facts.st_mode))
      return badInput(
          fmt::format("{}: expected a file of tokens, but this is not a regular file; - reads standard input", path));
    file.fileBytes = facts.st_size;
  }
  if (Status status = file.detect(type); !status)
    return status.takeError();
  if (Status status = file.checkSize(); !status)
    return status.takeError();
  if (Status status = file.checkIds(); !status)
    return status.takeError();
  return file;
}

Status TokenFile::readHeader(bool required) {
  int32_t header[3] = {};
  bool longEnough = fileBytes >= headerBytes;
  if (longEnough)
    if (Status status = readBytes(0, sizeof(header), header); !status)
      return status;
  for (const LlmcFormat &format : llmcFormats) {
    if (header[0] != format.magic)
      continue;
    if (header[1] != format.version && !required)
      continue; // a raw file may begin with these ids
    if (header[1] != format.version)
      return badInput(fmt::format("{}: expected version {} of the llm.c format with magic {}, but got {}", name,
                                  format.version, format.magic, header[1]));
    dataStart = headerBytes;
    bytesPerToken = format.width;
    tokens = header[2];
    return {};
  }
  if (required)
    return badInput(
        fmt::format("{}: expected an llm.c token file (magic 20240520 or 20240801), but got {}; raw files are "
                    "--token-type=u8, u16 or u32",
                    name, longEnough ? fmt::format("magic {}", header[0]) : fmt::format("{} bytes", fileBytes)));
  return {};
}

Status TokenFile::detect(const std::string &type) {
  if (fileBytes == 0)
    return badInput(fmt::format("{}: expected tokens, but the file is empty", name));
  if (Status status = readHeader(type == "llmc"); !status)
    return status;
  if (type == "llmc" || (type == "auto" && dataStart))
    return {};
  if (dataStart)
    return badInput(fmt::format(
        "{}: expected raw {} tokens, but got a file with an llm.c header; use --token-type=llmc", name, type));
  if (type != "auto")
    bytesPerToken = type == "u8" ? 1 : type == "u16" ? 2 : 4;
  else if (endsWith(name, ".u8"))
    bytesPerToken = 1;
  else if (endsWith(name, ".u16"))
    bytesPerToken = 2;
  else if (endsWith(name, ".u32"))
    bytesPerToken = 4;
  else
    bytesPerToken = !range || *range > 65536 ? 4 : *range > 256 ? 2 : 1;
  return {};
}

Status TokenFile::checkSize() {
  int64_t bytes = fileBytes - dataStart;
  if (dataStart && (tokens <= 0 || bytes != tokens * bytesPerToken))
    return badInput(fmt::format("{}: expected {} tokens of {} bytes after the header, as it says, but got {} bytes",
                                name, tokens, bytesPerToken, bytes));
  if (bytes % bytesPerToken)
    return badInput(fmt::format("{}: expected a multiple of {} bytes (u{} tokens), but got {}; is --token-type right?",
                                name, bytesPerToken, 8 * bytesPerToken, bytes));
  tokens = bytes / bytesPerToken;
  int64_t values = int64_t(1) << (8 * bytesPerToken);
  if (range && *range > values)
    return badInput(
        fmt::format("{}: expected tokens wide enough for the vocabulary of {}, but got u{}, which ends at {}; "
                    "is --token-type right?",
                    name, *range, 8 * bytesPerToken, values - 1));
  return {};
}

Status TokenFile::checkIds() const {
  int64_t limit = range ? *range : std::numeric_limits<int32_t>::max();
  if (limit >= int64_t(1) << (8 * bytesPerToken))
    return {};
  constexpr int64_t chunk = 1 << 18;
  std::vector<int32_t> ids(chunk);
  int64_t last = std::min(tokens, checkedBytes / bytesPerToken);
  for (int64_t first = 0; first < last; first += chunk)
    if (Status status = read(first, std::min(chunk, last - first), ids.data()); !status)
      return status;
  return {};
}

Status TokenFile::readBytes(int64_t offset, int64_t bytes, void *buffer) const {
  if (text) {
    std::memcpy(buffer, text->data() + offset, static_cast<size_t>(bytes));
    return {};
  }
  auto *next = static_cast<char *>(buffer);
  while (bytes > 0) {
    ssize_t got = ::pread(*descriptor, next, static_cast<size_t>(bytes), offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fileError(name, "read", errno);
    if (got == 0)
      return ioError(fmt::format("{}: cannot read: the file has become shorter since it was opened", name));
    next += got;
    offset += got;
    bytes -= got;
  }
  return {};
}

template <typename T> static void widen(const std::vector<char> &raw, int64_t n, int64_t *ids) {
  for (int64_t i = 0; i < n; ++i) {
    T id;
    std::memcpy(&id, raw.data() + i * sizeof(T), sizeof(T));
    ids[i] = id;
  }
}

Status TokenFile::read(int64_t first, int64_t n, int32_t *ids) const {
  std::vector<char> raw(static_cast<size_t>(n * bytesPerToken));
  if (Status status = readBytes(dataStart + first * bytesPerToken, static_cast<int64_t>(raw.size()), raw.data());
      !status)
    return status;
  std::vector<int64_t> wide(static_cast<size_t>(n));
  if (bytesPerToken == 1)
    widen<uint8_t>(raw, n, wide.data());
  else if (bytesPerToken == 2)
    widen<uint16_t>(raw, n, wide.data());
  else
    widen<uint32_t>(raw, n, wide.data());
  const int64_t limit = range ? *range : int64_t(std::numeric_limits<int32_t>::max()) + 1;
  for (int64_t i = 0; i < n; ++i) {
    if (wide[i] >= limit)
      return badInput(
          fmt::format("{}: expected token ids below {}, but got {} at position {} (byte {}); does the file belong "
                      "to this vocabulary, and is --token-type right?",
                      name, limit, wide[i], first + i, dataStart + (first + i) * bytesPerToken));
    ids[i] = static_cast<int32_t>(wide[i]);
  }
  return {};
}

} // namespace bpt
