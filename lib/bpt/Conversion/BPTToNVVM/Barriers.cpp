// mbarriers and rings.
#include "Barriers.h"

using namespace mlir;

namespace bpt::hopper {

/// Suspended waits look again after this many nanoseconds at most.
static constexpr int64_t waitTicks = 10000000;

int64_t BarrierTable::take(int64_t count, int64_t arrivalsOfEach) {
  int64_t first = getCount();
  arrivals.append(count, arrivalsOfEach);
  return first;
}

void BarrierTable::emitInit() {
  for (auto [number, count] : llvm::enumerate(arrivals))
    NVVM::MBarrierInitOp::create(e, get(number), e.i32(count), Value());
  NVVM::FenceMbarrierInitOp::create(e);
}

Value BarrierTable::get(int64_t number, Value index) { return e.getElement(get(number), index, e.getI64Type()); }

void BarrierTable::wait(Value barrier, Value parity) {
  NVVM::MBarrierTryWaitParityOp::create(e, barrier, parity, e.i32(waitTicks));
}

void BarrierTable::arrive(Value barrier) {
  NVVM::MBarrierArriveOp::create(e, Type(), barrier, Value(), NVVM::MemScopeKind::CTA, /*relaxed=*/false);
}

void BarrierTable::arriveExpecting(Value barrier, int64_t bytes) {
  NVVM::MBarrierArriveExpectTxOp::create(e, Type(), barrier, e.i32(bytes), NVVM::MemScopeKind::CTA, /*relaxed=*/false,
                                         Value());
}

RingSlot Ring::getSlot(Value counter) { return {e.rem(counter, stages), e.bitAnd(e.div(counter, stages), 1)}; }

void Ring::release(const RingSlot &slot) {
  e.ifThen(e.getElected(), [&] { barriers.arrive(barriers.get(empty, slot.stage)); });
}

} // namespace bpt::hopper
