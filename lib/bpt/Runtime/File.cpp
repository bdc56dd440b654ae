// System calls on files, with their errors turned into messages.
#include "bpt/Runtime/File.h"
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace bpt {

std::string inQuotes(std::string_view text) {
  constexpr size_t longest = 200;
  std::string result = "'";
  for (char c : text.substr(0, longest)) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f)
      result += c;
    else
      result += fmt::format("\\x{:02x}", byte);
  }
  return result + (text.size() > longest ? "'..." : "'");
}

Error fileError(const std::string &path, const std::string &action, int error) {
  std::string message = fmt::format("{}: cannot {}: {}", path, action, std::strerror(error));
  if (error == ENOSPC || error == EDQUOT)
    message += "; free space there or choose another place";
  else if (error == EFBIG)
    message += "; raise the file size limit (ulimit -f)";
  else if (error == EMFILE)
    message += "; raise the limit of open files (ulimit -n)";
  return ioError(message);
}

Expected<std::string> readFile(const std::string &path, int64_t limit) {
  bool standardInput = path == "-";
  std::string name = standardInput ? "<standard input>" : path;
  int descriptor = standardInput ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return fileError(name, "open", errno);
  std::string contents;
  int failure = 0;
  char chunk[65536];
  while (static_cast<int64_t>(contents.size()) <= limit) {
    ssize_t count = ::read(descriptor, chunk, sizeof(chunk));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      failure = errno;
    if (count <= 0)
      break;
    contents.append(chunk, static_cast<size_t>(count));
  }
  if (!standardInput)
    ::close(descriptor);
  if (failure)
    return fileError(name, "read", failure);
  if (static_cast<int64_t>(contents.size()) > limit)
    return badInput(fmt::format("{}: expected at most {} bytes, but got more", name, limit));
  return contents;
}

Expected<OutputFile> OutputFile::create(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return fileError(path, "create", errno);
  return OutputFile(path, descriptor);
}

OutputFile::OutputFile(OutputFile &&other) noexcept
    : path(std::move(other.path)), descriptor(std::exchange(other.descriptor, -1)) {}

OutputFile::~OutputFile() {
  if (descriptor < 0)
    return;
  struct stat facts;
  bool regular = ::fstat(descriptor, &facts) == 0 && S_ISREG(facts.st_mode);
  ::close(descriptor);
  if (regular)
    ::unlink(path.c_str());
}

Status OutputFile::write(const void *data, int64_t bytes) {
  const char *next = static_cast<const char *>(data);
  while (bytes > 0) {
    // Linux writes at most 2 GiB at once.
    ssize_t count = ::write(descriptor, next, static_cast<size_t>(std::min<int64_t>(bytes, 1 << 30)));
    if (count < 0 && errno == EINTR)
      continue;
    if (count < 0)
      return fileError(path, "write", errno);
    next += count;
    bytes -= count;
  }
  return {};
}

Status OutputFile::sync() {
  // Pipes and some special files cannot be synchronised; there is nothing to wait for then.
  if (::fsync(descriptor) < 0 && errno != EINVAL && errno != EROFS)
    return fileError(path, "write to the device", errno);
  return {};
}

Status OutputFile::close() {
  // After an error the descriptor is closed all the same (Linux), and what the file holds is unknown.
  if (::close(std::exchange(descriptor, -1)) == 0 || errno == EINTR)
    return {};
  Error error = fileError(path, "close", errno);
  ::unlink(path.c_str());
  return error;
}

Status syncDirectory(const std::string &path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0)
    return fileError(path, "open", errno);
  int failure = ::fsync(descriptor) < 0 && errno != EINVAL ? errno : 0;
  ::close(descriptor);
  if (failure)
    return fileError(path, "write to the device", failure);
  return {};
}

void ignoreWriteSignals() {
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

} // namespace bpt
