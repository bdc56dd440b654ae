// bpt-lsp-server: mlir-lsp-server with the bpt dialect, for editors.
#include "bpt/Pipelines/Register.h"
#include "mlir/IR/Dialect.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Tools/mlir-lsp-server/MlirLspServerMain.h"
#include "llvm/Support/CommandLine.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  bpt::registerDialect(registry);
  llvm::cl::AddExtraVersionPrinter([](llvm::raw_ostream &os) { os << "bpt-lsp-server " BPT_VERSION "\n"; });
  return failed(mlir::MlirLspServerMain(argc, argv, registry));
}
