// bpt-lower-launches: launches of kernels, tensor maps and asynchronous copies become calls of the runtime.
#include "RuntimeCalls.h"
#include "bpt/Conversion/KernelModule.h"
#include "bpt/Conversion/Passes.h"
#include "bpt/Runtime/DataType.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/NVGPU/IR/NVGPUDialect.h"

namespace bpt {
#define GEN_PASS_DEF_LOWERLAUNCHESPASS
#include "bpt/Conversion/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

/// Writes arrays for the runtime to the stack of the function around an op.
class StackArrays {
public:
  explicit StackArrays(Operation *op)
      : builder(op), loc(op->getLoc()), pointer(LLVM::LLVMPointerType::get(op->getContext())),
        function(op->getParentOfType<func::FuncOp>()) {}

  /// Room for `count` elements, taken once per call of the function.
  Value allocate(Type element, int64_t count, int64_t alignment = 0) {
    OpBuilder atEntry = OpBuilder::atBlockBegin(&function.getBody().front());
    Value size = LLVM::ConstantOp::create(atEntry, loc, atEntry.getI64Type(), atEntry.getI64IntegerAttr(count));
    return LLVM::AllocaOp::create(atEntry, loc, pointer, element, size, alignment);
  }
  /// The values, all of type `element`.
  Value fill(Type element, ArrayRef<Value> values) {
    Value array = allocate(element, std::max<size_t>(values.size(), 1));
    for (auto [i, value] : llvm::enumerate(values)) {
      Value address =
          LLVM::GEPOp::create(builder, loc, pointer, element, array, ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
      LLVM::StoreOp::create(builder, loc, value, address);
    }
    return array;
  }
  Value toI64(Value index) {
    if (index.getType().isInteger(64))
      return index;
    return arith::IndexCastOp::create(builder, loc, builder.getI64Type(), index);
  }
  Value constant(int64_t value, unsigned bits) { return arith::ConstantIntOp::create(builder, loc, value, bits); }

  OpBuilder builder;
  const Location loc;
  const LLVM::LLVMPointerType pointer;

private:
  func::FuncOp function;
};

class LowerLaunches : public impl::LowerLaunchesPassBase<LowerLaunches> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    auto isDevice = [](Operation *op) {
      return isa<gpu::LaunchFuncOp, nvgpu::TmaCreateDescriptorOp, gpu::MemcpyOp>(op);
    };
    addContextArguments(module, isDevice);
    numberKernels(module);
    SmallVector<gpu::LaunchFuncOp> launches;
    SmallVector<nvgpu::TmaCreateDescriptorOp> maps;
    SmallVector<gpu::MemcpyOp> copies;
    module.walk([&](gpu::LaunchFuncOp op) { launches.push_back(op); });
    module.walk([&](nvgpu::TmaCreateDescriptorOp op) { maps.push_back(op); });
    module.walk([&](gpu::MemcpyOp op) { copies.push_back(op); });
    for (gpu::LaunchFuncOp launch : launches)
      if (failed(lower(launch)))
        return signalPassFailure();
    for (nvgpu::TmaCreateDescriptorOp map : maps)
      if (failed(lower(map)))
        return signalPassFailure();
    for (gpu::MemcpyOp copy : copies)
      if (failed(lower(copy)))
        return signalPassFailure();
  }

  /// The runtime knows kernels by their number in the manifest.
  void numberKernels(ModuleOp module) {
    auto device = module.lookupSymbol<gpu::GPUModuleOp>(kernelModuleName);
    if (!device)
      return;
    Builder builder(&getContext());
    SmallVector<Attribute> kernels;
    for (auto function : device.getOps<LLVM::LLVMFuncOp>()) {
      if (!function->hasAttr(gpu::GPUDialect::getKernelFuncAttrName()))
        continue;
      numbers[function.getNameAttr()] = kernels.size();
      std::string place;
      if (auto line = function.getLoc()->findInstanceOf<FileLineColLoc>())
        place = line.getFilename().str() + ":" + std::to_string(line.getLine());
      kernels.push_back(builder.getDictionaryAttr({builder.getNamedAttr("name", function.getNameAttr()),
                                                   builder.getNamedAttr("place", builder.getStringAttr(place))}));
    }
    module->setAttr("bpt.kernels", builder.getArrayAttr(kernels));
  }

  LogicalResult lower(gpu::LaunchFuncOp launch) {
    StackArrays stack(launch);
    auto kernel = SymbolTable::lookupNearestSymbolFrom<LLVM::LLVMFuncOp>(launch, launch.getKernel());
    if (!kernel || kernel.getNumArguments() != launch.getNumKernelOperands())
      return launch.emitOpError("expected a kernel with as many arguments as the launch gives");
    SmallVector<Value> arguments;
    for (auto [i, operand] : llvm::enumerate(launch.getKernelOperands())) {
      Value value = operand;
      // A struct passed by value is where its address says.
      if (kernel.getArgAttr(i, LLVM::LLVMDialect::getByValAttrName())) {
        arguments.push_back(castTo(stack.builder, stack.loc, value, stack.pointer));
        continue;
      }
      if (value.getType().isIndex())
        value = stack.toI64(value);
      if (value.getType() != kernel.getArgument(i).getType())
        return launch.emitOpError("expected argument #")
               << i << " to be " << kernel.getArgument(i).getType() << ", but got " << operand.getType();
      arguments.push_back(stack.fill(value.getType(), value));
    }
    OpBuilder &builder = stack.builder;
    Value shared = launch.getDynamicSharedMemorySize();
    if (!shared)
      shared = stack.constant(0, 32);
    Value threads =
        arith::TruncIOp::create(builder, stack.loc, builder.getI32Type(), stack.toI64(launch.getBlockSizeX()));
    callRuntime(builder, stack.loc, "bpt_launch",
                {stack.constant(numbers.lookup(launch.getKernelName()), 32), stack.toI64(launch.getGridSizeX()),
                 stack.toI64(launch.getGridSizeY()), stack.toI64(launch.getGridSizeZ()), threads, shared,
                 stack.fill(stack.pointer, arguments)});
    launch.erase();
    return success();
  }

  /// Sizes, strides and box, innermost dim first, as the driver wants them.
  LogicalResult lower(nvgpu::TmaCreateDescriptorOp op) {
    auto cast = op.getTensor().getDefiningOp<memref::CastOp>();
    auto type = cast ? dyn_cast<MemRefType>(cast.getSource().getType()) : MemRefType();
    auto map = op.getTensorMap().getType();
    if (!type || type.getRank() < 1 || type.getRank() > 5 || type.getRank() != int64_t(op.getBoxDimensions().size()))
      return op.emitOpError("expected the cast of a memref of rank 1 to 5, and a box of that rank");
    if (!type.isLastDimUnitStride())
      return op.emitOpError("expected contiguous rows, but got ") << type;
    Type element = type.getElementType();
    std::optional<DataType> dataType = element.isF32()    ? std::optional(DataType::F32)
                                       : element.isBF16() ? std::optional(DataType::BF16)
                                       : element.isF16()  ? std::optional(DataType::F16)
                                                          : std::nullopt;
    if (!dataType)
      return op.emitOpError("expected elements f32, bf16 or f16, but got ") << element;
    StackArrays stack(op);
    OpBuilder &builder = stack.builder;
    auto described = memref::ExtractStridedMetadataOp::create(builder, stack.loc, cast.getSource());
    Value base = memref::ExtractAlignedPointerAsIndexOp::create(builder, stack.loc, cast.getSource());
    Value elementBytes = stack.constant(type.getElementTypeBitWidth() / 8, 64);
    auto toBytes = [&](Value elements) -> Value {
      return arith::MulIOp::create(builder, stack.loc, stack.toI64(elements), elementBytes);
    };
    base = arith::AddIOp::create(builder, stack.loc, stack.toI64(base), toBytes(described.getOffset()));
    base = LLVM::IntToPtrOp::create(builder, stack.loc, stack.pointer, base);
    SmallVector<Value> sizes, strides, box;
    for (int64_t i = type.getRank() - 1; i >= 0; --i) {
      sizes.push_back(stack.toI64(described.getSizes()[i]));
      if (i + 1 < type.getRank())
        strides.push_back(toBytes(described.getStrides()[i]));
      box.push_back(stack.toI64(op.getBoxDimensions()[i]));
    }
    Value address = stack.allocate(builder.getI64Type(), 16, 64);
    Type i64 = builder.getI64Type();
    callRuntime(builder, stack.loc, "bpt_tensor_map",
                {address, base, stack.constant(static_cast<int64_t>(*dataType), 32), stack.constant(type.getRank(), 32),
                 stack.fill(i64, sizes), stack.fill(i64, strides), stack.fill(i64, box),
                 stack.constant(getSwizzleBytes(map.getSwizzle()), 32)});
    op.replaceAllUsesWith(castTo(builder, stack.loc, address, map));
    op.erase();
    return success();
  }

  /// Whole buffers, and the gpu.wait of each copy.
  LogicalResult lower(gpu::MemcpyOp op) {
    Value token = op.getAsyncToken();
    auto isWait = [&](Operation *user) {
      auto wait = dyn_cast<gpu::WaitOp>(user);
      return wait && !wait.getAsyncToken() && wait.getAsyncDependencies().size() == 1;
    };
    if (!token || !op.getAsyncDependencies().empty() || token.use_empty() || !llvm::all_of(token.getUsers(), isWait))
      return op.emitOpError(
          "expected an asynchronous copy that depends on no token, and that gpu.wait waits for by itself");
    StackArrays stack(op);
    OpBuilder &builder = stack.builder;
    auto type = cast<MemRefType>(op.getSrc().getType());
    for (Value side : {op.getSrc(), op.getDst()})
      if (!cast<MemRefType>(side.getType()).getLayout().isIdentity())
        return op.emitOpError("expected whole buffers, but got ") << side.getType();
    Value bytes = stack.constant(type.getElementTypeBitWidth() / 8, 64);
    for (int64_t i = 0; i < type.getRank(); ++i) {
      Value size = memref::DimOp::create(builder, stack.loc, op.getSrc(), i);
      bytes = arith::MulIOp::create(builder, stack.loc, bytes, stack.toI64(size));
    }
    auto getAddress = [&](Value buffer) -> Value {
      Value address = memref::ExtractAlignedPointerAsIndexOp::create(builder, stack.loc, buffer);
      return LLVM::IntToPtrOp::create(builder, stack.loc, stack.pointer, stack.toI64(address));
    };
    Value number = callRuntime(builder, stack.loc, "bpt_begin_copy",
                               {getAddress(op.getDst()), getAddress(op.getSrc()), bytes}, builder.getI64Type())
                       .getResult(0);
    for (Operation *wait : llvm::make_early_inc_range(token.getUsers())) {
      OpBuilder before(wait);
      callRuntime(before, wait->getLoc(), "bpt_wait_copy", number);
      wait->erase();
    }
    op.erase();
    return success();
  }

  static int64_t getSwizzleBytes(nvgpu::TensorMapSwizzleKind kind) {
    switch (kind) {
    case nvgpu::TensorMapSwizzleKind::SWIZZLE_NONE:
      return 0;
    case nvgpu::TensorMapSwizzleKind::SWIZZLE_32B:
      return 32;
    case nvgpu::TensorMapSwizzleKind::SWIZZLE_64B:
      return 64;
    case nvgpu::TensorMapSwizzleKind::SWIZZLE_128B:
      return 128;
    }
    llvm_unreachable("all kinds are above");
  }

  llvm::DenseMap<StringAttr, int64_t> numbers;
};

} // namespace
} // namespace bpt
