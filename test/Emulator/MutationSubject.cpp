// Compilation and runs of programs with spoiled kernels.
#include "MutationSubject.h"
#include "bpt/Emulator/LowerToEmulator.h"
#include "bpt/Engine/Compiler.h"
#include "bpt/Engine/DeviceCode.h"
#include "bpt/Engine/EmulatorDevice.h"
#include "bpt/Runtime/Arguments.h"
#include "bpt/Runtime/RuntimeABI.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Bitcode/BitcodeReader.h"
#include "llvm/Bitcode/BitcodeWriter.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/Verifier.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <cmath>

using namespace llvm;

namespace bpt::test {

namespace {
/// The emulator, with one block instead of many.
class OneBlockDevice : public Device {
public:
  OneBlockDevice(std::shared_ptr<Device> device, std::vector<bool> single)
      : device(std::move(device)), single(std::move(single)) {}
  int64_t workers() const override { return device->workers(); }
  Status launch(const KernelLaunch &launch) override {
    KernelLaunch smaller = launch;
    if (single[size_t(launch.kernel)])
      smaller.grid = {1, 1, 1};
    return device->launch(smaller);
  }
  Expected<int64_t> beginCopy(void *to, const void *from, int64_t bytes) override {
    return device->beginCopy(to, from, bytes);
  }
  Status waitCopy(int64_t number) override { return device->waitCopy(number); }
  Status fillTensorMap(void *map, const TensorMapInfo &info) override { return device->fillTensorMap(map, info); }
  Status beginRun(std::vector<Memory> memory) override { return device->beginRun(std::move(memory)); }
  Status endRun() override { return device->endRun(); }

private:
  std::shared_ptr<Device> device;
  std::vector<bool> single;
};
} // namespace

static std::unique_ptr<orc::LLJIT> createJIT() {
  static bool initialised = (InitializeNativeTarget(), InitializeNativeTargetAsmPrinter(), true);
  (void)initialised;
  std::unique_ptr<orc::LLJIT> jit = cantFail(orc::LLJITBuilder().create());
  orc::SymbolMap symbols;
  auto add = [&](const char *name, void *address) {
    symbols[jit->mangleAndIntern(name)] = {orc::ExecutorAddr::fromPtr(address), JITSymbolFlags::Exported};
  };
  for (const RuntimeSymbol *symbol = runtimeSymbols(); symbol->name; ++symbol)
    add(symbol->name, symbol->address);
  for (const emulator::Symbol *symbol = emulator::symbols(); symbol->name; ++symbol)
    add(symbol->name, symbol->address);
  cantFail(jit->getMainJITDylib().define(orc::absoluteSymbols(symbols)));
  jit->getMainJITDylib().addGenerator(
      cantFail(orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(jit->getDataLayout().getGlobalPrefix())));
  return jit;
}

/// Little optimisation: each mutant runs for a few milliseconds.
static std::unique_ptr<TargetMachine> createMachine() {
  orc::JITTargetMachineBuilder builder = cantFail(orc::JITTargetMachineBuilder::detectHost());
  builder.setCodeGenOptLevel(CodeGenOptLevel::None);
  return cantFail(builder.createTargetMachine());
}

MutationSubject::MutationSubject(SubjectSource given) : source(std::move(given)) {
  failure = compile();
  if (!failure.empty())
    return;
  std::set<std::string> all;
  for (const KernelInfo &kernel : manifest.kernels)
    all.insert(kernel.name);
  kernels = emulate(all, [](Module &) {});
  for (emulator::Mode mode : {emulator::Mode::Eager, emulator::Mode::Late, emulator::Mode::Random}) {
    Expected<Results> results = execute(kernels, mode);
    if (!results) {
      failure = results.error().message;
      return;
    }
    if (mode == emulator::Mode::Eager)
      expected = results.take();
    else if (failure = compare(*results); !failure.empty())
      return;
  }
}

MutationSubject::~MutationSubject() = default;

std::string MutationSubject::compile() {
  Compiler compiler;
  auto module = mlir::parseSourceString<mlir::ModuleOp>(source.graph, &compiler.getContext());
  if (!module)
    return source.name + ": the graph cannot be parsed";
  CompileOptions options;
  options.target = Target::Emulator;
  if (Status status = compiler.lower(*module, options); !status)
    return status.error().message;
  Expected<Manifest> described = compiler.getManifest(*module, options);
  if (!described)
    return described.error().message;
  manifest = described.take();
  LLVMContext context;
  Expected<std::unique_ptr<Module>> taken = takeKernels(*module, context);
  if (!taken || !*taken)
    return taken ? "there are no kernels" : taken.error().message;
  raw_string_ostream stream(bitcode);
  WriteBitcodeToFile(**taken, stream);
  Expected<std::unique_ptr<Module>> code = compiler.translate(*module, context, options);
  if (!code)
    return code.error().message;
  Expected<std::vector<std::string>> objects = compiler.emitObjects(**code, options);
  if (!objects)
    return objects.error().message;
  host = createJIT();
  for (const std::string &object : *objects)
    cantFail(host->addObjectFile(MemoryBuffer::getMemBufferCopy(object, "host")));
  return "";
}

static std::unique_ptr<Module> readModule(const std::string &bitcode, LLVMContext &context) {
  return cantFail(parseBitcodeFile(MemoryBufferRef(bitcode, "kernels"), context));
}

std::map<std::string, emulator::KernelFunction> MutationSubject::emulate(const std::set<std::string> &kept,
                                                                         const std::function<void(Module &)> &change) {
  auto context = std::make_unique<LLVMContext>();
  std::unique_ptr<Module> module = readModule(bitcode, *context);
  for (Function &function : make_early_inc_range(*module))
    if (function.getCallingConv() == CallingConv::PTX_Kernel && !kept.count(function.getName().str()))
      function.eraseFromParent();
  change(*module);
  std::string problems;
  raw_string_ostream stream(problems);
  if (verifyModule(*module, &stream))
    report_fatal_error(Twine("a mutant is no valid module: ") + problems);
  std::unique_ptr<TargetMachine> machine = createMachine();
  cantFail(lowerToEmulator(*module, *machine));
  optimizeEmulated(*module, *machine);
  compiled.push_back(createJIT());
  cantFail(compiled.back()->addIRModule(orc::ThreadSafeModule(std::move(module), std::move(context))));
  std::map<std::string, emulator::KernelFunction> code;
  for (const std::string &name : kept)
    code[name] = cantFail(compiled.back()->lookup("bpt_emulated_" + name)).toPtr<emulator::KernelFunction>();
  return code;
}

std::vector<Mutant> MutationSubject::listMutants(size_t each) {
  LLVMContext context;
  std::unique_ptr<Module> module = readModule(bitcode, context);
  std::vector<Mutant> mutants;
  for (const KernelInfo &kernel : manifest.kernels)
    if (any_of(source.kernels, [&](const std::string &name) { return StringRef(kernel.name).starts_with(name); }))
      for (const Mutation &mutation : sampleMutations(listMutations(*module->getFunction(kernel.name)), each))
        mutants.push_back({source.name, kernel.name, mutation.kind, mutation.place, ""});
  return mutants;
}

Expected<MutationSubject::Results> MutationSubject::execute(const std::map<std::string, emulator::KernelFunction> &code,
                                                            emulator::Mode mode) {
  auto options = std::make_shared<EmulatorOptions>();
  options->mode = mode;
  options->hostThreads = 1;
  auto resolve = [&](const std::string &symbol) -> void * {
    if (StringRef name = symbol; name.consume_front("bpt_emulated_"))
      if (auto found = code.find(name.str()); found != code.end())
        return reinterpret_cast<void *>(found->second);
    auto address = host->lookup(symbol);
    if (!address) {
      consumeError(address.takeError());
      return nullptr;
    }
    return address->toPtr<void *>();
  };
  Expected<std::shared_ptr<Device>> device = createEmulatorDevice(manifest, resolve, options);
  if (!device)
    return device.takeError();
  std::vector<bool> single;
  for (const KernelInfo &kernel : manifest.kernels)
    single.push_back(source.persistent && any_of(source.kernels, [&](const std::string &name) {
                       return StringRef(kernel.name).starts_with(name);
                     }));
  Expected<Program> program =
      Program::create(manifest, resolve, nullptr, std::make_shared<OneBlockDevice>(device.take(), std::move(single)));
  if (!program)
    return program.takeError();
  Expected<Entry> entry = program->entry("f");
  if (!entry)
    return entry.takeError();
  Expected<std::vector<Tensor>> arguments = collectArguments(entry->info(), ArgumentSources());
  if (!arguments)
    return arguments.takeError();
  std::vector<Shape> shapes;
  for (const Tensor &argument : *arguments)
    shapes.push_back(argument.shape());
  if (Status status = entry->prepare(shapes, {}); !status)
    return status.takeError();
  Expected<std::vector<Tensor>> tensors = entry->run(*arguments);
  if (!tensors)
    return tensors.takeError();
  Results results;
  for (const Tensor &tensor : *tensors) {
    results.types.push_back(tensor.type());
    std::vector<double> &values = results.values.emplace_back();
    for (int64_t i = 0; i < tensor.elements(); ++i)
      values.push_back(tensor.get(i));
  }
  return results;
}

/// What the kernel may differ from the exact result, relative to the largest element, beyond the naive error: four
/// units of the type, and for f32 the rounding of some more sums (DESIGN.md, section 6).
static double getTolerance(DataType type) {
  return type == DataType::BF16 ? 4 * std::exp2(-7) : type == DataType::F16 ? 4 * std::exp2(-10) : 20 * std::exp2(-23);
}

std::string MutationSubject::compare(const Results &results) const {
  for (size_t i = 0; i < expected.values.size(); ++i) {
    double largest = 0, difference = 0;
    for (size_t j = 0; j < expected.values[i].size(); ++j) {
      double before = expected.values[i][j], now = results.values[i][j];
      if (std::isfinite(before))
        largest = std::max(largest, std::abs(before));
      if (before == now || (std::isnan(before) && std::isnan(now)))
        continue;
      double apart = std::abs(before - now);
      difference = std::isfinite(apart) ? std::max(difference, apart) : INFINITY;
    }
    if (difference > 4 * getTolerance(expected.types[i]) * largest)
      return formatv("result {0} wrong by {1:e1}", i, difference / largest).str();
  }
  return "";
}

std::string MutationSubject::run(const Mutant &mutant) {
  auto code = kernels;
  for (auto [name, function] : emulate({mutant.kernel}, [&](Module &module) {
         for (const Mutation &mutation : listMutations(*module.getFunction(mutant.kernel)))
           if (mutation.kind == mutant.kind && mutation.place == mutant.place)
             return mutation.apply();
       }))
    code[name] = function;
  constexpr std::pair<emulator::Mode, const char *> modes[] = {
      {emulator::Mode::Eager, "eager"}, {emulator::Mode::Late, "late"}, {emulator::Mode::Random, "random"}};
  for (auto [mode, modeName] : modes) {
    Expected<Results> results = execute(code, mode);
    std::string found;
    if (results)
      found = compare(*results);
    else // the first finding: its line says "..: Kind: what"
      for (int kind = 0; kind <= int(emulator::ReportKind::Unsupported); ++kind)
        if (std::string name = emulator::toString(emulator::ReportKind(kind)); found.empty())
          if (StringRef(results.error().message).split('\n').second.split('\n').first.contains(name))
            found = name;
    if (!results && found.empty())
      found = results.error().message;
    if (!found.empty())
      return found + ", " + modeName;
  }
  return "";
}

} // namespace bpt::test
