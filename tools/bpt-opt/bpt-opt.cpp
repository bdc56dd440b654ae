// bpt-opt: mlir-opt with the bpt dialect, its passes and pipelines.
#include "bpt/Pipelines/Register.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Support/CommandLine.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  bpt::registerDialect(registry);
  bpt::registerPasses();
  llvm::cl::AddExtraVersionPrinter([](llvm::raw_ostream &os) { os << "bpt-opt " BPT_VERSION "\n"; });
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "bpt optimizer driver\n", registry));
}
