// libBPTPlugin.so: the dialect, passes and pipelines for a stock mlir-opt of the same LLVM release.
//   mlir-opt-22 FILE --load-dialect-plugin=libBPTPlugin.so --load-pass-plugin=libBPTPlugin.so --pass-pipeline=..
// Passes are reachable through --pass-pipeline only: mlir-opt reads its flags before it loads plugins.
#include "bpt/Pipelines/Register.h"
#include "mlir/IR/DialectRegistry.h"
#include "mlir/Tools/Plugins/DialectPlugin.h"
#include "mlir/Tools/Plugins/PassPlugin.h"

extern "C" LLVM_ATTRIBUTE_WEAK mlir::DialectPluginLibraryInfo mlirGetDialectPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "BPT", BPT_VERSION,
          [](mlir::DialectRegistry *registry) { bpt::registerDialect(*registry); }};
}

extern "C" LLVM_ATTRIBUTE_WEAK mlir::PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "BPT", BPT_VERSION, [] { bpt::registerPasses(); }};
}
