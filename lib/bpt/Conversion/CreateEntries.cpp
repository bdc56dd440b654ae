// bpt-create-entries: one C function per entry, with the one binary interface of compiled programs.
#include "bpt/Conversion/Passes.h"
#include "bpt/Transforms/EntryInfo.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

namespace bpt {
#define GEN_PASS_DEF_CREATEENTRIESPASS
#include "bpt/Conversion/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace {

/// Builds `int32_t bpt_entry_f(context, args, dims, arena, offsets)` around a planned function.
class EntryBuilder {
public:
  explicit EntryBuilder(ModuleOp module)
      : builder(OpBuilder::atBlockEnd(module.getBody())), converter(module.getContext()),
        pointer(LLVM::LLVMPointerType::get(module.getContext())), i64(builder.getI64Type()) {}

  void create(func::FuncOp function) {
    loc = function.getLoc();
    Type i32 = builder.getI32Type();
    auto type = LLVM::LLVMFunctionType::get(i32, {pointer, pointer, pointer, pointer, pointer});
    auto entry = LLVM::LLVMFuncOp::create(builder, loc, bpt::getEntrySymbol(function.getName()), type);
    OpBuilder::InsertionGuard guard(builder);
    Block *block = entry.addEntryBlock(builder);
    builder.setInsertionPointToStart(block);
    dims = block->getArgument(2);
    numDims = 0;
    // Sizes of arena and offsets are not known here and never read.
    Value unknown = constant(std::numeric_limits<int64_t>::max());
    SmallVector<Value> operands = {block->getArgument(0),
                                   describe(function.getArgument(1).getType(), block->getArgument(3), unknown),
                                   describe(function.getArgument(2).getType(), block->getArgument(4), unknown),
                                   arith::ConstantIndexOp::create(builder, loc, 0)};
    unsigned numPlan = operands.size();
    for (auto [i, argument] : llvm::enumerate(function.getArguments().drop_front(numPlan))) {
      Value address = LLVM::GEPOp::create(builder, loc, pointer, pointer, block->getArgument(1),
                                          ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(i)});
      Value data = LLVM::LoadOp::create(builder, loc, pointer, address);
      operands.push_back(describe(argument.getType(), data, {}));
    }
    func::CallOp::create(builder, loc, function, operands);
    Value ok = LLVM::ConstantOp::create(builder, loc, i32, builder.getI32IntegerAttr(0));
    LLVM::ReturnOp::create(builder, loc, ok);
    // Only the entry is visible from outside.
    function.setPrivate();
  }

private:
  Value constant(int64_t value) { return LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(value)); }

  /// A dense memref of `type` at `data`; dynamic dims are read from `dims` in order, or are `size` when it is given.
  Value describe(Type type, Value data, Value size) {
    auto memref = cast<MemRefType>(type);
    Value descriptor = LLVM::PoisonOp::create(builder, loc, converter.convertType(memref));
    auto insert = [&](Value value, ArrayRef<int64_t> position) {
      descriptor = LLVM::InsertValueOp::create(builder, loc, descriptor, value, position);
    };
    insert(data, {0});
    insert(data, {1});
    insert(constant(0), {2});
    SmallVector<Value> sizes;
    for (int64_t extent : memref.getShape())
      sizes.push_back(!ShapedType::isDynamic(extent) ? constant(extent) : size ? size : loadDim());
    Value stride = constant(1);
    for (int64_t i = memref.getRank() - 1; i >= 0; --i) {
      insert(sizes[i], {3, i});
      insert(stride, {4, i});
      if (i > 0)
        stride = LLVM::MulOp::create(builder, loc, stride, sizes[i]);
    }
    return UnrealizedConversionCastOp::create(builder, loc, memref, descriptor).getResult(0);
  }

  Value loadDim() {
    Value address = LLVM::GEPOp::create(builder, loc, pointer, i64, dims,
                                        ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(numDims++)});
    return LLVM::LoadOp::create(builder, loc, i64, address);
  }

  OpBuilder builder;
  LLVMTypeConverter converter;
  Type pointer, i64;
  Location loc = builder.getUnknownLoc();
  Value dims;
  unsigned numDims = 0;
};

class CreateEntries : public bpt::impl::CreateEntriesPassBase<CreateEntries> {
  using Base::Base;

  void runOnOperation() override {
    EntryBuilder builder(getOperation());
    for (auto function : llvm::to_vector(getOperation().getOps<func::FuncOp>()))
      if (function->hasAttr("bpt.plan"))
        builder.create(function);
  }
};

} // namespace
