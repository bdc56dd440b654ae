// bpt-distribute-lanes: code on vectors of 32 elements becomes the code of one lane of a warp.
#include "WarpOrder.h"
#include "bpt/Analysis/TargetInfo.h"
#include "bpt/Conversion/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/TypeSwitch.h"

namespace bpt {
#define GEN_PASS_DEF_DISTRIBUTELANESPASS
#include "bpt/Conversion/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

constexpr int64_t lanes = TargetInfo::warpLanes;

/// What a lane has of a vector: its element. Lanes beyond the end of a shorter vector have something.
Type getLaneType(Type type) {
  auto vector = dyn_cast<VectorType>(type);
  return vector ? vector.getElementType() : type;
}

/// Rewrites one function. Ops are visited from definitions to uses: operands are a lane's values already.
class LaneRewriter {
public:
  explicit LaneRewriter(func::FuncOp function) : function(function) {}

  LogicalResult run() {
    SmallVector<Operation *> ops;
    function.walk<WalkOrder::PreOrder>([&](Operation *op) {
      ops.push_back(op);
      if (auto shuffle = dyn_cast<vector::ShuffleOp>(op))
        firstLanes[op] = shuffle.getV1VectorType().getDimSize(0);
      return WalkResult::advance();
    });
    for (Operation *op : ops)
      if (failed(rewrite(op)))
        return failure();
    return success();
  }

private:
  LogicalResult rewrite(Operation *op) {
    if (failed(checkTypes(op)))
      return failure();
    builder.setLoc(op->getLoc());
    builder.setInsertionPoint(op);
    return TypeSwitch<Operation *, LogicalResult>(op)
        .Case([&](vector::LoadOp load) { return replace(op, loadLane(load.getBase(), load.getIndices())); })
        .Case([&](vector::StoreOp store) {
          return drop(op, [&] { storeLane(store.getValueToStore(), store.getBase(), store.getIndices()); });
        })
        .Case([&](vector::MaskedLoadOp load) {
          return replace(op, choose(load.getMask(), [&] { return loadLane(load.getBase(), load.getIndices()); },
                                    load.getPassThru()));
        })
        .Case([&](vector::MaskedStoreOp store) {
          return drop(op, [&] {
            ifThen(store.getMask(),
                   [&] { storeLane(store.getValueToStore(), store.getBase(), store.getIndices()); });
          });
        })
        .Case([&](memref::StoreOp store) {
          // Every lane has the value; one writes it.
          return drop(op, [&] {
            ifThen(is(0), [&] {
              memref::StoreOp::create(builder, store.getValueToStore(), store.getMemref(), store.getIndices());
            });
          });
        })
        .Case([&](memref::PrefetchOp) { return drop(op, [] {}); })
        .Case([&](vector::BroadcastOp broadcast) { return replace(op, broadcast.getSource()); })
        .Case([&](vector::FMAOp fma) {
          return replace(op, math::FmaOp::create(builder, fma.getLhs(), fma.getRhs(), fma.getAcc()));
        })
        .Case([&](vector::StepOp) { return replace(op, getLaneIndex()); })
        .Case([&](vector::CreateMaskOp mask) {
          return replace(op, arith::CmpIOp::create(builder, arith::CmpIPredicate::slt, getLaneIndex(),
                                                   mask.getOperand(0)));
        })
        .Case([&](vector::ConstantMaskOp mask) {
          Value size = arith::ConstantIndexOp::create(builder, mask.getMaskDimSizes()[0]);
          return replace(op, arith::CmpIOp::create(builder, arith::CmpIPredicate::slt, getLaneIndex(), size));
        })
        .Case([&](vector::ExtractOp extract) {
          if (extract.getStaticPosition().size() != 1 || extract.hasDynamicPosition())
            return unsupported(op);
          return replace(op, fromLane(extract.getSource(), constant(extract.getStaticPosition()[0])));
        })
        .Case([&](vector::ExtractStridedSliceOp slice) {
          int64_t offset = cast<IntegerAttr>(slice.getOffsets()[0]).getInt();
          if (!offset)
            return replace(op, slice.getSource());
          Value source = arith::AddIOp::create(builder, getLane(), constant(offset));
          return replace(op, fromLane(slice.getSource(), source));
        })
        .Case([&](vector::ShuffleOp shuffle) { return replace(op, this->shuffle(shuffle)); })
        .Case([&](vector::ReductionOp reduction) { return rewriteReduction(reduction); })
        .Case([&](arith::ConstantOp constant) { return rewriteConstant(constant); })
        .Default([&](Operation *other) {
          if (isa<vector::VectorDialect>(other->getDialect()))
            return unsupported(other);
          retype(other);
          return success();
        });
  }

  LogicalResult checkTypes(Operation *op) {
    for (Type type : op->getResultTypes())
      if (auto vector = dyn_cast<VectorType>(type); vector && (vector.getRank() != 1 || vector.getDimSize(0) > lanes))
        return op->emitOpError("expected vectors of at most ") << lanes << " elements, but got " << type;
    return success();
  }

  static LogicalResult unsupported(Operation *op) {
    return op->emitOpError("expected an op whose lanes are known to bpt-distribute-lanes");
  }

  LogicalResult replace(Operation *op, Value value) {
    op->getResult(0).replaceAllUsesWith(value);
    op->erase();
    return success();
  }
  LogicalResult drop(Operation *op, function_ref<void()> emit) {
    emit();
    op->erase();
    return success();
  }

  static void retype(Operation *op) {
    for (Value result : op->getResults())
      result.setType(getLaneType(result.getType()));
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (BlockArgument argument : block.getArguments())
          argument.setType(getLaneType(argument.getType()));
    if (auto callee = dyn_cast<func::FuncOp>(op)) {
      auto convert = [](ArrayRef<Type> types) { return llvm::to_vector(llvm::map_range(types, getLaneType)); };
      FunctionType type = callee.getFunctionType();
      callee.setFunctionType(FunctionType::get(op->getContext(), convert(type.getInputs()), convert(type.getResults())));
    }
  }

  //===--- lanes --------------------------------------------------------------------------------------------------===//

  /// The number of this lane, i32; read once at the begin of the function.
  Value getLane() {
    if (!lane) {
      OpBuilder::InsertionGuard guard(builder);
      builder.setInsertionPointToStart(&function.getBody().front());
      lane = NVVM::LaneIdOp::create(builder, builder.getI32Type(), LLVM::ConstantRangeAttr());
      laneIndex = arith::IndexCastUIOp::create(builder, builder.getIndexType(), lane);
    }
    return lane;
  }
  Value getLaneIndex() { return (void)getLane(), laneIndex; }
  Value constant(int64_t value) { return arith::ConstantIntOp::create(builder, value, 32); }
  Value is(int64_t number) {
    return arith::CmpIOp::create(builder, arith::CmpIPredicate::eq, getLane(), constant(number));
  }

  SmallVector<Value> atLane(ValueRange indices) {
    SmallVector<Value> result(indices);
    result.back() = arith::AddIOp::create(builder, result.back(), getLaneIndex());
    return result;
  }
  Value loadLane(Value memref, ValueRange indices) { return memref::LoadOp::create(builder, memref, atLane(indices)); }
  void storeLane(Value value, Value memref, ValueRange indices) {
    memref::StoreOp::create(builder, value, memref, atLane(indices));
  }

  void ifThen(Value condition, function_ref<void()> then) {
    auto op = scf::IfOp::create(builder, condition, /*withElse=*/false);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPoint(op.thenYield());
    then();
  }
  Value choose(Value condition, function_ref<Value()> then, Value otherwise) {
    auto op = scf::IfOp::create(builder, TypeRange{otherwise.getType()}, condition, /*withElse=*/true);
    OpBuilder::InsertionGuard guard(builder);
    builder.setInsertionPointToStart(op.thenBlock());
    scf::YieldOp::create(builder, then());
    builder.setInsertionPointToStart(op.elseBlock());
    scf::YieldOp::create(builder, otherwise);
    return op.getResult(0);
  }

  //===--- values from other lanes --------------------------------------------------------------------------------===//

  /// The value that lane `source` (i32, modulo 32) has.
  Value fromLane(Value value, Value source) { return exchange(value, source, NVVM::ShflKind::idx); }

  Value exchange(Value value, Value source, NVVM::ShflKind kind) {
    Type type = value.getType(), i32 = builder.getI32Type(), i64 = builder.getI64Type();
    if (type.isInteger(32) || type.isF32())
      return NVVM::ShflOp::create(builder, type, constant(-1), value, source, constant(lanes - 1), kind, UnitAttr());
    if (type.isIndex())
      return arith::IndexCastOp::create(builder, type,
                                        exchange(arith::IndexCastOp::create(builder, i64, value), source, kind));
    unsigned bits = type.getIntOrFloatBitWidth();
    if (isa<FloatType>(type)) {
      Type integer = builder.getIntegerType(bits);
      return arith::BitcastOp::create(builder, type,
                                      exchange(arith::BitcastOp::create(builder, integer, value), source, kind));
    }
    if (bits < 32)
      return arith::TruncIOp::create(builder, type, exchange(arith::ExtUIOp::create(builder, i32, value), source, kind));
    // Two halves of 64 bits.
    Value shift = arith::ConstantIntOp::create(builder, 32, 64);
    Value low = exchange(arith::TruncIOp::create(builder, i32, value), source, kind);
    Value high = arith::ShRUIOp::create(builder, value, shift);
    high = exchange(arith::TruncIOp::create(builder, i32, high), source, kind);
    high = arith::ShLIOp::create(builder, arith::ExtUIOp::create(builder, i64, high), shift);
    return arith::OrIOp::create(builder, high, arith::ExtUIOp::create(builder, i64, low));
  }

  /// A number for each lane, found from the bits of the lane's own number: bit b of the result is bit `lane` of a word.
  Value perLane(ArrayRef<int64_t> numbers) {
    Value result = constant(0);
    for (int bit = 0; bit < 6; ++bit) {
      uint32_t word = 0;
      for (auto [i, number] : llvm::enumerate(numbers))
        word |= static_cast<uint32_t>(number >> bit & 1) << i;
      if (!word)
        continue;
      Value here = arith::ShRUIOp::create(builder, constant(static_cast<int32_t>(word)), getLane());
      here = arith::AndIOp::create(builder, here, constant(1));
      result = arith::OrIOp::create(builder, result, arith::ShLIOp::create(builder, here, constant(bit)));
    }
    return result;
  }

  Value shuffle(vector::ShuffleOp op) {
    int64_t first = firstLanes.lookup(op);
    SmallVector<int64_t> source, second;
    for (int64_t i : op.getMask()) {
      source.push_back(std::max<int64_t>(i < first ? i : i - first, 0)); // -1: anything
      second.push_back(i >= first);
    }
    Value from = perLane(source);
    Value a = fromLane(op.getV1(), from);
    if (!llvm::is_contained(second, 1))
      return a;
    Value isSecond = arith::CmpIOp::create(builder, arith::CmpIPredicate::ne, perLane(second), constant(0));
    return arith::SelectOp::create(builder, isSecond, fromLane(op.getV2(), from), a);
  }

  LogicalResult rewriteReduction(vector::ReductionOp op) {
    Value value = op.getVector();
    bool isAnd = op.getKind() == vector::CombiningKind::AND;
    if (!value.getType().isInteger(1) || (!isAnd && op.getKind() != vector::CombiningKind::OR) || op.getAcc())
      return op.emitOpError("expected lanes of i1 that are combined by and or or");
    auto kind = isAnd ? NVVM::VoteSyncKind::all : NVVM::VoteSyncKind::any;
    return replace(op, NVVM::VoteSyncOp::create(builder, builder.getI1Type(), constant(-1), value, kind));
  }

  //===--- constants ----------------------------------------------------------------------------------------------===//

  LogicalResult rewriteConstant(arith::ConstantOp op) {
    auto dense = dyn_cast<DenseElementsAttr>(op.getValue());
    if (!dense || !isa<VectorType>(op.getType()))
      return success();
    SmallVector<Value> values;
    if (dense.isSplat())
      values.push_back(arith::ConstantOp::create(builder, cast<TypedAttr>(dense.getSplatValue<Attribute>())));
    else
      for (Attribute value : dense.getValues<Attribute>())
        values.push_back(arith::ConstantOp::create(builder, cast<TypedAttr>(value)));
    // One of a pair by the lowest bit of the lane's number, one of the pairs by the next, ..
    for (int64_t bit = 0; values.size() > 1; ++bit) {
      Value isSet = arith::AndIOp::create(builder, getLane(), constant(1 << bit));
      isSet = arith::CmpIOp::create(builder, arith::CmpIPredicate::ne, isSet, constant(0));
      SmallVector<Value> next;
      for (size_t i = 0; i < values.size(); i += 2)
        next.push_back(i + 1 == values.size() ? values[i]
                                              : arith::SelectOp::create(builder, isSet, values[i + 1], values[i]));
      values = std::move(next);
    }
    return replace(op, values.front());
  }

  func::FuncOp function;
  ImplicitLocOpBuilder builder{function.getLoc(), function.getContext()};
  Value lane, laneIndex;
  llvm::DenseMap<Operation *, int64_t> firstLanes;
};

class DistributeLanes : public impl::DistributeLanesPassBase<DistributeLanes> {
  using Base::Base;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (failed(LaneRewriter(function).run()))
        return signalPassFailure();
      orderWarpAccesses(function);
    }
  }
};

} // namespace
} // namespace bpt
