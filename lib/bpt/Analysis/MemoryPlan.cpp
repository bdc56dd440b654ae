// Lifetimes of every buffer of an entry. The program is walked as if all calls were inlined; each operation is one
// tick.
#include "bpt/Analysis/MemoryPlan.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"
#include "mlir/Interfaces/LoopLikeInterface.h"
#include "mlir/Interfaces/ViewLikeInterface.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bpt {

FailureOr<const FunctionSlots *> MemoryPlanAnalysis::getSlots(func::FuncOp function) {
  if (auto found = slots.find(function); found != slots.end())
    return &found->second;
  if (!visiting.insert(function).second)
    return function.emitError("expected no recursion, but got a call of `") << function.getName() << "` from itself";
  FunctionSlots result;
  SmallVector<func::CallOp> calls;
  function.walk([&](Operation *op) {
    if (isa<memref::AllocOp, memref::AllocaOp>(op))
      result.allocs[op] = result.total++;
    else if (auto call = dyn_cast<func::CallOp>(op))
      calls.push_back(call);
  });
  for (func::CallOp call : calls) {
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    if (!callee || callee.isExternal())
      continue;
    FailureOr<const FunctionSlots *> inner = getSlots(callee);
    if (failed(inner))
      return failure();
    result.calls[call] = result.total;
    result.total += (*inner)->total;
  }
  visiting.erase(function);
  return &(slots[function] = std::move(result));
}

namespace {

using SlotSet = SmallVector<int64_t, 2>;

void mergeInto(SlotSet &into, ArrayRef<int64_t> from) {
  for (int64_t slot : from)
    if (!llvm::is_contained(into, slot))
      into.push_back(slot);
}

/// One activation of a function during the walk.
struct Frame {
  func::FuncOp function;
  const FunctionSlots *layout;
  int64_t base;
  Frame *caller;
  func::CallOp call;
  DenseMap<Value, SlotSet> buffers = DenseMap<Value, SlotSet>();
};

class LifetimeWalk {
public:
  LifetimeWalk(MemoryPlanAnalysis &analysis, ModuleOp module, EntryPlan &plan)
      : analysis(analysis), module(module), plan(plan) {}

  LogicalResult walkEntry(func::FuncOp entry) {
    FailureOr<const FunctionSlots *> layout = analysis.getSlots(entry);
    if (failed(layout))
      return failure();
    plan.slots.resize((*layout)->total);
    allocated.assign((*layout)->total, -1);
    Frame frame{entry, *layout, 0, nullptr, func::CallOp()};
    if (failed(walkBlock(frame, entry.getBody().front())))
      return failure();
    return recordResults(frame);
  }

private:
  LogicalResult walkBlock(Frame &frame, Block &block) {
    for (Operation &op : block)
      if (failed(walkOp(frame, op)))
        return failure();
    return success();
  }

  LogicalResult walkOp(Frame &frame, Operation &op) {
    ++now;
    if (isa<memref::AllocOp, memref::AllocaOp>(op))
      return recordAllocation(frame, op);
    if (auto call = dyn_cast<func::CallOp>(op))
      return walkCall(frame, call);
    if (auto loop = dyn_cast<scf::ForOp>(op))
      return walkFor(frame, loop);
    if (auto branch = dyn_cast<scf::IfOp>(op))
      return walkIf(frame, branch);
    if (auto view = dyn_cast<ViewLikeOpInterface>(op)) {
      frame.buffers[op.getResult(0)] = frame.buffers.lookup(view.getViewSource());
      return success();
    }
    if (auto select = dyn_cast<arith::SelectOp>(op)) {
      SlotSet either = frame.buffers.lookup(select.getTrueValue());
      mergeInto(either, frame.buffers.lookup(select.getFalseValue()));
      frame.buffers[select] = either;
    }
    for (Value operand : op.getOperands()) {
      touch(frame, operand, &op);
      // What an asynchronous copy reads and writes is in use until it is waited for.
      if (auto copy = operand.getDefiningOp<gpu::MemcpyOp>())
        for (Value buffer : {copy.getSrc(), copy.getDst()})
          touch(frame, buffer, &op);
    }
    if (isa<LoopLikeOpInterface>(op))
      return walkLoopBody(frame, op);
    for (Region &region : op.getRegions())
      for (Block &block : region)
        if (failed(walkBlock(frame, block)))
          return failure();
    return success();
  }

  /// A use now of every buffer `value` may point into.
  void touch(Frame &frame, Value value, Operation *op) {
    auto found = frame.buffers.find(value);
    if (found == frame.buffers.end())
      return;
    for (int64_t slot : found->second) {
      PlannedBuffer &buffer = plan.slots[slot];
      if (buffer.first < 0) {
        buffer.first = now;
        buffer.name = (op->getName().getStringRef() + " in " + frame.function.getName()).str();
      }
      buffer.last = now;
    }
  }

  LogicalResult recordAllocation(Frame &frame, Operation &op) {
    int64_t slot = frame.base + frame.layout->allocs.lookup(&op);
    frame.buffers[op.getResult(0)] = {slot};
    allocated[slot] = now;
    auto type = cast<MemRefType>(op.getResult(0).getType());
    FailureOr<SizeFormula> count = getElementCount(frame, op.getResult(0));
    if (failed(count))
      return op.emitOpError(
          "expected sizes computed from dims of the entry's arguments, but got a size no formula bounds; "
          "give the tensor a static shape or compute it with arith from tensor.dim of an argument");
    plan.slots[slot].bytes = *count * SizeFormula((type.getElementTypeBitWidth() + 7) / 8);
    plan.slots[slot].kind = op.hasAttr("bpt.host")               ? "host"
                            : type.getElementType().isInteger(8) ? "workspace"
                                                                 : "activation";
    return success();
  }

  LogicalResult walkCall(Frame &frame, func::CallOp call) {
    for (Value operand : call.getOperands())
      touch(frame, operand, call);
    auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee());
    if (!callee || callee.isExternal())
      return success();
    FailureOr<const FunctionSlots *> layout = analysis.getSlots(callee);
    if (failed(layout))
      return failure();
    Frame inner{callee, *layout, frame.base + frame.layout->calls.lookup(call), &frame, call};
    for (auto [argument, operand] : llvm::zip(callee.getArguments(), call.getOperands()))
      if (auto found = frame.buffers.find(operand); found != frame.buffers.end())
        inner.buffers[argument] = found->second;
    if (failed(walkBlock(inner, callee.getBody().front())))
      return failure();
    Operation *terminator = callee.getBody().front().getTerminator();
    for (auto [result, value] : llvm::zip(call.getResults(), terminator->getOperands()))
      frame.buffers[result] = inner.buffers.lookup(value);
    return success();
  }

  LogicalResult walkFor(Frame &frame, scf::ForOp loop) {
    for (auto [argument, init] : llvm::zip(loop.getRegionIterArgs(), loop.getInitArgs())) {
      touch(frame, init, loop);
      frame.buffers[argument] = frame.buffers.lookup(init);
    }
    if (failed(walkLoopBody(frame, *loop)))
      return failure();
    Operation *yield = loop.getBody()->getTerminator();
    for (auto [result, argument, value] :
         llvm::zip(loop.getResults(), loop.getRegionIterArgs(), yield->getOperands())) {
      SlotSet either = frame.buffers.lookup(argument);
      mergeInto(either, frame.buffers.lookup(value));
      frame.buffers[result] = either;
    }
    return success();
  }

  /// What was allocated before a loop and is used in it lives through all of its iterations.
  LogicalResult walkLoopBody(Frame &frame, Operation &loop) {
    int64_t begin = now;
    for (Region &region : loop.getRegions())
      for (Block &block : region)
        if (failed(walkBlock(frame, block)))
          return failure();
    int64_t end = ++now;
    for (auto [slot, buffer] : llvm::enumerate(plan.slots))
      if (allocated[slot] >= 0 && allocated[slot] < begin && buffer.last >= begin) {
        buffer.first = std::min(buffer.first, begin);
        buffer.last = end;
      }
    return success();
  }

  LogicalResult walkIf(Frame &frame, scf::IfOp branch) {
    for (Region *region : branch.getRegions())
      for (Block &block : *region)
        if (failed(walkBlock(frame, block)))
          return failure();
    for (Region *region : branch.getRegions())
      if (!region->empty())
        for (auto [result, value] : llvm::zip(branch.getResults(), region->front().getTerminator()->getOperands()))
          mergeInto(frame.buffers[result], frame.buffers.lookup(value));
    return success();
  }

  LogicalResult recordResults(Frame &frame) {
    Operation *terminator = frame.function.getBody().front().getTerminator();
    ++now;
    for (auto [index, value] : llvm::enumerate(terminator->getOperands())) {
      SmallVector<SizeFormula> shape;
      auto type = cast<MemRefType>(value.getType());
      for (int64_t i = 0; i < type.getRank(); ++i) {
        FailureOr<SizeFormula> size = getDim(frame, value, i);
        if (failed(size))
          return terminator->emitError("expected a result whose shape follows from the arguments', but dim ")
                 << i << " of result " << index << " does not";
        shape.push_back(*size);
      }
      plan.resultShapes.push_back(shape);
      auto inPlace = frame.function.getResultAttrOfType<IntegerAttr>(index, "bpt.inplace");
      plan.resultArguments.push_back(inPlace ? inPlace.getInt() : -1);
      if (inPlace) {
        plan.resultSlots.push_back(-1);
        continue;
      }
      SlotSet candidates = frame.buffers.lookup(value);
      if (candidates.size() != 1)
        return terminator->emitError("expected result ") << index << " to be one whole buffer";
      plan.resultSlots.push_back(candidates.front());
      PlannedBuffer &buffer = plan.slots[candidates.front()];
      buffer.first = buffer.first < 0 ? now : buffer.first;
      buffer.last = now;
      auto name = frame.function.getResultAttrOfType<StringAttr>(index, "bpt.name");
      bool gradient = name && name.getValue().ends_with(".grad");
      buffer.kind = gradient ? "gradient" : "result";
      if (name)
        buffer.name = name.str();
    }
    // Buffers nobody uses take no room.
    for (PlannedBuffer &buffer : plan.slots)
      if (buffer.first < 0)
        buffer.first = buffer.last = 0, buffer.bytes = 0, buffer.name = "unused", buffer.kind = "activation";
    return success();
  }

  FailureOr<SizeFormula> getElementCount(Frame &frame, Value buffer) {
    SizeFormula count(1);
    for (int64_t i = 0, rank = cast<MemRefType>(buffer.getType()).getRank(); i < rank; ++i) {
      FailureOr<SizeFormula> size = getDim(frame, buffer, i);
      if (failed(size))
        return failure();
      count = count * *size;
    }
    return count;
  }

  /// The size of dim `index` of a memref.
  FailureOr<SizeFormula> getDim(Frame &frame, Value buffer, int64_t index) {
    auto type = cast<MemRefType>(buffer.getType());
    if (!type.isDynamicDim(index))
      return SizeFormula(type.getDimSize(index));
    if (auto argument = dyn_cast<BlockArgument>(buffer)) {
      if (argument.getOwner() == &frame.function.getBody().front())
        return frame.caller ? getDim(*frame.caller, frame.call.getOperand(argument.getArgNumber()), index)
                            : SizeFormula::dim(getDynamicDimIndex(frame.function, argument.getArgNumber(), index));
      if (auto loop = dyn_cast<scf::ForOp>(argument.getOwner()->getParentOp()))
        if (OpOperand *init = loop.getTiedLoopInit(argument))
          return getDim(frame, init->get(), index);
      return failure();
    }
    return TypeSwitch<Operation *, FailureOr<SizeFormula>>(buffer.getDefiningOp())
        .Case<memref::AllocOp, memref::AllocaOp>(
            [&](auto op) { return evaluate(frame, op.getDynamicSizes()[type.getDynamicDimIndex(index)]); })
        .Case([&](memref::CastOp op) { return getDim(frame, op.getSource(), index); })
        .Case([&](memref::SubViewOp op) -> FailureOr<SizeFormula> {
          llvm::SmallBitVector dropped = op.getDroppedDims();
          int64_t kept = 0;
          for (int64_t i = 0; i < op.getSourceType().getRank(); ++i)
            if (!dropped[i] && kept++ == index)
              return evaluate(frame, op.getMixedSizes()[i]);
          return failure();
        })
        .Case([&](memref::ExpandShapeOp op) { return evaluate(frame, op.getMixedOutputShape()[index]); })
        .Case([&](memref::CollapseShapeOp op) -> FailureOr<SizeFormula> {
          SizeFormula product(1);
          for (int64_t source : op.getReassociationIndices()[index]) {
            FailureOr<SizeFormula> size = getDim(frame, op.getSrc(), source);
            if (failed(size))
              return failure();
            product = product * *size;
          }
          return product;
        })
        .Case([&](scf::ForOp op) { return getDim(frame, op.getTiedLoopInit(cast<OpResult>(buffer))->get(), index); })
        .Default([](Operation *) { return failure(); });
  }

  FailureOr<SizeFormula> evaluate(Frame &frame, OpFoldResult size) {
    if (auto value = dyn_cast<Value>(size))
      return evaluate(frame, value);
    return SizeFormula(cast<IntegerAttr>(cast<Attribute>(size)).getInt());
  }

  /// An index value as a formula, or an upper bound of it where a loop variable is involved.
  FailureOr<SizeFormula> evaluate(Frame &frame, Value value) {
    if (std::optional<int64_t> constant = getConstantIntValue(value))
      return SizeFormula(*constant);
    if (auto argument = dyn_cast<BlockArgument>(value)) {
      if (argument.getOwner() == &frame.function.getBody().front() && frame.caller)
        return evaluate(*frame.caller, frame.call.getOperand(argument.getArgNumber()));
      return failure();
    }
    return TypeSwitch<Operation *, FailureOr<SizeFormula>>(value.getDefiningOp())
        .Case([&](memref::DimOp op) -> FailureOr<SizeFormula> {
          std::optional<int64_t> index = op.getConstantIndex();
          return index ? getDim(frame, op.getSource(), *index) : FailureOr<SizeFormula>(failure());
        })
        .Case([&](arith::AddIOp op) { return combine(frame, op, [](auto a, auto b) { return a + b; }); })
        .Case([&](arith::SubIOp op) { return combine(frame, op, [](auto a, auto b) { return a - b; }); })
        .Case([&](arith::MulIOp op) { return combine(frame, op, [](auto a, auto b) { return a * b; }); })
        .Case<arith::DivSIOp, arith::DivUIOp, arith::FloorDivSIOp>(
            [&](auto op) { return combine(frame, op, [](auto a, auto b) { return floorDiv(a, b); }); })
        .Case<arith::CeilDivSIOp, arith::CeilDivUIOp>(
            [&](auto op) { return combine(frame, op, [](auto a, auto b) { return ceilDiv(a, b); }); })
        .Case<arith::MaxSIOp, arith::MaxUIOp>(
            [&](auto op) { return combine(frame, op, [](auto a, auto b) { return max(a, b); }); })
        .Case<arith::RemSIOp, arith::RemUIOp>([&](auto op) -> FailureOr<SizeFormula> {
          FailureOr<SizeFormula> a = evaluate(frame, op.getLhs()), b = evaluate(frame, op.getRhs());
          if (failed(a) || failed(b))
            return failure();
          return *a - floorDiv(*a, *b) * *b;
        })
        .Case<arith::MinSIOp, arith::MinUIOp>([&](auto op) -> FailureOr<SizeFormula> {
          FailureOr<SizeFormula> a = evaluate(frame, op.getLhs()), b = evaluate(frame, op.getRhs());
          if (failed(a))
            return b;
          return failed(b) ? a : FailureOr<SizeFormula>(min(*a, *b));
        })
        .Case<arith::IndexCastOp, arith::IndexCastUIOp>([&](auto op) { return evaluate(frame, op.getIn()); })
        .Case([&](affine::AffineApplyOp op) {
          return evaluate(frame, op.getAffineMap().getResult(0), op.getAffineMap().getNumDims(), op.getMapOperands());
        })
        .Case([&](affine::AffineMinOp op) -> FailureOr<SizeFormula> {
          FailureOr<SizeFormula> smallest = failure();
          for (AffineExpr result : op.getMap().getResults()) {
            FailureOr<SizeFormula> one = evaluate(frame, result, op.getMap().getNumDims(), op.getOperands());
            if (succeeded(one))
              smallest = failed(smallest) ? one : FailureOr<SizeFormula>(min(*smallest, *one));
          }
          return smallest;
        })
        .Default([](Operation *) { return failure(); });
  }

  template <typename OpTy, typename Function> FailureOr<SizeFormula> combine(Frame &frame, OpTy op, Function function) {
    FailureOr<SizeFormula> a = evaluate(frame, op.getLhs()), b = evaluate(frame, op.getRhs());
    if (failed(a) || failed(b))
      return failure();
    return function(*a, *b);
  }

  FailureOr<SizeFormula> evaluate(Frame &frame, AffineExpr expr, unsigned numDims, ValueRange operands) {
    if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      return SizeFormula(constant.getValue());
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      return evaluate(frame, operands[dim.getPosition()]);
    if (auto symbol = dyn_cast<AffineSymbolExpr>(expr))
      return evaluate(frame, operands[numDims + symbol.getPosition()]);
    auto binary = cast<AffineBinaryOpExpr>(expr);
    FailureOr<SizeFormula> a = evaluate(frame, binary.getLHS(), numDims, operands);
    FailureOr<SizeFormula> b = evaluate(frame, binary.getRHS(), numDims, operands);
    if (failed(a) || failed(b))
      return failure();
    switch (expr.getKind()) {
    case AffineExprKind::Add:
      // x + y * -c, the affine form of a difference.
      if (auto constant = b->getConstant(); constant && *constant < 0)
        return *a - SizeFormula(-*constant);
      return *a + *b;
    case AffineExprKind::Mul:
      return *a * *b;
    case AffineExprKind::FloorDiv:
      return floorDiv(*a, *b);
    case AffineExprKind::CeilDiv:
      return ceilDiv(*a, *b);
    case AffineExprKind::Mod:
      return *a - floorDiv(*a, *b) * *b;
    default:
      return failure();
    }
  }

  /// The position of a dynamic dim among all dynamic dims of the entry's arguments.
  static unsigned getDynamicDimIndex(func::FuncOp function, unsigned argument, int64_t dim) {
    unsigned index = 0;
    for (unsigned i = 0; i <= argument; ++i)
      if (auto type = dyn_cast<MemRefType>(function.getArgument(i).getType()))
        for (int64_t d = 0; d < type.getRank(); ++d) {
          if (i == argument && d == dim)
            return index;
          index += type.isDynamicDim(d);
        }
    return index;
  }

  MemoryPlanAnalysis &analysis;
  ModuleOp module;
  EntryPlan &plan;
  std::vector<int64_t> allocated; ///< per slot: when its memref.alloc was passed
  int64_t now = 0;
};

} // namespace

FailureOr<EntryPlan> MemoryPlanAnalysis::plan(func::FuncOp entry) {
  EntryPlan plan;
  if (failed(LifetimeWalk(*this, module, plan).walkEntry(entry)))
    return failure();
  return plan;
}

} // namespace bpt
