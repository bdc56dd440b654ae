// PTX to machine code by NVIDIA's assembler, where it is installed.
#include "DeviceCode.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"

namespace bpt {

std::optional<std::string> findPtxas() {
  llvm::ErrorOr<std::string> program = llvm::sys::findProgramByName("ptxas");
  if (!program)
    program = llvm::sys::findProgramByName("ptxas", {"/usr/local/cuda/bin"});
  return program ? std::optional(*program) : std::nullopt;
}

/// A file of its own with `text`, removed by the caller.
static Expected<std::string> writeTemporary(llvm::StringRef suffix, llvm::StringRef text) {
  int descriptor;
  llvm::SmallString<128> path;
  if (std::error_code error = llvm::sys::fs::createTemporaryFile("bpt", suffix, descriptor, path))
    return ioError("a temporary file for ptxas: " + error.message());
  llvm::raw_fd_ostream stream(descriptor, true);
  stream << text;
  stream.flush();
  if (stream.has_error()) {
    std::error_code error = stream.error();
    stream.clear_error();
    return ioError(path.str().str() + ": " + error.message());
  }
  return path.str().str();
}

static std::string readFile(llvm::StringRef path) {
  auto buffer = llvm::MemoryBuffer::getFile(path);
  return buffer ? (*buffer)->getBuffer().str() : std::string();
}

Expected<std::string> assembleKernels(const std::string &ptx, std::string *messages) {
  std::optional<std::string> ptxas = findPtxas();
  if (!ptxas)
    return badInput("no ptxas on the path or in /usr/local/cuda/bin");
  std::vector<std::string> files;
  auto cleanup = llvm::make_scope_exit([&] {
    for (const std::string &file : files)
      llvm::sys::fs::remove(file);
  });
  for (auto [suffix, text] : {std::pair("ptx", ptx), std::pair("cubin", std::string()), std::pair("log", std::string())}) {
    Expected<std::string> file = writeTemporary(suffix, text);
    if (!file)
      return file.takeError();
    files.push_back(file.take());
  }
  llvm::StringRef arguments[] = {*ptxas, "-arch=sm_90a", "-v", files[0], "-o", files[1]};
  std::optional<llvm::StringRef> streams[] = {std::nullopt, llvm::StringRef(files[2]), llvm::StringRef(files[2])};
  std::string failure;
  int code = llvm::sys::ExecuteAndWait(*ptxas, arguments, std::nullopt, streams, 0, 0, &failure);
  std::string log = readFile(files[2]);
  if (messages)
    *messages = log;
  if (code != 0)
    return badInput("ptxas refused the kernels: " + (log.empty() ? failure : log));
  return readFile(files[1]);
}

} // namespace bpt
