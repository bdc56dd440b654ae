// Sites of mutations, and changes that several kinds share.
#include "KernelMutations.h"
#include "MutationSites.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include <map>

using namespace llvm;

namespace bpt::test {

std::vector<CallInst *> MutationSites::intrinsics(StringRef prefix) const {
  std::vector<CallInst *> calls;
  for (Instruction &instruction : instructions(kernel))
    if (auto *call = dyn_cast<CallInst>(&instruction))
      if (Function *callee = call->getCalledFunction())
        if (StringRef name = callee->getName(); name.consume_front("llvm.nvvm.") && name.starts_with(prefix))
          calls.push_back(call);
  return calls;
}

std::vector<CallInst *> MutationSites::inlinePTX(StringRef part) const {
  std::vector<CallInst *> calls;
  for (Instruction &instruction : instructions(kernel))
    if (auto *call = dyn_cast<CallInst>(&instruction); call && call->isInlineAsm() && getPTX(call).contains(part))
      calls.push_back(call);
  return calls;
}

void dropCall(CallInst *call) {
  if (call->getType()->isStructTy()) {
    for (User *user : make_early_inc_range(call->users())) {
      auto *element = cast<ExtractValueInst>(user);
      element->replaceAllUsesWith(call->getArgOperand(element->getIndices()[0]));
      element->eraseFromParent();
    }
  } else if (!call->use_empty()) {
    call->replaceAllUsesWith(call->isInlineAsm() ? call->getArgOperand(0) : Constant::getNullValue(call->getType()));
  }
  call->eraseFromParent();
}

void addToOperand(CallInst *call, unsigned operand, int64_t amount) {
  IRBuilder<> builder(call);
  Value *before = call->getArgOperand(operand);
  call->setArgOperand(operand, builder.CreateAdd(before, ConstantInt::getSigned(before->getType(), amount)));
}

void advanceOperand(CallInst *call, unsigned operand, int64_t bytes) {
  IRBuilder<> builder(call);
  call->setArgOperand(operand,
                      builder.CreateGEP(builder.getInt8Ty(), call->getArgOperand(operand), builder.getInt64(bytes)));
}

StringRef getPTX(const CallInst *call) { return cast<InlineAsm>(call->getCalledOperand())->getAsmString(); }

void setPTX(CallInst *call, const std::string &text) {
  auto *before = cast<InlineAsm>(call->getCalledOperand());
  call->setCalledOperand(InlineAsm::get(before->getFunctionType(), text, before->getConstraintString(),
                                        before->hasSideEffects(), before->isAlignStack(), before->getDialect(),
                                        before->canThrow()));
}

std::vector<Mutation> listMutations(Function &kernel) {
  MutationSites sites(kernel);
  listMatrixMutations(sites);
  listCopyMutations(sites);
  listThreadMutations(sites);
  return std::move(sites.mutations);
}

std::vector<Mutation> sampleMutations(const std::vector<Mutation> &all, size_t each) {
  std::map<std::string, std::vector<const Mutation *>> kinds;
  std::vector<std::string> order;
  for (const Mutation &mutation : all) {
    if (kinds[mutation.kind].empty())
      order.push_back(mutation.kind);
    kinds[mutation.kind].push_back(&mutation);
  }
  std::vector<Mutation> taken;
  size_t kindNumber = 0;
  for (const std::string &kind : order) {
    const std::vector<const Mutation *> &sites = kinds[kind];
    size_t count = std::min(each, sites.size());
    for (size_t i = 0; i < count; ++i)
      taken.push_back(*sites[count == 1 ? kindNumber % sites.size() : i * (sites.size() - 1) / (count - 1)]);
    ++kindNumber;
  }
  return taken;
}

} // namespace bpt::test
