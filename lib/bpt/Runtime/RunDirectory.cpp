// Locks a run's folder and replaces files in it.
#include "bpt/Runtime/RunDirectory.h"
#include "bpt/Runtime/File.h"
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <filesystem>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

namespace bpt {

static Error inUse(const std::string &path, int descriptor) {
  char text[32] = {};
  long holder = ::pread(descriptor, text, sizeof(text) - 1, 0) > 0 ? std::strtol(text, nullptr, 10) : 0;
  return badInput(
      fmt::format("{}: another bpt-train{} is training into this folder; wait for it, or give another --out", path,
                  holder > 0 ? fmt::format(" (process {})", holder) : ""));
}

Expected<RunDirectory> RunDirectory::open(const std::string &path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error)
    return fileError(path, "create", error.value());
  RunDirectory directory;
  directory.folder = path;
  std::string lockPath = directory.file(".lock");
  int descriptor = ::open(lockPath.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (descriptor < 0)
    return fileError(lockPath, "create", errno);
  directory.lock = std::shared_ptr<const int>(new int(descriptor), [](const int *d) {
    ::close(*d);
    delete d;
  });
  while (::flock(descriptor, LOCK_EX | LOCK_NB) < 0) {
    if (errno == EWOULDBLOCK)
      return inUse(path, descriptor);
    if (errno != EINTR)
      return fileError(lockPath, "lock", errno);
  }
  return directory;
}

void RunDirectory::announce() const {
  std::string text = fmt::format("{}\n", ::getpid());
  if (::ftruncate(*lock, 0) == 0)
    (void)!::pwrite(*lock, text.data(), text.size(), 0);
}

Status RunDirectory::replaceFile(const std::string &name, std::string_view text) const {
  std::string path = file(name), temporary = file("." + name + ".new");
  Expected<OutputFile> output = OutputFile::create(temporary);
  if (!output)
    return output.takeError();
  if (Status status = output->write(text); !status)
    return status;
  if (Status status = output->close(); !status)
    return status;
  if (std::rename(temporary.c_str(), path.c_str()) != 0)
    return fileError(temporary, "rename to " + name, errno);
  return {};
}

} // namespace bpt
