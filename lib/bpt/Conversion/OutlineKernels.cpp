// bpt-outline-kernels: each parallel loop becomes a kernel whose warps run its items, and a launch.
#include "ParallelBody.h"
#include "RuntimeCalls.h"
#include "bpt/Conversion/KernelModule.h"
#include "bpt/Conversion/Passes.h"
#include "bpt/Analysis/TargetInfo.h"
#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "llvm/Support/MathExtras.h"

namespace bpt {
#define GEN_PASS_DEF_OUTLINEKERNELSPASS
#include "bpt/Conversion/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

/// Functions that loop bodies call, copied into the module of kernels with what they call in turn.
class DeviceFunctions {
public:
  DeviceFunctions(ModuleOp host, gpu::GPUModuleOp device) : host(host), device(device) {}

  void addCallees(func::FuncOp caller) {
    caller.walk([&](func::CallOp call) {
      if (device.lookupSymbol(call.getCallee()))
        return;
      OpBuilder builder = OpBuilder::atBlockEnd(device.getBody());
      auto copy = cast<func::FuncOp>(builder.clone(*host.lookupSymbol(call.getCallee())));
      copy.setPrivate();
      copied.push_back(call.getCallee().str());
      addCallees(copy);
    });
  }

  /// The host's originals, where nothing of the host calls them; then what only they called.
  void eraseOriginals() {
    for (bool changed = true; changed;) {
      changed = false;
      for (const std::string &name : copied)
        if (auto original = host.lookupSymbol<func::FuncOp>(name); original && original.isPrivate() && !isUsed(original)) {
          original.erase();
          changed = true;
        }
    }
  }

private:
  bool isUsed(func::FuncOp original) {
    return llvm::any_of(host.getOps<func::FuncOp>(), [&](func::FuncOp user) {
      return !SymbolTable::symbolKnownUseEmpty(original.getNameAttr(), user);
    });
  }

  ModuleOp host;
  gpu::GPUModuleOp device;
  std::vector<std::string> copied;
};

class OutlineKernels : public impl::OutlineKernelsPassBase<OutlineKernels> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    addContextArguments(module, [](Operation *op) { return isa<scf::ForallOp, gpu::LaunchFuncOp>(op); });
    auto scratch = module->getAttrOfType<IntegerAttr>("bpt.thread_scratch");
    scratchBytes = scratch ? scratch.getInt() : 0;
    module.walk([](SharedScratchOp op) { leaveShared(op); });
    device = getKernelModule(module);
    ParallelBodies bodies(module, scratchBytes);
    DeviceFunctions functions(module, device);
    SmallVector<scf::ForallOp> loops;
    for (auto function : module.getOps<func::FuncOp>())
      function.walk([&](scf::ForallOp loop) { loops.push_back(loop); });
    for (scf::ForallOp loop : loops)
      if (failed(outline(loop, bodies, functions)))
        return signalPassFailure();
    functions.eraseOriginals();
    if (failed(checkHost(module)))
      return signalPassFailure();
  }

  /// Warps pack what they need themselves: there is no scratch that all of them share.
  static void leaveShared(SharedScratchOp op) {
    OpBuilder builder(op);
    Value none = arith::ConstantOp::create(builder, op.getLoc(), builder.getBoolAttr(false));
    Value null = LLVM::ZeroOp::create(builder, op.getLoc(), LLVM::LLVMPointerType::get(op.getContext()));
    op.getAvailable().replaceAllUsesWith(none);
    op.getBytes().replaceAllUsesWith(
        ParallelBodies(op->getParentOfType<ModuleOp>(), 0).getBytes(builder, op.getLoc(), null, 0));
    op.erase();
  }

  LogicalResult outline(scf::ForallOp loop, ParallelBodies &bodies, DeviceFunctions &functions) {
    OpBuilder inDevice = OpBuilder::atBlockEnd(device.getBody());
    FailureOr<ParallelBody> body = bodies.take(loop, inDevice);
    if (failed(body))
      return failure();
    functions.addCallees(body->function);
    LLVM::LLVMFuncOp kernel = createKernel(*body, loop.getLoc());
    launch(loop, *body, kernel);
    loop.erase();
    return success();
  }

  /// kernel(closure, items, scratch): block b, of one warp, does items b, b + blocks, ..
  LLVM::LLVMFuncOp createKernel(ParallelBody body, Location loc) {
    OpBuilder builder = OpBuilder::atBlockEnd(device.getBody());
    Type pointer = LLVM::LLVMPointerType::get(&getContext()), i64 = builder.getI64Type();
    std::string name = body.function.getName().str();
    name.replace(name.rfind(".body"), 5, "_kernel"); // PTX has no dots in names
    auto type =
        LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(&getContext()), {pointer, i64, pointer});
    auto kernel = LLVM::LLVMFuncOp::create(builder, loc, name, type);
    setKernelAttributes(kernel, TargetInfo::warpLanes);
    kernel.setArgAttr(0, LLVM::LLVMDialect::getByValAttrName(), TypeAttr::get(body.closure));
    kernel.setArgAttr(0, LLVM::LLVMDialect::getAlignAttrName(), builder.getI64IntegerAttr(16));
    kernel.setArgAttr(0, NVVM::NVVMDialect::getGridConstantAttrName(), builder.getUnitAttr());
    Block *block = kernel.addEntryBlock(builder);
    builder.setInsertionPointToStart(block);
    auto read = [&](Value i32) -> Value { return arith::ExtUIOp::create(builder, loc, i64, i32); };
    Value warp = read(NVVM::BlockIdXOp::create(builder, loc, builder.getI32Type()));
    Value warps = read(NVVM::GridDimXOp::create(builder, loc, builder.getI32Type()));
    Value stride = arith::ConstantIntOp::create(builder, loc, llvm::alignTo(scratchBytes, 64), 64);
    Value scratch = LLVM::GEPOp::create(builder, loc, pointer, builder.getI8Type(), block->getArgument(2),
                                        ValueRange(arith::MulIOp::create(builder, loc, warp, stride)));
    auto loop = scf::ForOp::create(builder, loc, warp, block->getArgument(1), warps);
    LLVM::ReturnOp::create(builder, loc, ValueRange());
    builder.setInsertionPointToStart(loop.getBody());
    func::CallOp::create(builder, loc, body.function,
                         ValueRange{block->getArgument(0), loop.getInductionVar(), scratch});
    return kernel;
  }

  void launch(scf::ForallOp loop, ParallelBody body, LLVM::LLVMFuncOp kernel) {
    OpBuilder builder(loop);
    Location loc = loop.getLoc();
    Type pointer = LLVM::LLVMPointerType::get(&getContext());
    Value workers = callRuntime(builder, loc, "bpt_workers", {}, builder.getI64Type()).getResult(0);
    Value scratch = callRuntime(builder, loc, "bpt_thread_scratch", {}, pointer).getResult(0);
    Value blocks = arith::MinSIOp::create(builder, loc, body.items, workers);
    auto index = [&](int64_t value) -> Value { return arith::ConstantIndexOp::create(builder, loc, value); };
    Value one = index(1);
    blocks = arith::IndexCastOp::create(builder, loc, builder.getIndexType(), blocks);
    gpu::LaunchFuncOp::create(builder, loc, getKernelSymbol(kernel), gpu::KernelDim3{blocks, one, one},
                              gpu::KernelDim3{index(TargetInfo::warpLanes), one, one}, Value(),
                              ValueRange{body.closureAddress, body.items, scratch});
  }

  /// The host's code computes sizes and offsets. Data is the device's.
  static LogicalResult checkHost(ModuleOp module) {
    LogicalResult result = success();
    for (auto function : module.getOps<func::FuncOp>())
      function.walk([&](Operation *op) {
        Value memref;
        if (auto load = dyn_cast<memref::LoadOp>(op))
          memref = load.getMemref();
        else if (auto store = dyn_cast<memref::StoreOp>(op))
          memref = store.getMemref();
        else if (isa<vector::LoadOp, vector::MaskedLoadOp, vector::StoreOp, vector::MaskedStoreOp>(op))
          memref = op->getOperand(0);
        // Offsets of the arena come from an argument of the function itself, and so do integers that sizes depend on: the runtime has
        // them where both can read them.
        auto argument = dyn_cast_or_null<BlockArgument>(memref);
        auto type = argument ? dyn_cast<MemRefType>(argument.getType()) : MemRefType();
        bool isSize = type && argument.getOwner() == &function.getBody().front() && isa<memref::LoadOp>(op) &&
                      type.getElementType().isInteger() &&
                      (type.getRank() == 0 ||
                       (argument.getArgNumber() == 2 && getContextArgument(function) == function.getArgument(0)));
        if (memref && !isSize)
          result = op->emitOpError("expected data to be read and written by kernels only, but this is the host's code; "
                                   "put it into a parallel loop");
      });
    return result;
  }

  gpu::GPUModuleOp device;
  int64_t scratchBytes = 0;
};

} // namespace
} // namespace bpt
