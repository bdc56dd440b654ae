// Who a thread is, and how threads of a block meet.
#include "KernelBuilder.h"

using namespace mlir;

namespace bpt::hopper {

Value KernelBuilder::getThread() {
  return atEntry("thread", [&]() -> Value { return NVVM::ThreadIdXOp::create(*this, getI32Type()); });
}

Value KernelBuilder::getLane() {
  Value thread = getThread(), mask = i32(warpThreads - 1);
  return atEntry("lane", [&]() -> Value { return arith::AndIOp::create(*this, thread, mask); });
}

Value KernelBuilder::getWarp() {
  Value thread = getThread(), bits = i32(5), all = i32(-1), first = i32(0), clamp = i32(31);
  return atEntry("warp", [&]() -> Value {
    Value warp = arith::ShRUIOp::create(*this, thread, bits);
    return NVVM::ShflOp::create(*this, getI32Type(), all, warp, first, clamp, NVVM::ShflKind::idx, UnitAttr());
  });
}

Value KernelBuilder::getElected() {
  return atEntry("elected", [&]() -> Value { return NVVM::ElectSyncOp::create(*this, getI1Type(), Value()); });
}

Value KernelBuilder::getBlock(Dim dim) {
  Type type = getI32Type();
  switch (dim) {
  case Dim::X:
    return atEntry("block.x", [&]() -> Value { return NVVM::BlockIdXOp::create(*this, type); });
  case Dim::Y:
    return atEntry("block.y", [&]() -> Value { return NVVM::BlockIdYOp::create(*this, type); });
  case Dim::Z:
    return atEntry("block.z", [&]() -> Value { return NVVM::BlockIdZOp::create(*this, type); });
  }
  llvm_unreachable("all dims are handled");
}

Value KernelBuilder::getGridSize(Dim dim) {
  Type type = getI32Type();
  switch (dim) {
  case Dim::X:
    return atEntry("grid.x", [&]() -> Value { return NVVM::GridDimXOp::create(*this, type); });
  case Dim::Y:
    return atEntry("grid.y", [&]() -> Value { return NVVM::GridDimYOp::create(*this, type); });
  case Dim::Z:
    return atEntry("grid.z", [&]() -> Value { return NVVM::GridDimZOp::create(*this, type); });
  }
  llvm_unreachable("all dims are handled");
}

Value KernelBuilder::shuffleXor(Value value, int64_t mask) {
  return NVVM::ShflOp::create(*this, value.getType(), i32(-1), value, i32(mask), i32(31), NVVM::ShflKind::bfly,
                              UnitAttr());
}

Value KernelBuilder::shuffleFrom(Value value, Value lane) {
  return NVVM::ShflOp::create(*this, value.getType(), i32(-1), value, lane, i32(31), NVVM::ShflKind::idx, UnitAttr());
}

Value KernelBuilder::reduceQuad(Value value, function_ref<Value(Value, Value)> combine) {
  for (int64_t mask : {1, 2})
    value = combine(value, shuffleXor(value, mask));
  return value;
}

Value KernelBuilder::setUpBlock(function_ref<void()> setUp) {
  Value isFirst = bitAnd(equal(getWarp(), 0), getElected());
  ifThen(isFirst, setUp);
  synchronizeBlock();
  return isFirst;
}

void KernelBuilder::splitRoles(const WarpRoles &roles, Value isFirst, function_ref<void()> produce,
                               function_ref<void()> consume) {
  auto setRegisters = [&](int64_t registers, NVVM::SetMaxRegisterAction action) {
    NVVM::SetMaxRegisterOp::create(*this, static_cast<uint32_t>(registers), action);
  };
  ifThen(
      equal(getWarpGroup(), 0),
      [&] {
        setRegisters(roles.producerRegisters, NVVM::SetMaxRegisterAction::decrease);
        ifThen(isFirst, produce);
      },
      [&] {
        setRegisters(roles.consumerRegisters, NVVM::SetMaxRegisterAction::increase);
        consume();
      });
}

void KernelBuilder::synchronizeBlock() { NVVM::Barrier0Op::create(*this); }

void KernelBuilder::synchronize(Value id, int64_t threads) {
  NVVM::BarrierOp::create(*this, Type(), id, i32(threads), NVVM::BarrierReductionAttr(), Value());
}

void KernelBuilder::arrive(Value id, int64_t threads) { NVVM::BarrierArriveOp::create(*this, id, i32(threads)); }

} // namespace bpt::hopper
