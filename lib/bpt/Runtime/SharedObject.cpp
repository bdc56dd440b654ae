// Opens a shared object made by bpt-compile: its manifest and its symbols.
#include "bpt/Runtime/File.h"
#include "bpt/Runtime/Program.h"
#include <cerrno>
#include <cstring>
#include <dlfcn.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace bpt {

Expected<Program> Program::open(const std::string &path) {
  // dlopen's text does not tell a missing file from a wrong one.
  int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0)
    return fileError(path, "open", errno);
  unsigned char magic[4] = {};
  ssize_t count = ::read(descriptor, magic, sizeof(magic));
  int failure = count < 0 ? errno : 0;
  ::close(descriptor);
  if (failure)
    return fileError(path, "read", failure);
  if (std::memcmp(magic, "\177ELF", 4) != 0)
    return badInput(path + ": expected a shared object made by bpt-compile --emit=so");

  // Without a slash dlopen would search the library path.
  std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  void *handle = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle)
    return badInput(fmt::format("{}: cannot load: {}", path, ::dlerror()));
  std::shared_ptr<void> library(handle, ::dlclose);
  const auto *text = static_cast<const char *>(::dlsym(handle, "bpt_manifest"));
  const auto *size = static_cast<const uint64_t *>(::dlsym(handle, "bpt_manifest_size"));
  if (!text || !size)
    return badInput(fmt::format("{}: no symbol {}: expected a shared object made by bpt-compile --emit=so", path,
                                text ? "bpt_manifest_size" : "bpt_manifest"));
  Expected<Manifest> manifest = parseManifest({text, static_cast<size_t>(*size)});
  if (!manifest)
    return manifest.error().in(path);
  std::shared_ptr<Device> device;
  if (manifest->target == "cuda") {
    const auto *code = static_cast<const char *>(::dlsym(handle, "bpt_device_code"));
    const auto *bytes = static_cast<const uint64_t *>(::dlsym(handle, "bpt_device_code_size"));
    if (!code || !bytes)
      return badInput(path + ": no symbol bpt_device_code: the kernels are missing; compile it again");
    Expected<std::shared_ptr<Device>> opened = openCudaDevice(manifest->kernels, {code, static_cast<size_t>(*bytes)});
    if (!opened)
      return opened.error().in(path);
    device = opened.take();
  }
  Expected<Program> program =
      create(manifest.take(), [&](const std::string &symbol) { return ::dlsym(handle, symbol.c_str()); }, library, device);
  if (!program)
    return program.error().in(path);
  return program;
}

} // namespace bpt
