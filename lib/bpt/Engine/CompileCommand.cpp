// What bpt-compile does: a module becomes text of a stage, LLVM IR, an object or a shared library.
#include "bpt/Engine/CompileCommand.h"
#include "DeviceCode.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Path.h"

using namespace mlir;

namespace bpt {

/// Writes beside `path` and renames, so that a file there is complete or absent.
static Status writeFile(const std::string &path, llvm::StringRef bytes) {
  if (path == "-") {
    llvm::outs() << bytes;
    llvm::outs().flush();
    return {};
  }
  llvm::SmallString<128> temporary;
  int descriptor;
  if (std::error_code error = llvm::sys::fs::createUniqueFile(path + ".%%%%%%", descriptor, temporary))
    return ioError(path + ": " + error.message());
  {
    llvm::raw_fd_ostream stream(descriptor, true);
    stream << bytes;
    stream.flush();
    if (stream.has_error()) {
      std::error_code error = stream.error();
      stream.clear_error();
      llvm::sys::fs::remove(temporary);
      return ioError(path + ": " + error.message());
    }
  }
  if (std::error_code error = llvm::sys::fs::rename(temporary, path)) {
    llvm::sys::fs::remove(temporary);
    return ioError(path + ": " + error.message());
  }
  return {};
}

static Status emitText(ModuleOp module, const std::string &path) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  return writeFile(path, text + "\n");
}

static Status emitSharedObject(llvm::ArrayRef<std::string> objects, const std::string &path) {
  std::vector<std::string> files;
  auto cleanup = llvm::make_scope_exit([&] {
    for (const std::string &file : files)
      llvm::sys::fs::remove(file);
  });
  for (const std::string &object : objects) {
    llvm::SmallString<128> file;
    if (std::error_code error = llvm::sys::fs::createUniqueFile(path + ".%%%%%%.o", file))
      return ioError(path + ": " + error.message());
    files.push_back(file.str().str());
    if (Status status = writeFile(files.back(), object); !status)
      return status;
  }
  std::string linked = files.front() + ".so";
  if (Status status = linkSharedObject(files, linked); !status)
    return status;
  if (std::error_code error = llvm::sys::fs::rename(linked, path)) {
    llvm::sys::fs::remove(linked);
    return ioError(path + ": " + error.message());
  }
  return {};
}

Status runCompileCommand(const CompileCommand &command) {
  static constexpr const char *kinds[] = {"mlir", "llvm", "asm", "ptx", "obj", "so"};
  if (!llvm::is_contained(kinds, command.emit))
    return usageError("unknown --emit=" + command.emit + "; expected mlir, llvm, asm, ptx, obj or so");
  bool binary = command.emit == "obj" || command.emit == "so";
  if (command.emit == "ptx" && !hasKernels(command.options.target))
    return usageError("expected --target=cuda with --emit=ptx");
  if (binary && command.options.target == Target::Emulator)
    return usageError(
        "--target=emulator runs in bpt-run and bpt-train only; expected cpu, reference or cuda with --emit=" +
        command.emit);
  if (command.output == "-" && binary)
    return usageError("expected -o FILE with --emit=" + command.emit);
  Expected<Stage> stage = parseStage(command.stopAfter);
  if (!stage)
    return stage.takeError();
  Compiler compiler;
  Expected<OwningOpRef<ModuleOp>> module = compiler.read(command.input);
  if (!module)
    return module.takeError();
  CompileOptions options = command.options;
  if (Status status = compiler.formGradientEntry(*module, options); !status)
    return status;
  if (Status status = compiler.selectEntries(**module, options); !status)
    return status;
  bool text = command.emit == "mlir";
  if (Status status = compiler.lower(**module, options, text ? *stage : Stage::LLVM); !status)
    return status;
  if (text)
    return emitText(**module, command.output);
  Expected<Manifest> manifest = compiler.getManifest(**module, options);
  if (!manifest)
    return manifest.takeError();
  if (options.offload == Offload::Yes && !offloadsAnything(*manifest))
    llvm::errs() << "bpt-compile: " << idleOffloadWarning << "\n";
  llvm::LLVMContext context;
  Expected<std::unique_ptr<llvm::Module>> kernels = takeKernels(**module, context);
  if (!kernels)
    return kernels.takeError();
  if (command.emit == "ptx") {
    if (!*kernels)
      return badInput("the functions have no kernels: there is no PTX to emit");
    Expected<std::string> ptx = emitPTX(**kernels);
    return ptx ? writeFile(command.output, *ptx) : ptx.takeError();
  }
  Expected<std::unique_ptr<llvm::Module>> code = compiler.translate(**module, context, options);
  if (!code)
    return code.takeError();
  embedManifest(**code, *manifest);
  if (*kernels && binary) {
    Expected<std::string> image = emitCudaImage(**kernels);
    if (!image)
      return image.takeError();
    embedDeviceCode(**code, *image);
  }
  if (command.emit == "so") {
    Expected<std::vector<std::string>> objects = compiler.emitObjects(**code, options);
    return objects ? emitSharedObject(*objects, command.output) : objects.takeError();
  }
  compiler.optimize(**code, options);
  if (command.emit == "llvm") {
    std::string ir;
    llvm::raw_string_ostream stream(ir);
    (*code)->print(stream, nullptr);
    return writeFile(command.output, ir);
  }
  if (command.emit == "asm") {
    Expected<std::string> assembly = compiler.emitAssembly(**code, options);
    return assembly ? writeFile(command.output, *assembly) : assembly.takeError();
  }
  Expected<std::string> object = compiler.emitObject(**code, options);
  return object ? writeFile(command.output, *object) : object.takeError();
}

} // namespace bpt
