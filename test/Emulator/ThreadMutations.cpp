// Mistakes in what threads do together, in masks and in loops.
#include "MutationSites.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/IR/InstIterator.h"

using namespace llvm;

namespace bpt::test {

static bool isNone(Value *value) {
  auto *constant = dyn_cast<ConstantFP>(value);
  return constant && constant->isInfinity() && constant->isNegative();
}

/// The comparisons that decide `condition`.
static void collectComparisons(Value *condition, SetVector<ICmpInst *> &comparisons) {
  if (auto *comparison = dyn_cast<ICmpInst>(condition))
    comparisons.insert(comparison);
  else if (auto *logic = dyn_cast<BinaryOperator>(condition))
    for (Value *operand : logic->operands())
      collectComparisons(operand, comparisons);
}

/// Masks are selects of -inf. Their comparisons become strict where they were not and the other way round, all of one
/// predicate at a time: the mistake of a source that says `<` for `<=`.
static void listMasks(MutationSites &sites) {
  SetVector<ICmpInst *> comparisons;
  SetVector<BasicBlock *> masking;
  for (Instruction &instruction : instructions(sites.kernel))
    if (auto *select = dyn_cast<SelectInst>(&instruction); select && isNone(select->getFalseValue())) {
      collectComparisons(select->getCondition(), comparisons);
      masking.insert(select->getParent());
    }
  SetVector<CmpInst::Predicate> predicates;
  for (ICmpInst *comparison : comparisons)
    if (comparison->isRelational())
      predicates.insert(comparison->getPredicate());
  for (CmpInst::Predicate predicate : predicates)
    sites.mutations.push_back({"edge of the mask off by one", CmpInst::getPredicateName(predicate).str(), [=] {
                                 for (ICmpInst *comparison : comparisons)
                                   if (comparison->getPredicate() == predicate)
                                     comparison->setPredicate(CmpInst::getFlippedStrictnessPredicate(predicate));
                               }});
  // A block that is entered only for tiles at an edge.
  for (auto [i, block] : llvm::enumerate(masking)) {
    BasicBlock *before = block->getSinglePredecessor();
    auto *branch = before ? dyn_cast<BranchInst>(before->getTerminator()) : nullptr;
    if (branch && branch->isConditional())
      sites.mutations.push_back({"a tile at the edge is not masked", "#" + std::to_string(i), [branch, block = block] {
                                   branch->setCondition(
                                       ConstantInt::getBool(branch->getContext(), branch->getSuccessor(0) != block));
                                 }});
  }
}

/// Loops `for (i = ..; i < bound; i += step)` run once less.
static void listLoops(MutationSites &sites) {
  size_t number = 0;
  for (BasicBlock &block : sites.kernel) {
    auto *branch = dyn_cast<BranchInst>(block.getTerminator());
    auto *comparison = branch && branch->isConditional() ? dyn_cast<ICmpInst>(branch->getCondition()) : nullptr;
    auto *counter = comparison ? dyn_cast<PHINode>(comparison->getOperand(0)) : nullptr;
    if (!counter || counter->getParent() != &block)
      continue;
    for (Value *next : counter->incoming_values())
      if (auto *sum = dyn_cast<BinaryOperator>(next);
          sum && sum->getOpcode() == Instruction::Add && sum->getOperand(0) == counter)
        sites.mutations.push_back(
            {"a loop ends one turn early", "#" + std::to_string(number++), [comparison, step = sum->getOperand(1)] {
               IRBuilder<> builder(comparison);
               Value *bound = comparison->getOperand(1);
               comparison->setOperand(1, builder.CreateSub(bound, builder.CreateSExtOrTrunc(step, bound->getType())));
             }});
  }
}

void listThreadMutations(MutationSites &sites) {
  std::vector<CallInst *> meetings = sites.intrinsics("barrier.cta.sync.aligned.count"),
                          arrivals = sites.inlinePTX("bar.arrive");
  sites.add("drop a named barrier", meetings, dropCall);
  sites.add<CallInst>("meet at the next named barrier", meetings, [](CallInst *call) { addToOperand(call, 0, 1); });
  sites.add<CallInst>("named barrier of a warp more", meetings, [](CallInst *call) { addToOperand(call, 1, 32); });
  sites.add("drop an arrival at a named barrier", arrivals, dropCall);
  sites.add<CallInst>("arrive at the next named barrier", arrivals, [](CallInst *call) { addToOperand(call, 0, 1); });
  sites.add<CallInst>("arrive at a named barrier of fewer threads", arrivals,
                      [](CallInst *call) { addToOperand(call, 1, -128); });
  sites.add("drop a barrier of the block", sites.intrinsics("barrier.cta.sync.aligned.all"), dropCall);
  sites.add("drop a barrier of the warp", sites.intrinsics("bar.warp.sync"), dropCall);
  sites.add<CallInst>("shuffle from another lane", sites.intrinsics("shfl.sync.bfly"), [](CallInst *call) {
    IRBuilder<> builder(call);
    call->setArgOperand(2, builder.CreateXor(call->getArgOperand(2), 4));
  });
  sites.add<CallInst>("store a fragment 16 bytes further", sites.intrinsics("stmatrix"),
                      [](CallInst *call) { advanceOperand(call, 0, 16); });
  sites.add<CallInst>("ask for more registers than there are", sites.intrinsics("setmaxnreg.inc"), [](CallInst *call) {
    call->setArgOperand(0, ConstantInt::get(call->getArgOperand(0)->getType(), 248));
  });
  std::vector<AtomicRMWInst *> sums;
  for (Instruction &instruction : instructions(sites.kernel))
    if (auto *sum = dyn_cast<AtomicRMWInst>(&instruction))
      sums.push_back(sum);
  sites.add<AtomicRMWInst>("drop an atomic sum", sums, [](AtomicRMWInst *sum) {
    sum->replaceAllUsesWith(Constant::getNullValue(sum->getType()));
    sum->eraseFromParent();
  });
  listMasks(sites);
  listLoops(sites);
}

} // namespace bpt::test
