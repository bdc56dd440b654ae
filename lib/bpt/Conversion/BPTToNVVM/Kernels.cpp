// Launches and the module of kernels.
#include "Kernels.h"
#include "bpt/Conversion/KernelModule.h"

#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"

using namespace mlir;

namespace bpt::hopper {

//===-- Arguments -----------------------------------------------------------------------------------------------===//

unsigned LaunchArguments::add(Argument kind, Value value) {
  kinds.push_back(kind);
  values.push_back(value);
  return static_cast<unsigned>(kinds.size() - 1);
}

Value LaunchArguments::getAddress(Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  Value address = memref::ExtractAlignedPointerAsIndexOp::create(b, memref);
  if (!type.getLayout().isIdentity()) {
    auto metadata = memref::ExtractStridedMetadataOp::create(b, memref);
    Value bytes = index(type.getElementTypeBitWidth() / 8);
    address = arith::AddIOp::create(b, address, arith::MulIOp::create(b, metadata.getOffset(), bytes));
  }
  Value integer = arith::IndexCastOp::create(b, b.getI64Type(), address);
  return LLVM::IntToPtrOp::create(b, LLVM::LLVMPointerType::get(b.getContext()), integer);
}

unsigned LaunchArguments::addPointer(Value memref) { return add(Argument::Pointer, getAddress(memref)); }

StridedArgument LaunchArguments::addStrided(Value memref) {
  StridedArgument argument;
  argument.rank = static_cast<unsigned>(cast<MemRefType>(memref.getType()).getRank());
  argument.pointer = addPointer(memref);
  argument.strides = argument.pointer + 1;
  auto metadata = memref::ExtractStridedMetadataOp::create(b, memref);
  for (unsigned i = 0; i + 1 < argument.rank; ++i)
    add(Argument::I64, arith::IndexCastOp::create(b, b.getI64Type(), metadata.getStrides()[i]));
  return argument;
}

unsigned LaunchArguments::addTensorMap(Value memref, ArrayRef<int64_t> box) {
  auto type = cast<MemRefType>(memref.getType());
  auto unranked = UnrankedMemRefType::get(type.getElementType(), type.getMemorySpace());
  Value any = memref::CastOp::create(b, unranked, memref);
  auto shared = MemRefType::get(box, type.getElementType(), MemRefLayoutAttrInterface(), b.getI64IntegerAttr(3));
  auto map = nvgpu::TensorMapDescriptorType::get(
      b.getContext(), shared, nvgpu::TensorMapSwizzleKind::SWIZZLE_128B, nvgpu::TensorMapL2PromoKind::L2PROMO_256B,
      nvgpu::TensorMapOOBKind::OOB_ZERO, nvgpu::TensorMapInterleaveKind::INTERLEAVE_NONE);
  SmallVector<Value> sizes;
  for (int64_t size : box)
    sizes.push_back(index(size));
  return add(Argument::TensorMap, nvgpu::TmaCreateDescriptorOp::create(b, map, any, sizes));
}

unsigned LaunchArguments::addI32(Value index) {
  return add(Argument::I32, arith::IndexCastOp::create(b, b.getI32Type(), index));
}

Value LaunchArguments::ceilDiv(Value x, int64_t y) {
  return b.createOrFold<arith::DivUIOp>(b.createOrFold<arith::AddIOp>(x, index(y - 1)), index(y));
}

//===-- Kernels -------------------------------------------------------------------------------------------------===//

void KernelLibrary::launch(StringRef name, StringRef key, LaunchArguments &arguments, const LaunchShape &shape,
                           function_ref<void(KernelBuilder &)> body) {
  std::string signature = (Twine(name) + " " + key + " " + Twine(shape.threads)).str();
  for (Argument kind : arguments.getKinds())
    signature += " " + std::to_string(static_cast<int>(kind));
  LLVM::LLVMFuncOp &function = known[signature];
  gpu::GPUModuleOp inner = getKernelModule(module);
  ImplicitLocOpBuilder &b = arguments.b;
  if (!function) {
    std::string symbol = (Twine(name) + "_" + Twine(names[name]++)).str();
    function = createKernel(inner, b.getLoc(), symbol, arguments.getKinds(), shape.threads);
    KernelBuilder e(function);
    body(e);
  }
  SymbolRefAttr symbol = getKernelSymbol(function);
  Value one = arguments.index(1), threads = arguments.index(shape.threads);
  Value bytes = arith::ConstantOp::create(b, b.getI32IntegerAttr(static_cast<int32_t>(shape.sharedBytes)));
  gpu::LaunchFuncOp::create(b, symbol, gpu::KernelDim3{shape.grid[0], shape.grid[1], shape.grid[2]},
                            gpu::KernelDim3{threads, one, one}, bytes, arguments.getValues());
}

Value GlobalView::getAddress(ArrayRef<Value> indices) {
  Value offset = e.toI64(indices.back());
  for (unsigned i = 0; i + 1 < argument.rank; ++i)
    offset = e.add(offset, e.mul(e.toI64(indices[i]), e.getArgument(argument.strides + i)));
  return e.getElement(e.getArgument(argument.pointer), offset, element);
}

} // namespace bpt::hopper
