// Kernels from LLVM IR text.
#include "Harness.h"
#include "bpt/Emulator/LowerToEmulator.h"
#include "llvm/ADT/APFloat.h"
#include "llvm/AsmParser/Parser.h"
#include "llvm/ExecutionEngine/Orc/JITTargetMachineBuilder.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include <cstring>
#include <gtest/gtest.h>

using namespace llvm;

namespace bpt::test {

static std::unique_ptr<TargetMachine> hostMachine() {
  static bool initialised = [] {
    InitializeNativeTarget();
    InitializeNativeTargetAsmPrinter();
    return true;
  }();
  (void)initialised;
  return cantFail(cantFail(orc::JITTargetMachineBuilder::detectHost()).createTargetMachine());
}

static std::unique_ptr<Module> parse(const std::string &ir, LLVMContext &context) {
  SMDiagnostic diagnostic;
  std::unique_ptr<Module> module = parseAssemblyString(ir, diagnostic, context);
  if (!module) {
    std::string text;
    raw_string_ostream stream(text);
    diagnostic.print("test", stream);
    ADD_FAILURE() << text << "\n" << ir;
  }
  return module;
}

std::string errorOf(const std::string &ir) {
  LLVMContext context;
  std::unique_ptr<Module> module = parse(ir, context);
  return module ? llvm::toString(lowerToEmulator(*module, *hostMachine())) : "cannot be parsed";
}

struct Kernel::Impl {
  std::unique_ptr<orc::LLJIT> jit;
  emulator::KernelFunction function = nullptr;
};

Kernel::Kernel(const std::string &ir, EmulationOptions options) : impl(std::make_unique<Impl>()) {
  auto context = std::make_unique<LLVMContext>();
  std::unique_ptr<Module> module = parse(ir, *context);
  if (!module)
    return;
  std::unique_ptr<TargetMachine> machine = hostMachine();
  if (llvm::Error error = lowerToEmulator(*module, *machine, options)) {
    ADD_FAILURE() << llvm::toString(std::move(error)) << "\n" << ir;
    return;
  }
  optimizeEmulated(*module, *machine);
  impl->jit = cantFail(orc::LLJITBuilder().create());
  orc::SymbolMap symbols;
  for (const emulator::Symbol *symbol = emulator::symbols(); symbol->name; ++symbol)
    symbols[impl->jit->mangleAndIntern(symbol->name)] = {orc::ExecutorAddr::fromPtr(symbol->address),
                                                         JITSymbolFlags::Exported};
  cantFail(impl->jit->getMainJITDylib().define(orc::absoluteSymbols(symbols)));
  impl->jit->getMainJITDylib().addGenerator(
      cantFail(orc::DynamicLibrarySearchGenerator::GetForCurrentProcess(impl->jit->getDataLayout().getGlobalPrefix())));
  cantFail(impl->jit->addIRModule(orc::ThreadSafeModule(std::move(module), std::move(context))));
  llvm::Expected<orc::ExecutorAddr> entry = impl->jit->lookup("bpt_emulated_kernel");
  if (!entry)
    ADD_FAILURE() << llvm::toString(entry.takeError());
  else
    impl->function = entry->toPtr<emulator::KernelFunction>();
}

Kernel::~Kernel() = default;

emulator::LaunchResult Kernel::run(std::vector<void *> arguments, uint32_t threads, uint32_t sharedBytes,
                                   emulator::Options options, std::array<uint32_t, 3> grid) const {
  emulator::Launch launch;
  launch.function = impl->function;
  launch.name = "kernel";
  launch.grid = grid;
  launch.block = {threads, 1, 1};
  launch.sharedBytes = sharedBytes;
  launch.arguments = arguments.data();
  return emulator::run(launch, options);
}

static void replaceAll(std::string &text, const std::string &from, const std::string &to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

std::string kernelText(const std::string &parameters, const std::string &body) {
  std::string text = "@bpt_shared = external addrspace(3) global [0 x i8], align 1024\n"
                     "define ptx_kernel void @kernel(" +
                     parameters + ") {\n" +
                     "  %id.tid = call i32 @llvm.nvvm.read.ptx.sreg.tid.x()\n"
                     "  %id.lane = and i32 %id.tid, 31\n"
                     "  %id.warp = lshr i32 %id.tid, 5\n" +
                     body + "}\n";
  for (const char *name : {"tid", "lane", "warp"})
    replaceAll(text, std::string("$") + name, std::string("%id.") + name);
  return text;
}

std::string repeated(int count, const std::string &text) {
  std::string all;
  for (int i = 0; i < count; ++i) {
    std::string one = text;
    replaceAll(one, "#", std::to_string(i));
    all += one;
  }
  return all;
}

std::string kinds(const emulator::LaunchResult &result) {
  std::string text;
  for (const emulator::Report &report : result.reports)
    if (std::string name = emulator::toString(report.kind); text.find(name) == std::string::npos)
      text += (text.empty() ? "" : " ") + name;
  return text;
}

std::string texts(const emulator::LaunchResult &result) {
  std::string text;
  for (const emulator::Report &report : result.reports)
    text += emulator::toString(report) + "\n";
  return text;
}

emulator::Options inMode(emulator::Mode mode, uint64_t seed) {
  emulator::Options options;
  options.mode = mode;
  options.seed = seed;
  options.hostThreads = 1;
  return options;
}

static uint16_t rounded(float value, const fltSemantics &semantics) {
  APFloat number(value);
  bool lossy;
  number.convert(semantics, APFloat::rmNearestTiesToEven, &lossy);
  return uint16_t(number.bitcastToAPInt().getZExtValue());
}

uint16_t toBF16(float value) { return rounded(value, APFloat::BFloat()); }
uint16_t toF16(float value) { return rounded(value, APFloat::IEEEhalf()); }

float fromBF16(uint16_t bits) {
  uint32_t wide = uint32_t(bits) << 16;
  float value;
  memcpy(&value, &wide, 4);
  return value;
}

} // namespace bpt::test
