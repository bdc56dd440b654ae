// Uses of accumulator registers.
#include "Accumulators.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"

using namespace llvm;

namespace bpt {

enum class AsmKind { Other, Product, Wait, Fence };

static AsmKind kindOf(const Value *value) {
  auto *call = dyn_cast<CallInst>(value);
  if (!call || !call->isInlineAsm())
    return AsmKind::Other;
  StringRef text = cast<InlineAsm>(call->getCalledOperand())->getAsmString();
  return text.contains("wgmma.mma_async")    ? AsmKind::Product
         : text.contains("wgmma.wait_group") ? AsmKind::Wait
         : text.contains("wgmma.fence")      ? AsmKind::Fence
                                             : AsmKind::Other;
}

/// Instructions that hand a value on without looking at it.
static bool onlyMoves(const Use &use) {
  auto *user = cast<Instruction>(use.getUser());
  if (isa<ExtractValueInst, InsertValueInst, FreezeInst, PHINode, BitCastInst, ShuffleVectorInst>(user))
    return true;
  if (isa<SelectInst>(user))
    return use.getOperandNo() != 0;
  if (isa<InsertElementInst>(user))
    return use.getOperandNo() < 2;
  return isa<ExtractElementInst>(user) && use.getOperandNo() == 0;
}

/// The uses as a number that `value` reaches; through phis only if `throughPhis`. Fences hand on what is tied through
/// them.
static void collectUses(Value *value, bool throughPhis, bool startsAtPhi, SmallSetVector<Use *, 16> &uses) {
  SmallSetVector<Value *, 32> reached;
  SmallVector<std::pair<Value *, bool>> work{{value, startsAtPhi}};
  reached.insert(value);
  while (!work.empty()) {
    auto [current, pastPhi] = work.pop_back_val();
    for (Use &use : current->uses()) {
      if (onlyMoves(use)) {
        bool phi = isa<PHINode>(use.getUser());
        if ((!phi || throughPhis) && reached.insert(use.getUser()))
          work.emplace_back(use.getUser(), pastPhi || phi);
        continue;
      }
      AsmKind kind = kindOf(use.getUser());
      if (kind == AsmKind::Fence && throughPhis && reached.insert(use.getUser()))
        work.emplace_back(use.getUser(), true);
      if (kind == AsmKind::Other && (pastPhi || !throughPhis))
        uses.insert(&use);
    }
  }
}

/// In front of the use, the runtime looks at the number.
static void check(RuntimeCalls &calls, Use *use) {
  auto *user = cast<Instruction>(use->getUser());
  Value *value = use->get();
  IRBuilder<> builder(user);
  Type *type = value->getType(), *single = builder.getFloatTy();
  auto one = [&](Value *scalar) {
    return calls.call(builder, "bpt_emulated_accumulator", {scalar, calls.location(*user, user->getOpcodeName())});
  };
  if (type == single) {
    use->set(one(value));
  } else if (auto *vector = dyn_cast<FixedVectorType>(type); vector && vector->getElementType() == single) {
    for (unsigned i = 0; i < vector->getNumElements(); ++i)
      value = builder.CreateInsertElement(value, one(builder.CreateExtractElement(value, i)), i);
    use->set(value);
  }
}

DenseMap<const CallInst *, std::string> checkAccumulatorUses(RuntimeCalls &calls) {
  DenseMap<const CallInst *, std::string> usedRegisters;
  SmallSetVector<Use *, 16> checked;
  for (Function &function : calls.module)
    for (Instruction &instruction : instructions(function)) {
      AsmKind kind = kindOf(&instruction);
      if (kind == AsmKind::Product)
        collectUses(&instruction, /*throughPhis=*/true, /*startsAtPhi=*/true, checked);
      if (kind != AsmKind::Wait)
        continue;
      auto *call = cast<CallInst>(&instruction);
      bool all = cast<InlineAsm>(call->getCalledOperand())->getAsmString().contains("aligned 0");
      if (!all)
        collectUses(call, /*throughPhis=*/true, /*startsAtPhi=*/false, checked);
      // One byte for each f32 result.
      std::string &used = usedRegisters[call];
      auto *structure = dyn_cast<StructType>(call->getType());
      unsigned count = structure ? structure->getNumElements() : call->getType()->isFloatTy();
      std::vector<bool> direct(count, all);
      for (User *user : call->users())
        if (auto *extract = dyn_cast<ExtractValueInst>(user); extract && !all && extract->getNumIndices() == 1) {
          SmallSetVector<Use *, 16> uses;
          collectUses(extract, /*throughPhis=*/false, false, uses);
          if (!uses.empty())
            direct[extract->getIndices()[0]] = true;
        }
      for (unsigned i = 0; i < count; ++i)
        if (!structure || structure->getElementType(i)->isFloatTy())
          used += direct[i] ? 1 : 0;
    }
  for (Use *use : checked)
    check(calls, use);
  return usedRegisters;
}

static bool isFence(const Instruction &instruction) {
  auto *call = dyn_cast<CallInst>(&instruction);
  return kindOf(&instruction) == AsmKind::Fence ||
         (call && call->getCalledFunction() &&
          call->getCalledFunction()->getName() == "llvm.nvvm.wgmma.fence.sync.aligned");
}

void checkFences(RuntimeCalls &calls) {
  SmallVector<CallInst *> unfenced;
  for (Function &function : calls.module)
    for (BasicBlock &block : function) {
      // Values computed since the last fence, or since the block's beginning.
      SmallPtrSet<const Value *, 32> written;
      for (Instruction &instruction : block) {
        if (isFence(instruction)) {
          written.clear();
        } else if (kindOf(&instruction) == AsmKind::Product) {
          auto *call = cast<CallInst>(&instruction);
          // Registers are f32 accumulators and, if there are as many, the four words of A; other words are predicates.
          bool fragment = count_if(call->args(), [](Value *value) { return value->getType()->isIntegerTy(32); }) >= 4;
          if (any_of(call->args(), [&](Value *value) {
                Type *type = value->getType();
                return (type->isFloatTy() || (fragment && type->isIntegerTy(32))) && written.contains(value);
              }))
            unfenced.push_back(call);
        } else if (auto *extract = dyn_cast<ExtractValueInst>(&instruction);
                   !isa<PHINode>(instruction) &&
                   (!extract || kindOf(extract->getAggregateOperand()) == AsmKind::Other)) {
          written.insert(&instruction);
        }
      }
    }
  for (CallInst *call : unfenced) {
    IRBuilder<> builder(call);
    calls.call(builder, "bpt_emulated_wgmma_unfence", {calls.location(*call, "wgmma operands")});
  }
}

} // namespace bpt
