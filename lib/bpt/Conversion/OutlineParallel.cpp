// bpt-outline-parallel: the body of each parallel loop becomes a function; the loop a call of bpt_parallel_for.
#include "bpt/Conversion/Passes.h"
#include "bpt/IR/BPT.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Transforms/RegionUtils.h"
#include "llvm/ADT/StringSet.h"

namespace bpt {
#define GEN_PASS_DEF_OUTLINEPARALLELPASS
#include "bpt/Conversion/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace {

constexpr llvm::StringLiteral contextAttr = "bpt.context";
constexpr llvm::StringLiteral regionAttr = "bpt.region";
constexpr llvm::StringLiteral loopFunction = "bpt_parallel_for";
constexpr llvm::StringLiteral sharedFunction = "bpt_shared_scratch";
constexpr llvm::StringLiteral profileFunction = "bpt_profile";

/// Declares a function of the runtime; the context is its first argument.
void declareRuntimeFunction(ModuleOp module, StringRef name, TypeRange types, TypeRange results = {}) {
  if (module.lookupSymbol(name))
    return;
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  SmallVector<Type> all{LLVM::LLVMPointerType::get(module.getContext())};
  llvm::append_range(all, types);
  func::FuncOp::create(builder, module.getLoc(), name, builder.getFunctionType(all, results)).setPrivate();
}

Value getContextArgument(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (function.getArgAttr(argument.getArgNumber(), contextAttr))
      return argument;
  return {};
}

/// Functions that run a parallel loop, or call one that does, get the runtime's context as first argument.
class ContextArguments {
public:
  explicit ContextArguments(ModuleOp module) : module(module) {}

  void add() {
    for (auto function : llvm::to_vector(module.getOps<func::FuncOp>()))
      if (!function.isExternal() && needsContext(function) && !getContextArgument(function))
        insert(function);
    module.walk([&](func::CallOp call) {
      if (!inserted.contains(call.getCallee()))
        return;
      SmallVector<Value> operands = {getContextArgument(call->getParentOfType<func::FuncOp>())};
      llvm::append_range(operands, call.getOperands());
      call->setOperands(operands);
    });
  }

private:
  bool needsContext(func::FuncOp function) {
    if (auto known = needs.find(function); known != needs.end())
      return known->second;
    needs[function] = false; // recursion is refused by bpt-plan-memory
    bool result = false;
    function.walk([&](Operation *op) {
      if (isa<scf::ForallOp, bpt::SharedScratchOp>(op) || op->hasAttr(regionAttr))
        result = true;
      if (auto call = dyn_cast<func::CallOp>(op))
        if (auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee()))
          result |= !callee.isExternal() && needsContext(callee);
    });
    return needs[function] = result;
  }

  void insert(func::FuncOp function) {
    Builder builder(module.getContext());
    auto attributes = builder.getDictionaryAttr(builder.getNamedAttr(contextAttr, builder.getUnitAttr()));
    (void)function.insertArgument(0, LLVM::LLVMPointerType::get(module.getContext()), attributes, function.getLoc());
    inserted.insert(function.getName());
  }

  ModuleOp module;
  llvm::DenseMap<Operation *, bool> needs;
  llvm::StringSet<> inserted;
};

/// Turns one scf.forall into a body function and a call.
class LoopOutliner {
public:
  LoopOutliner(ModuleOp module, int64_t scratchBytes)
      : module(module), converter(module.getContext()), pointer(LLVM::LLVMPointerType::get(module.getContext())),
        i64(IntegerType::get(module.getContext(), 64)), scratchBytes(scratchBytes) {}

  /// The shared scratch: asked of the runtime once.
  void replace(bpt::SharedScratchOp op, int64_t bytes) {
    OpBuilder builder(op);
    Location loc = op.getLoc();
    declareRuntimeFunction(module, sharedFunction, {}, pointer);
    Value context = getContextArgument(op->getParentOfType<func::FuncOp>());
    Value scratch = func::CallOp::create(builder, loc, sharedFunction, TypeRange{pointer}, ValueRange{context}).getResult(0);
    Value null = LLVM::ZeroOp::create(builder, loc, pointer);
    op.getAvailable().replaceAllUsesWith(LLVM::ICmpOp::create(builder, loc, LLVM::ICmpPredicate::ne, scratch, null).getResult());
    op.getBytes().replaceAllUsesWith(getBytes(builder, loc, scratch, bytes));
    op.erase();
  }

  LogicalResult outline(scf::ForallOp loop) {
    auto parent = loop->getParentOfType<func::FuncOp>();
    if (loop.getNumResults())
      return loop.emitOpError("expected a parallel loop on buffers, but got one with results");
    if (loop->getParentOfType<scf::ForallOp>())
      return loop.emitOpError("expected no parallel loop inside another");
    rematerializeConstants(loop);
    llvm::SetVector<Value> captures;
    getUsedValuesDefinedAbove(loop.getRegion(), captures);
    OpBuilder builder(loop);
    Location loc = loop.getLoc();
    // The iteration space, innermost last; item = ((i0 * n1) + i1) * n2 + ..
    SmallVector<Value> counts = getCounts(builder, loop);
    for (Value value : loop.getLowerBound(builder))
      captures.insert(value);
    for (Value value : loop.getStep(builder))
      captures.insert(value);
    for (Value value : counts)
      captures.insert(value);
    SmallVector<Type> fields;
    for (Value value : captures) {
      Type type = converter.convertType(value.getType());
      if (!type)
        return loop.emitOpError("expected captured values with an LLVM type, but got ") << value.getType();
      fields.push_back(type);
    }
    auto closureType = LLVM::LLVMStructType::getLiteral(module.getContext(), fields);
    func::FuncOp body = createBody(loop, parent, captures.getArrayRef(), closureType, counts);
    emitCall(builder, loc, loop, parent, captures.getArrayRef(), closureType, body, counts);
    loop.erase();
    return success();
  }

private:
  /// Constants move into the body rather than into the closure.
  static void rematerializeConstants(scf::ForallOp loop) {
    OpBuilder builder = OpBuilder::atBlockBegin(loop.getBody());
    llvm::SetVector<Value> captures;
    getUsedValuesDefinedAbove(loop.getRegion(), captures);
    for (Value value : captures)
      if (Operation *op = value.getDefiningOp(); op && op->hasTrait<OpTrait::ConstantLike>())
        replaceAllUsesInRegionWith(value, builder.clone(*op)->getResult(0), loop.getRegion());
  }

  static SmallVector<Value> getCounts(OpBuilder &builder, scf::ForallOp loop) {
    SmallVector<Value> counts;
    for (auto [lower, upper, step] :
         llvm::zip(loop.getLowerBound(builder), loop.getUpperBound(builder), loop.getStep(builder))) {
      Value length = arith::SubIOp::create(builder, loop.getLoc(), upper, lower);
      counts.push_back(arith::CeilDivSIOp::create(builder, loop.getLoc(), length, step));
    }
    return counts;
  }

  func::FuncOp createBody(scf::ForallOp loop, func::FuncOp parent, ArrayRef<Value> captures, Type closureType,
                          ArrayRef<Value> counts) {
    OpBuilder builder(parent);
    Location loc = loop.getLoc();
    auto type = builder.getFunctionType({pointer, i64, pointer}, {});
    std::string name = (parent.getName() + ".body" + Twine(numBodies++)).str();
    auto body = func::FuncOp::create(builder, loc, name, type);
    body.setPrivate();
    Block *block = body.addEntryBlock();
    builder.setInsertionPointToStart(block);
    IRMapping mapping;
    for (auto [i, value] : llvm::enumerate(captures)) {
      Type field = cast<LLVM::LLVMStructType>(closureType).getBody()[i];
      Value address = LLVM::GEPOp::create(builder, loc, pointer, closureType, block->getArgument(0),
                                          ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(i)});
      Value loaded = LLVM::LoadOp::create(builder, loc, field, address);
      mapping.map(value, castTo(builder, loc, loaded, value.getType()));
    }
    mapInductionVariables(builder, loop, block->getArgument(1), counts, mapping);
    for (Operation &op : loop.getBody()->without_terminator())
      builder.clone(op, mapping);
    func::ReturnOp::create(builder, loc);
    body.walk([&](bpt::ThreadScratchOp op) {
      OpBuilder at(op);
      op.replaceAllUsesWith(getBytes(at, loc, block->getArgument(2), scratchBytes));
      op.erase();
    });
    return body;
  }

  void mapInductionVariables(OpBuilder &builder, scf::ForallOp loop, Value item, ArrayRef<Value> counts,
                             IRMapping &mapping) {
    Location loc = loop.getLoc();
    Value rest = arith::IndexCastOp::create(builder, loc, builder.getIndexType(), item);
    auto lowers = loop.getLowerBound(builder), steps = loop.getStep(builder);
    for (int64_t i = counts.size() - 1; i >= 0; --i) {
      Value index = rest;
      if (i > 0) {
        Value count = mapping.lookup(counts[i]);
        index = arith::RemUIOp::create(builder, loc, rest, count);
        rest = arith::DivUIOp::create(builder, loc, rest, count);
      }
      Value scaled = arith::MulIOp::create(builder, loc, index, mapping.lookupOrDefault(steps[i]));
      mapping.map(loop.getInductionVar(i),
                  arith::AddIOp::create(builder, loc, scaled, mapping.lookupOrDefault(lowers[i])).getResult());
    }
  }

  /// memref<?xi8> over a pointer the runtime hands out.
  Value getBytes(OpBuilder &builder, Location loc, Value scratch, int64_t bytes) {
    auto type = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type());
    Type descriptorType = converter.convertType(type);
    Value descriptor = LLVM::PoisonOp::create(builder, loc, descriptorType);
    Value zero = LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(0));
    Value one = LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(1));
    Value size = LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(bytes));
    descriptor = LLVM::InsertValueOp::create(builder, loc, descriptor, scratch, ArrayRef<int64_t>{0});
    descriptor = LLVM::InsertValueOp::create(builder, loc, descriptor, scratch, ArrayRef<int64_t>{1});
    descriptor = LLVM::InsertValueOp::create(builder, loc, descriptor, zero, ArrayRef<int64_t>{2});
    descriptor = LLVM::InsertValueOp::create(builder, loc, descriptor, size, ArrayRef<int64_t>{3, 0});
    descriptor = LLVM::InsertValueOp::create(builder, loc, descriptor, one, ArrayRef<int64_t>{4, 0});
    return castTo(builder, loc, descriptor, type);
  }

  void emitCall(OpBuilder &builder, Location loc, scf::ForallOp loop, func::FuncOp parent, ArrayRef<Value> captures,
                Type closureType, func::FuncOp body, ArrayRef<Value> counts) {
    Value closure;
    {
      // In the entry block, so that a loop around the call does not grow the stack.
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(&parent.getBody().front());
      Value one = LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(1));
      closure = LLVM::AllocaOp::create(builder, loc, pointer, closureType, one, 64);
    }
    for (auto [i, value] : llvm::enumerate(captures)) {
      Type field = cast<LLVM::LLVMStructType>(closureType).getBody()[i];
      Value address = LLVM::GEPOp::create(builder, loc, pointer, closureType, closure,
                                          ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(i)});
      LLVM::StoreOp::create(builder, loc, castTo(builder, loc, value, field), address);
    }
    Value total = counts.front();
    for (Value count : counts.drop_front())
      total = arith::MulIOp::create(builder, loc, total, count);
    total = arith::IndexCastOp::create(builder, loc, i64, total);
    Value function = func::ConstantOp::create(builder, loc, body.getFunctionType(), body.getName());
    function = UnrealizedConversionCastOp::create(builder, loc, pointer, function).getResult(0);
    declareRuntimeFunction(module, loopFunction, {pointer, pointer, i64});
    func::CallOp::create(builder, loc, loopFunction, TypeRange{},
                         ValueRange{getContextArgument(parent), function, closure, total});
  }

  static Value castTo(OpBuilder &builder, Location loc, Value value, Type type) {
    if (value.getType() == type)
      return value;
    return UnrealizedConversionCastOp::create(builder, loc, type, value).getResult(0);
  }

  ModuleOp module;
  LLVMTypeConverter converter;
  Type pointer, i64;
  int64_t scratchBytes;
  unsigned numBodies = 0;
};

/// Tells the runtime when each region begins and ends.
void reportRegions(ModuleOp module) {
  SmallVector<func::CallOp> calls;
  module.walk([&](func::CallOp call) {
    if (call->hasAttr(regionAttr))
      calls.push_back(call);
  });
  for (func::CallOp call : calls) {
    OpBuilder builder(call);
    Type i64 = builder.getI64Type(), i32 = builder.getI32Type();
    declareRuntimeFunction(module, profileFunction, {i64, i32});
    Location loc = call.getLoc();
    Value context = getContextArgument(call->getParentOfType<func::FuncOp>());
    Value region = LLVM::ConstantOp::create(builder, loc, i64, call->getAttr(regionAttr));
    for (int begins : {1, 0}) {
      Value flag = LLVM::ConstantOp::create(builder, loc, i32, builder.getI32IntegerAttr(begins));
      func::CallOp::create(builder, loc, profileFunction, TypeRange{}, ValueRange{context, region, flag});
      builder.setInsertionPointAfter(call);
    }
    call->removeAttr(regionAttr);
  }
}

class OutlineParallel : public bpt::impl::OutlineParallelPassBase<OutlineParallel> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    ContextArguments(module).add();
    reportRegions(module);
    auto scratch = module->getAttrOfType<IntegerAttr>("bpt.thread_scratch");
    auto shared = module->getAttrOfType<IntegerAttr>("bpt.shared_scratch");
    LoopOutliner outliner(module, scratch ? scratch.getInt() : 0);
    SmallVector<bpt::SharedScratchOp> sharedOps;
    module.walk([&](bpt::SharedScratchOp op) { sharedOps.push_back(op); });
    for (bpt::SharedScratchOp op : sharedOps)
      outliner.replace(op, shared ? shared.getInt() : 0);
    SmallVector<scf::ForallOp> loops;
    module.walk([&](scf::ForallOp loop) { loops.push_back(loop); });
    for (scf::ForallOp loop : loops)
      if (failed(outliner.outline(loop)))
        return signalPassFailure();
    module.walk([&](bpt::ThreadScratchOp op) {
      if (op->getParentOfType<func::FuncOp>()) {
        op.emitOpError("expected to be in the body of a parallel loop");
        signalPassFailure();
      }
    });
  }
};

} // namespace
