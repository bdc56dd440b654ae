// Files with error codes: whole reads, writes that handle short writes and signals, and names that are safe to print.
#pragma once
#include "bpt/Runtime/Error.h"
#include <cstdint>
#include <string>
#include <string_view>

namespace bpt {

/// `text` in single quotes for messages: control and non-ASCII bytes as \xNN, cut after 200 bytes. Names from untrusted
/// files go through this, so that they cannot send escape sequences to a terminal.
std::string inQuotes(std::string_view text);

/// exit 5: "<path>: cannot <action>: <reason of the errno `error`>" and a remedy where there is one.
Error fileError(const std::string &path, const std::string &action, int error);

/// The contents of `path`; "-" is standard input. Errors: exit 5; exit 1 when there are more than `limit` bytes.
Expected<std::string> readFile(const std::string &path, int64_t limit);

/// A file being written. What is not closed with success is removed (regular files only).
class OutputFile {
public:
  /// Creates or truncates `path`.
  static Expected<OutputFile> create(const std::string &path);
  OutputFile(OutputFile &&other) noexcept;
  OutputFile &operator=(OutputFile &&) = delete;
  ~OutputFile();

  /// Appends `bytes` bytes; short writes and EINTR are continued.
  Status write(const void *data, int64_t bytes);
  Status write(std::string_view text) { return write(text.data(), static_cast<int64_t>(text.size())); }

  /// Waits until the data is on the device (fsync).
  Status sync();

  /// Closes; errors that the system reports late appear here.
  Status close();

private:
  OutputFile(std::string path, int descriptor) : path(std::move(path)), descriptor(descriptor) {}

  std::string path;
  int descriptor = -1;
};

/// fsync of a directory: renames and new files in it survive a crash of the machine.
Status syncDirectory(const std::string &path);

/// Writing to a closed pipe or beyond a size limit becomes an error code instead of a signal (SIGPIPE, SIGXFSZ).
void ignoreWriteSignals();

} // namespace bpt
