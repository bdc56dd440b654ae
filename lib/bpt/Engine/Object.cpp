// From the LLVM dialect to programs: translation, manifest, shared library, program in memory.
#include "CodeGeneration.h"
#include "DeviceCode.h"
#include "EmulatorDevice.h"
#include "bpt/Engine/Compiler.h"
#include "bpt/Runtime/RuntimeABI.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Program.h"
#include "llvm/Target/TargetMachine.h"

using namespace mlir;

namespace bpt {

Expected<std::unique_ptr<llvm::Module>> Compiler::translate(ModuleOp module, llvm::LLVMContext &llvmContext,
                                                            const CompileOptions &options) {
  std::unique_ptr<llvm::Module> result = translateModuleToLLVMIR(module, llvmContext);
  if (!result)
    return badInput("the module could not be translated to LLVM IR; compile with --stop-after=llvm to look at it");
  Expected<std::unique_ptr<llvm::TargetMachine>> machine = createTargetMachine(options);
  if (!machine)
    return machine.takeError();
  result->setDataLayout((*machine)->createDataLayout());
  result->setTargetTriple((*machine)->getTargetTriple());
  for (llvm::Function &function : *result) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", (*machine)->getTargetCPU());
    function.addFnAttr("target-features", (*machine)->getTargetFeatureString());
    // Loops stay loops: compiled programs have no C library to call memset or memcpy of.
    function.addFnAttr("no-builtins");
    // 512-bit vectors are what the kernels are written for.
    function.addFnAttr("prefer-vector-width", "512");
    if (!function.getName().starts_with("bpt_entry_"))
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
  }
  return result;
}

void embedManifest(llvm::Module &module, const Manifest &manifest) {
  llvm::LLVMContext &context = module.getContext();
  std::string json = writeManifest(manifest);
  llvm::Constant *text = llvm::ConstantDataArray::getString(context, json, true);
  new llvm::GlobalVariable(module, text->getType(), true, llvm::GlobalValue::ExternalLinkage, text, "bpt_manifest");
  llvm::Constant *size = llvm::ConstantInt::get(llvm::Type::getInt64Ty(context), json.size());
  new llvm::GlobalVariable(module, size->getType(), true, llvm::GlobalValue::ExternalLinkage, size,
                           "bpt_manifest_size");
}

Status linkSharedObject(const std::vector<std::string> &objects, const std::string &path) {
  for (const char *name : {"ld.lld-22", "ld.lld", "ld", "cc"}) {
    llvm::ErrorOr<std::string> program = llvm::sys::findProgramByName(name);
    if (!program)
      continue;
    std::string message;
    llvm::SmallVector<llvm::StringRef> arguments{*program, "-shared", "-o", path};
    arguments.append(objects.begin(), objects.end());
    int code = llvm::sys::ExecuteAndWait(*program, arguments, std::nullopt, {}, 0, 0, &message);
    if (code == 0)
      return {};
    return ioError(std::string(name) + " could not write " + path + (message.empty() ? "" : ": " + message));
  }
  return badInput("expected a linker for --emit=so, but found none of ld.lld, ld, cc; install lld-22 or binutils, or "
                  "use --emit=obj");
}

namespace {
/// Keeps the code of a program in memory.
struct LoadedCode {
  std::unique_ptr<llvm::orc::LLJIT> jit;
};
} // namespace

static bpt::Error toError(llvm::Error error) {
  return badInput("loading the compiled code: " + llvm::toString(std::move(error)));
}

/// The JIT resolves the runtime's functions by name to those of this process, and the rest (libm for the reference)
/// there too.
static Status addSymbols(llvm::orc::LLJIT &jit) {
  llvm::orc::SymbolMap symbols;
  auto add = [&](const char *name, void *address) {
    symbols[jit.mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(address),
                                          llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
  };
  for (const RuntimeSymbol *symbol = runtimeSymbols(); symbol->name; ++symbol)
    add(symbol->name, symbol->address);
  for (const emulator::Symbol *symbol = emulator::symbols(); symbol->name; ++symbol)
    add(symbol->name, symbol->address);
  if (llvm::Error error = jit.getMainJITDylib().define(llvm::orc::absoluteSymbols(symbols)))
    return toError(std::move(error));
  auto process = llvm::orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(jit.getDataLayout().getGlobalPrefix());
  if (!process)
    return toError(process.takeError());
  jit.getMainJITDylib().addGenerator(std::move(*process));
  return {};
}

Expected<Program> Compiler::load(ModuleOp module, const CompileOptions &options) {
  if (Status status = lower(module, options); !status)
    return status.takeError();
  Expected<Manifest> manifest = getManifest(module, options);
  if (!manifest)
    return manifest.takeError();
  llvm::LLVMContext llvmContext;
  Expected<std::unique_ptr<llvm::Module>> kernels = takeKernels(module, llvmContext);
  if (!kernels)
    return kernels.takeError();
  Expected<std::unique_ptr<llvm::Module>> code = translate(module, llvmContext, options);
  if (!code)
    return code.takeError();
  Expected<std::vector<std::string>> objects = emitObjects(**code, options);
  if (!objects)
    return objects.takeError();
  std::string image;
  if (*kernels) {
    Expected<std::string> deviceCode =
        options.target == Target::CUDA ? emitCudaImage(**kernels) : emitEmulatedObject(**kernels, options);
    if (!deviceCode)
      return deviceCode.takeError();
    if (options.target == Target::CUDA)
      image = deviceCode.take();
    else
      objects->push_back(deviceCode.take());
  }
  auto jit = llvm::orc::LLJITBuilder().create();
  if (!jit)
    return toError(jit.takeError());
  auto loaded = std::make_shared<LoadedCode>(LoadedCode{std::move(*jit)});
  if (Status status = addSymbols(*loaded->jit); !status)
    return status.takeError();
  for (const std::string &object : *objects)
    if (llvm::Error error = loaded->jit->addObjectFile(llvm::MemoryBuffer::getMemBufferCopy(object, "bpt")))
      return toError(std::move(error));
  auto resolve = [&](const std::string &symbol) -> void * {
    auto address = loaded->jit->lookup(symbol);
    if (!address) {
      llvm::consumeError(address.takeError());
      return nullptr;
    }
    return address->toPtr<void *>();
  };
  std::shared_ptr<Device> device;
  if (options.target == Target::Emulator) {
    std::shared_ptr<const EmulatorOptions> emulation = options.emulator ? options.emulator : std::make_shared<EmulatorOptions>();
    Expected<std::shared_ptr<Device>> created = createEmulatorDevice(*manifest, resolve, emulation);
    if (!created)
      return created.takeError();
    device = created.take();
  } else if (options.target == Target::CUDA) {
    Expected<std::shared_ptr<Device>> opened = openCudaDevice(manifest->kernels, image);
    if (!opened)
      return opened.takeError();
    device = opened.take();
  }
  return Program::create(manifest.take(), resolve, loaded, device);
}

} // namespace bpt
