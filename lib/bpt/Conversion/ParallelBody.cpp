// Bodies of parallel loops: captured values go through a closure on the caller's stack, constants are repeated in the body.
#include "ParallelBody.h"
#include "RuntimeCalls.h"
#include "bpt/IR/BPT.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Transforms/RegionUtils.h"

using namespace mlir;

namespace bpt {

ParallelBodies::ParallelBodies(ModuleOp module, int64_t scratchBytes)
    : pointer(LLVM::LLVMPointerType::get(module.getContext())), i64(IntegerType::get(module.getContext(), 64)),
      scratchBytes(scratchBytes) {}

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

FailureOr<ParallelBody> ParallelBodies::take(scf::ForallOp loop, OpBuilder &bodies) {
  auto parent = loop->getParentOfType<func::FuncOp>();
  if (loop.getNumResults())
    return loop.emitOpError("expected a parallel loop on buffers, but got one with results");
  if (loop->getParentOfType<scf::ForallOp>())
    return loop.emitOpError("expected no parallel loop inside another");
  rematerializeConstants(loop);
  llvm::SetVector<Value> captures;
  getUsedValuesDefinedAbove(loop.getRegion(), captures);
  OpBuilder builder(loop);
  // The iteration space, innermost last; item = ((i0 * n1) + i1) * n2 + ..
  SmallVector<Value> counts = getCounts(builder, loop);
  captures.insert_range(loop.getLowerBound(builder));
  captures.insert_range(loop.getStep(builder));
  captures.insert_range(counts);
  LLVMTypeConverter converter(loop.getContext());
  SmallVector<Type> fields;
  for (Value value : captures) {
    Type type = converter.convertType(value.getType());
    if (!type)
      return loop.emitOpError("expected captured values with an LLVM type, but got ") << value.getType();
    fields.push_back(type);
  }
  ParallelBody result;
  result.closure = LLVM::LLVMStructType::getLiteral(loop.getContext(), fields);
  result.function = createBody(loop, bodies, parent.getName(), captures.getArrayRef(), result.closure, counts);
  result.closureAddress = fillClosure(loop, captures.getArrayRef(), result.closure);
  Value total = counts.front();
  for (Value count : ArrayRef(counts).drop_front())
    total = arith::MulIOp::create(builder, loop.getLoc(), total, count);
  result.items = arith::IndexCastOp::create(builder, loop.getLoc(), i64, total);
  return result;
}

/// The loop's variables from the number of the item.
static void mapInductionVariables(OpBuilder &builder, scf::ForallOp loop, Value item, ArrayRef<Value> counts,
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

func::FuncOp ParallelBodies::createBody(scf::ForallOp loop, OpBuilder &builder, StringRef parent,
                                        ArrayRef<Value> captures, LLVM::LLVMStructType closureType,
                                        ArrayRef<Value> counts) {
  OpBuilder::InsertionGuard guard(builder);
  Location loc = loop.getLoc();
  std::string name = (parent + ".body" + Twine(numBodies++)).str();
  auto body = func::FuncOp::create(builder, loc, name, builder.getFunctionType({pointer, i64, pointer}, {}));
  body.setPrivate();
  Block *block = body.addEntryBlock();
  builder.setInsertionPointToStart(block);
  IRMapping mapping;
  for (auto [i, value] : llvm::enumerate(captures)) {
    Value address = LLVM::GEPOp::create(builder, loc, pointer, closureType, block->getArgument(0),
                                        ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(i)});
    Value loaded = LLVM::LoadOp::create(builder, loc, closureType.getBody()[i], address);
    mapping.map(value, castTo(builder, loc, loaded, value.getType()));
  }
  mapInductionVariables(builder, loop, block->getArgument(1), counts, mapping);
  for (Operation &op : loop.getBody()->without_terminator())
    builder.clone(op, mapping);
  func::ReturnOp::create(builder, loc);
  body.walk([&](ThreadScratchOp op) {
    OpBuilder at(op);
    op.replaceAllUsesWith(getBytes(at, loc, block->getArgument(2), scratchBytes));
    op.erase();
  });
  return body;
}

Value ParallelBodies::fillClosure(scf::ForallOp loop, ArrayRef<Value> captures, LLVM::LLVMStructType closureType) {
  Location loc = loop.getLoc();
  auto parent = loop->getParentOfType<func::FuncOp>();
  // In the entry block, so that a loop around the call does not grow the stack.
  OpBuilder builder = OpBuilder::atBlockBegin(&parent.getBody().front());
  Value one = LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(1));
  Value closure = LLVM::AllocaOp::create(builder, loc, pointer, closureType, one, 64);
  builder.setInsertionPoint(loop);
  for (auto [i, value] : llvm::enumerate(captures)) {
    Value address = LLVM::GEPOp::create(builder, loc, pointer, closureType, closure,
                                        ArrayRef<LLVM::GEPArg>{0, static_cast<int32_t>(i)});
    LLVM::StoreOp::create(builder, loc, castTo(builder, loc, value, closureType.getBody()[i]), address);
  }
  return closure;
}

Value ParallelBodies::getBytes(OpBuilder &builder, Location loc, Value scratch, int64_t bytes) {
  auto type = MemRefType::get({ShapedType::kDynamic}, builder.getI8Type());
  Type descriptorType = LLVMTypeConverter(builder.getContext()).convertType(type);
  auto constant = [&](int64_t value) -> Value {
    return LLVM::ConstantOp::create(builder, loc, i64, builder.getI64IntegerAttr(value));
  };
  Value descriptor = LLVM::PoisonOp::create(builder, loc, descriptorType);
  auto insert = [&](Value value, ArrayRef<int64_t> position) {
    descriptor = LLVM::InsertValueOp::create(builder, loc, descriptor, value, position);
  };
  insert(scratch, {0});
  insert(scratch, {1});
  insert(constant(0), {2});
  insert(constant(bytes), {3, 0});
  insert(constant(1), {4, 0});
  return castTo(builder, loc, descriptor, type);
}

} // namespace bpt
