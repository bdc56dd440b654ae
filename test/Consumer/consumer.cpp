// Registers bpt and a dialect of its own whose op differentiates itself, differentiates a loss that uses both, forms blocks
// and runs the reference pipeline on IR it parses.
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/VJPContext.h"
#include "bpt/Pipelines/Register.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

#include "WaveDialect.h.inc"
#define GET_OP_CLASSES
#include "Wave.h.inc"

#include "WaveDialect.cpp.inc"
#define GET_OP_CLASSES
#include "Wave.cpp.inc"

void wave::WaveDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "Wave.cpp.inc"
      >();
}

/// d sin(x) = cos(x) dy.
mlir::LogicalResult wave::SineOp::buildVJP(mlir::OpBuilder &builder, bpt::VJPContext &context) {
  mlir::Value cosine = mlir::math::CosOp::create(builder, getLoc(), getInput());
  mlir::Value gradient = mlir::arith::MulFOp::create(builder, getLoc(), cosine, context.getCotangent(getResult()));
  context.addGradient(builder, getInput(), gradient);
  return mlir::success();
}

int main(int argc, char **argv) {
  if (argc != 3) {
    llvm::errs() << "usage: consumer FILE.mlir PIPELINE\n";
    return 2;
  }
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  bpt::registerDialect(registry);
  registry.insert<wave::WaveDialect>();
  mlir::registerAllPasses();
  bpt::registerPasses();
  mlir::MLIRContext context(registry);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::parseSourceFile<mlir::ModuleOp>(argv[1], &context);
  if (!module)
    return 1;
  mlir::PassManager manager(&context);
  if (mlir::failed(mlir::parsePassPipeline(argv[2], manager)) || mlir::failed(manager.run(*module)))
    return 1;
  module->print(llvm::outs());
  llvm::outs() << "\n"; // as bpt-opt does
  return 0;
}
