// bpt-lower-matrix-tiles: tile loads, products and stores of AMX become LLVM's intrinsics, also where loops carry
// tiles.
#include "bpt/Conversion/Passes.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/AMX/AMXDialect.h"
#include "mlir/Dialect/AMX/Transforms.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/Patterns.h"

namespace bpt {
#define GEN_PASS_DEF_LOWERMATRIXTILESPASS
#include "bpt/Conversion/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {
struct LowerMatrixTilesPass : impl::LowerMatrixTilesPassBase<LowerMatrixTilesPass> {
  using LowerMatrixTilesPassBase::LowerMatrixTilesPassBase;

  void runOnOperation() override {
    MLIRContext *context = &getContext();
    // Loops keep the other values they carry as they are.
    TypeConverter tiles;
    tiles.addConversion([](Type type) { return type; });
    tiles.addConversion([&](amx::TileType) -> Type { return LLVM::LLVMX86AMXType::get(context); });
    LLVMConversionTarget target(*context);
    RewritePatternSet patterns(context);
    scf::populateSCFStructuralTypeConversionsAndLegality(tiles, patterns, target);
    LLVMTypeConverter converter(context);
    populateAMXLegalizeForLLVMExportPatterns(converter, patterns);
    configureAMXLegalizeForExportTarget(target);
    if (failed(applyPartialConversion(getOperation(), target, std::move(patterns))))
      signalPassFailure();
  }
};
} // namespace
} // namespace bpt
