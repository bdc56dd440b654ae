// The module of kernels and their attributes.
#include "bpt/Conversion/KernelModule.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/Builders.h"

using namespace mlir;

namespace bpt {

gpu::GPUModuleOp getKernelModule(ModuleOp module) {
  if (auto existing = module.lookupSymbol<gpu::GPUModuleOp>(kernelModuleName))
    return existing;
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  Attribute target = NVVM::NVVMTargetAttr::get(module.getContext(), /*optLevel=*/3, "nvptx64-nvidia-cuda", "sm_90a", "+ptx84");
  module->setAttr(gpu::GPUDialect::getContainerModuleAttrName(), builder.getUnitAttr());
  auto kernels = gpu::GPUModuleOp::create(builder, module.getLoc(), kernelModuleName, builder.getArrayAttr(target));
  builder.setInsertionPointToStart(kernels.getBody());
  auto bytes = LLVM::LLVMArrayType::get(builder.getI8Type(), 0);
  LLVM::GlobalOp::create(builder, module.getLoc(), bytes, /*isConstant=*/false, LLVM::Linkage::External, sharedMemoryName,
                         Attribute(), /*alignment=*/1024, /*addrSpace=*/3);
  return kernels;
}

SymbolRefAttr getKernelSymbol(LLVM::LLVMFuncOp kernel) {
  return SymbolRefAttr::get(kernel->getParentOfType<gpu::GPUModuleOp>().getNameAttr(),
                            {FlatSymbolRefAttr::get(kernel.getNameAttr())});
}

void setKernelAttributes(LLVM::LLVMFuncOp function, int64_t threads) {
  Builder builder(function.getContext());
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), builder.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getKernelFuncAttrName(), builder.getUnitAttr());
  function->setAttr(NVVM::NVVMDialect::getReqntidAttrName(), builder.getDenseI32ArrayAttr({static_cast<int32_t>(threads)}));
  function->setAttr(NVVM::NVVMDialect::getMinctasmAttrName(), builder.getI32IntegerAttr(1));
  function.setPassthroughAttr(builder.getArrayAttr(builder.getStrArrayAttr({"denormal-fp-math-f32", "preserve-sign"})));
}

} // namespace bpt
