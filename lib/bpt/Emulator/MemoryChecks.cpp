// Checks in front of loads, stores and atomics.
#include "MemoryChecks.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"

using namespace llvm;

namespace bpt {

/// NVPTX address spaces whose memory no other thread writes: constant 4, local 5, kernel parameters 101.
static bool isPrivate(const Value *pointer) {
  unsigned space = pointer->getType()->getPointerAddressSpace();
  if (space == 4 || space == 5 || space == 101)
    return true;
  const Value *object = getUnderlyingObject(pointer, /*MaxLookup=*/12);
  if (isa<AllocaInst>(object))
    return true;
  if (auto *argument = dyn_cast<Argument>(object))
    return argument->hasByValAttr();
  auto *global = dyn_cast<GlobalVariable>(object);
  return global && global->isConstant();
}

void checkMemoryAccesses(RuntimeCalls &calls) {
  const DataLayout &layout = calls.module.getDataLayout();
  SmallVector<Instruction *> accesses;
  for (Function &function : calls.module)
    for (Instruction &instruction : instructions(function))
      if (isa<LoadInst, StoreInst, AtomicRMWInst, AtomicCmpXchgInst, MemIntrinsic>(instruction))
        accesses.push_back(&instruction);
  for (Instruction *instruction : accesses) {
    IRBuilder<> builder(instruction);
    auto check = [&](StringRef function, Value *pointer, Value *bytes, Align alignment) {
      if (isPrivate(pointer))
        return;
      unsigned space = pointer->getType()->getPointerAddressSpace();
      uint32_t packed = (space == 7 ? 3 : space) + 256 * uint32_t(std::min<uint64_t>(alignment.value(), 4096));
      calls.call(
          builder, function,
          {pointer, bytes, builder.getInt32(packed), calls.location(*instruction, instruction->getOpcodeName())});
    };
    auto size = [&](Type *type) { return builder.getInt64(layout.getTypeStoreSize(type)); };
    if (auto *load = dyn_cast<LoadInst>(instruction)) {
      check("bpt_emulated_read", load->getPointerOperand(), size(load->getType()), load->getAlign());
    } else if (auto *store = dyn_cast<StoreInst>(instruction)) {
      check("bpt_emulated_write", store->getPointerOperand(), size(store->getValueOperand()->getType()),
            store->getAlign());
    } else if (auto *atomic = dyn_cast<AtomicRMWInst>(instruction)) {
      check("bpt_emulated_atomic", atomic->getPointerOperand(), size(atomic->getType()), atomic->getAlign());
    } else if (auto *exchange = dyn_cast<AtomicCmpXchgInst>(instruction)) {
      check("bpt_emulated_atomic", exchange->getPointerOperand(), size(exchange->getCompareOperand()->getType()),
            exchange->getAlign());
    } else if (auto *memory = dyn_cast<MemIntrinsic>(instruction)) {
      if (auto *transfer = dyn_cast<MemTransferInst>(memory))
        check("bpt_emulated_read", transfer->getRawSource(), memory->getLength(),
              transfer->getSourceAlign().valueOrOne());
      check("bpt_emulated_write", memory->getRawDest(), memory->getLength(), memory->getDestAlign().valueOrOne());
    }
  }
}

} // namespace bpt
