// bpt-plan-memory: gives every buffer a place in one arena. The lifetimes come from Analysis/MemoryPlan, the packer is the
// runtime's; offsets are data that the runtime passes in.
#include "bpt/Analysis/MemoryPlan.h"
#include "bpt/Transforms/EntryInfo.h"
#include "bpt/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "bpt/Runtime/Plan.h"

namespace bpt {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace {

/// The value `result` is a whole, densely laid out view of: an allocation or an argument; null when it is only a part.
Value getWholeRoot(Value value) {
  while (true) {
    auto type = dyn_cast<MemRefType>(value.getType());
    if (!type || !type.getLayout().isIdentity())
      return {};
    Operation *op = value.getDefiningOp();
    if (!op)
      return value;
    if (isa<memref::AllocOp>(op))
      return value;
    if (isa<memref::CastOp, memref::ExpandShapeOp, memref::CollapseShapeOp>(op))
      value = op->getOperand(0);
    else if (auto loop = dyn_cast<scf::ForOp>(op))
      value = loop.getTiedLoopInit(cast<OpResult>(value))->get();
    else
      return {};
  }
}

/// Makes every result of an entry either a whole allocation or the argument it is declared to update; copies otherwise.
void normalizeResults(func::FuncOp entry) {
  Operation *terminator = entry.getBody().front().getTerminator();
  OpBuilder builder(terminator);
  for (OpOperand &operand : terminator->getOpOperands()) {
    Value value = operand.get(), root = getWholeRoot(value);
    auto inPlace = entry.getResultAttrOfType<IntegerAttr>(operand.getOperandNumber(), "bpt.inplace");
    if (inPlace) {
      Value argument = entry.getArgument(inPlace.getInt());
      if (root != argument)
        memref::CopyOp::create(builder, entry.getLoc(), value, argument);
      operand.set(argument);
      continue;
    }
    if (root && root.getDefiningOp())
      continue;
    auto type = cast<MemRefType>(value.getType());
    SmallVector<Value> sizes;
    for (int64_t i = 0; i < type.getRank(); ++i)
      if (type.isDynamicDim(i))
        sizes.push_back(memref::DimOp::create(builder, entry.getLoc(), value, i));
    auto dense = MemRefType::get(type.getShape(), type.getElementType());
    Value copy = memref::AllocOp::create(builder, entry.getLoc(), dense, sizes);
    memref::CopyOp::create(builder, entry.getLoc(), value, copy);
    operand.set(copy);
  }
}

/// The arguments every function gets in front of its own: context, arena, offsets and the base of its slots.
SmallVector<Type> getPlanArgumentTypes(MLIRContext *context) {
  auto bytes = MemRefType::get({ShapedType::kDynamic}, IntegerType::get(context, 8));
  auto offsets = MemRefType::get({ShapedType::kDynamic}, IntegerType::get(context, 64));
  return {LLVM::LLVMPointerType::get(context), bytes, offsets, IndexType::get(context)};
}

void addPlanArguments(func::FuncOp function) {
  Location loc = function.getLoc();
  SmallVector<Type> types = getPlanArgumentTypes(function.getContext());
  SmallVector<unsigned> indices(types.size(), 0);
  SmallVector<DictionaryAttr> attributes(types.size());
  Builder builder(function.getContext());
  attributes[0] = builder.getDictionaryAttr(builder.getNamedAttr("bpt.context", builder.getUnitAttr()));
  SmallVector<Location> locations(types.size(), loc);
  (void)function.insertArguments(indices, types, attributes, locations);
}

void replaceAllocations(func::FuncOp function, const bpt::FunctionSlots &slots) {
  Value arena = function.getArgument(1), offsets = function.getArgument(2), base = function.getArgument(3);
  for (auto [op, slot] : slots.allocs) {
    OpBuilder builder(op);
    Location loc = op->getLoc();
    Value relative = arith::ConstantIndexOp::create(builder, loc, slot);
    Value index = arith::AddIOp::create(builder, loc, base, relative);
    Value offset = memref::LoadOp::create(builder, loc, offsets, ValueRange{index});
    offset = arith::IndexCastOp::create(builder, loc, builder.getIndexType(), offset);
    auto type = cast<MemRefType>(op->getResult(0).getType());
    Value view = memref::ViewOp::create(builder, loc, type, arena, offset, op->getOperands());
    op->getResult(0).replaceAllUsesWith(view);
    op->erase();
  }
}

void passPlanArguments(func::FuncOp function, const bpt::FunctionSlots &slots, ModuleOp module) {
  for (auto [op, slot] : slots.calls) {
    OpBuilder builder(op);
    Value relative = arith::ConstantIndexOp::create(builder, op->getLoc(), slot);
    Value base = arith::AddIOp::create(builder, op->getLoc(), function.getArgument(3), relative);
    SmallVector<Value> operands = {function.getArgument(0), function.getArgument(1), function.getArgument(2), base};
    llvm::append_range(operands, op->getOperands());
    op->setOperands(operands);
  }
}

void dropResults(func::FuncOp entry) {
  Operation *terminator = entry.getBody().front().getTerminator();
  terminator->setOperands({});
  llvm::BitVector all(entry.getNumResults(), true);
  (void)entry.eraseResults(all);
}

class PlanMemory : public bpt::impl::PlanMemoryPassBase<PlanMemory> {
  using Base::Base;

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<func::FuncOp> functions, entries;
    for (auto function : module.getOps<func::FuncOp>()) {
      if (function.isExternal())
        continue;
      functions.push_back(function);
      if (function.isPublic())
        entries.push_back(function);
    }
    for (func::FuncOp entry : entries)
      normalizeResults(entry);
    bpt::MemoryPlanAnalysis analysis(module);
    for (func::FuncOp entry : entries)
      if (failed(planEntry(entry, analysis)))
        return signalPassFailure();
    for (func::FuncOp function : functions) {
      FailureOr<const bpt::FunctionSlots *> slots = analysis.getSlots(function);
      if (failed(slots))
        return signalPassFailure();
      addPlanArguments(function);
      replaceAllocations(function, **slots);
      passPlanArguments(function, **slots, module);
    }
    for (func::FuncOp entry : entries)
      dropResults(entry);
    module.walk([](memref::DeallocOp op) { op.erase(); });
  }

  LogicalResult planEntry(func::FuncOp entry, bpt::MemoryPlanAnalysis &analysis) {
    FailureOr<bpt::EntryPlan> plan = analysis.plan(entry);
    if (failed(plan))
      return failure();
    FailureOr<bpt::Manifest> manifest = bpt::describeEntry(entry, *plan);
    if (failed(manifest))
      return failure();
    if (auto scratch = getOperation()->getAttrOfType<IntegerAttr>("bpt.thread_scratch"))
      manifest->threadScratch = scratch.getInt();
    if (auto scratch = getOperation()->getAttrOfType<IntegerAttr>("bpt.shared_scratch"))
      manifest->sharedScratch = scratch.getInt();
    entry->setAttr("bpt.plan", StringAttr::get(&getContext(), bpt::writeManifest(*manifest)));
    if (manifest->entries.front().dynamicDims() == 0)
      return report(entry, *manifest);
    return success();
  }

  /// Evaluates the plan of a static entry: prints it, and holds it against the budget.
  LogicalResult report(func::FuncOp entry, const bpt::Manifest &manifest) {
    if (!print && budget <= 0)
      return success();
    bpt::Expected<bpt::Plan> evaluated = bpt::planEntry(manifest, manifest.entries.front(), {}, threads);
    if (!evaluated)
      return entry.emitError(evaluated.error().message);
    if (print)
      llvm::outs() << "// memory plan of @" << entry.getName() << "\n" << bpt::formatPlan(*evaluated);
    if (budget > 0 && evaluated->arenaBytes > budget)
      return emitError(entry.getLoc(), "expected an arena of at most ")
             << int64_t(budget) << " bytes, but the plan needs " << evaluated->arenaBytes << " (" << evaluated->arenaBytes - budget
             << " too many); use a smaller block, batch or context, or keep less for the backward";
    return success();
  }
};

} // namespace
