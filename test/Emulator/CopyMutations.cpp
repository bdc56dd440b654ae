// Mistakes around mbarriers and bulk copies.
#include "MutationSites.h"
#include "llvm/IR/Dominators.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

using namespace llvm;

namespace bpt::test {

/// `value` as it can be had at `before`: what does not dominate it is computed again. Null where it cannot.
static Value *recompute(Value *value, Instruction *before, DominatorTree &dominators) {
  auto *instruction = dyn_cast<Instruction>(value);
  if (!instruction || dominators.dominates(instruction, before))
    return value;
  if (isa<PHINode, CallBase>(instruction) || instruction->mayReadOrWriteMemory())
    return nullptr;
  Instruction *copy = instruction->clone();
  for (Use &operand : copy->operands()) {
    Value *there = recompute(operand.get(), before, dominators);
    if (!there) {
      copy->deleteValue();
      return nullptr;
    }
    operand.set(there);
  }
  copy->insertBefore(before->getIterator());
  return copy;
}

/// The last of `waits` that every way to `arrive` passes.
static CallInst *getWaitBefore(CallInst *arrive, const std::vector<CallInst *> &waits, DominatorTree &dominators) {
  CallInst *last = nullptr;
  for (CallInst *wait : waits)
    if (dominators.dominates(wait, arrive) && (!last || dominators.dominates(last, wait)))
      last = wait;
  return last;
}

/// The arrival of one elected thread, right behind the wait for what it releases.
static void releaseEarly(CallInst *arrive, CallInst *wait) {
  DominatorTree dominators(*arrive->getFunction());
  auto *branch = cast<BranchInst>(arrive->getParent()->getSinglePredecessor()->getTerminator());
  Instruction *behind = wait->getNextNode();
  Value *barrier = recompute(arrive->getArgOperand(0), behind, dominators);
  if (!barrier)
    return;
  arrive->setArgOperand(0, barrier);
  arrive->moveBefore(SplitBlockAndInsertIfThen(branch->getCondition(), behind->getIterator(), false)->getIterator());
}

static void listReleases(MutationSites &sites, const std::vector<CallInst *> &arrivals,
                         const std::vector<CallInst *> &waits) {
  DominatorTree dominators(sites.kernel);
  for (auto [i, arrive] : llvm::enumerate(arrivals)) {
    BasicBlock *only = arrive->getParent()->getSinglePredecessor();
    auto *branch = only ? dyn_cast<BranchInst>(only->getTerminator()) : nullptr;
    CallInst *wait = getWaitBefore(arrive, waits, dominators);
    if (wait && branch && branch->isConditional())
      sites.mutations.push_back({"release before the work is done", "#" + std::to_string(i),
                                 [arrive = arrive, wait] { releaseEarly(arrive, wait); }});
  }
}

/// The first coordinate that is no constant, or the last.
static void moveBox(CallInst *copy, unsigned first, unsigned count) {
  unsigned operand = first;
  while (operand + 1 < first + count && isa<Constant>(copy->getArgOperand(operand)))
    ++operand;
  addToOperand(copy, operand, 1);
}

/// The rank of a tensor copy: its intrinsic's name ends with "4d".
static unsigned getRank(const CallInst *copy) {
  return unsigned(copy->getCalledFunction()->getName().drop_back().back() - '0');
}

static void listBarriers(MutationSites &sites) {
  std::vector<CallInst *> waits = sites.inlinePTX("mbarrier.try_wait"),
                          arrivals = sites.intrinsics("mbarrier.arrive.shared"),
                          expecting = sites.intrinsics("mbarrier.arrive.expect.tx"),
                          inits = sites.intrinsics("mbarrier.init");
  sites.add("drop the wait for an mbarrier", waits, dropCall);
  sites.add<CallInst>("wait for the other phase of an mbarrier", waits, [](CallInst *wait) {
    IRBuilder<> builder(wait);
    wait->setArgOperand(1, builder.CreateXor(wait->getArgOperand(1), 1));
  });
  sites.add<CallInst>("wait for the next mbarrier", waits, [](CallInst *wait) {
    wait->getArgOperand(0)->getType()->isPointerTy() ? advanceOperand(wait, 0, 8) : addToOperand(wait, 0, 8);
  });
  sites.add("drop an arrival", arrivals, dropCall);
  sites.add<CallInst>("arrive twice", arrivals,
                      [](CallInst *arrive) { arrive->clone()->insertAfter(arrive->getIterator()); });
  sites.add<CallInst>("release the next stage", arrivals, [](CallInst *arrive) { advanceOperand(arrive, 0, 8); });
  listReleases(sites, arrivals, waits);
  sites.add<CallInst>("expect too few bytes", expecting, [](CallInst *arrive) { addToOperand(arrive, 1, -16); });
  sites.add<CallInst>("expect too many bytes", expecting, [](CallInst *arrive) { addToOperand(arrive, 1, 16); });
  sites.add<CallInst>("count an arrival too many", inits, [](CallInst *init) { addToOperand(init, 1, 1); });
  sites.add<CallInst>(
      "count half of the arrivals",
      [&] {
        std::vector<CallInst *> several;
        for (CallInst *init : inits)
          if (auto *count = dyn_cast<ConstantInt>(init->getArgOperand(1)); count && count->getZExtValue() > 1)
            several.push_back(init);
        return several;
      }(),
      [](CallInst *init) {
        auto *count = cast<ConstantInt>(init->getArgOperand(1));
        init->setArgOperand(1, ConstantInt::get(count->getType(), count->getZExtValue() / 2));
      });
}

void listCopyMutations(MutationSites &sites) {
  listBarriers(sites);
  std::vector<CallInst *> loads = sites.intrinsics("cp.async.bulk.tensor.g2s"),
                          stores = sites.intrinsics("cp.async.bulk.tensor.s2g");
  for (CallInst *store : sites.intrinsics("cp.async.bulk.tensor.reduce"))
    stores.push_back(store);
  std::vector<CallInst *> rows = sites.intrinsics("cp.async.bulk.global.to.shared");

  sites.add("drop a load", loads, dropCall);
  sites.add<CallInst>("load into the next stage", loads, [](CallInst *load) { advanceOperand(load, 0, 16384); });
  sites.add<CallInst>("load 128 bytes too far", loads, [](CallInst *load) { advanceOperand(load, 0, 128); });
  sites.add<CallInst>("load completes the next mbarrier", loads, [](CallInst *load) { advanceOperand(load, 1, 8); });
  sites.add<CallInst>("load a box one further", loads, [](CallInst *load) { moveBox(load, 3, getRank(load)); });
  sites.add("drop a bulk copy of rows", rows, dropCall);
  sites.add<CallInst>("bulk copy of 16 bytes less", rows, [](CallInst *copy) { addToOperand(copy, 3, -16); });
  sites.add("drop a store", stores, dropCall);
  sites.add<CallInst>("store from 1024 bytes further", stores, [](CallInst *store) { advanceOperand(store, 0, 1024); });
  sites.add<CallInst>("store a box one further", stores, [](CallInst *store) { moveBox(store, 2, getRank(store)); });
  sites.add("drop the fence between generic writes and copies", sites.intrinsics("fence.proxy"), dropCall);
  sites.add("drop the fence behind the initialisation of mbarriers", sites.intrinsics("fence.mbarrier_init"), dropCall);
  sites.add("drop the commit of stores", sites.intrinsics("cp.async.bulk.commit.group"), dropCall);
  sites.add("drop the wait for stores", sites.intrinsics("cp.async.bulk.wait.group"), dropCall);
}

} // namespace bpt::test
