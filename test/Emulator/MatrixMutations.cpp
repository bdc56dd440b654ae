// Mistakes around products of warpgroups (wgmma).
#include "MutationSites.h"

using namespace llvm;

namespace bpt::test {

/// Operands that are descriptors: of A (unless it is in registers) and of B.
static SmallVector<unsigned> getDescriptors(const CallInst *product) {
  SmallVector<unsigned> operands;
  for (unsigned i = 0; i < product->arg_size(); ++i)
    if (product->getArgOperand(i)->getType()->isIntegerTy(64))
      operands.push_back(i);
  return operands;
}

/// Where immediate `number` of the product is in its text, counted from the last: transpose B, (transpose A,) negate B,
/// negate A, scale D. The text ends with ", 1, 1, 1, 0; }".
static size_t getImmediate(StringRef text, unsigned number) { return text.rfind("; }") - 1 - 3 * number; }

static void flipImmediate(CallInst *product, unsigned number) {
  std::string text = getPTX(product).str();
  char &digit = text[getImmediate(text, number)];
  digit = digit == '0' ? '1' : '0';
  setPTX(product, text);
}

/// Adds `units` of 16 bytes to what the text adds to the descriptor of B.
static void moveStep(CallInst *product, unsigned units) {
  std::string text = getPTX(product).str();
  size_t begin = text.find(", ", text.find("add.s64 db, ") + 12) + 2, end = text.find(';', begin);
  text.replace(begin, end - begin, std::to_string(std::stoul(text.substr(begin)) + units));
  setPTX(product, text);
}

static void changeDescriptor(CallInst *product, unsigned which, function_ref<Value *(IRBuilder<> &, Value *)> change) {
  unsigned operand = getDescriptors(product)[which];
  IRBuilder<> builder(product);
  product->setArgOperand(operand, change(builder, product->getArgOperand(operand)));
}

/// Leading offset (bits 16-29) and stride offset (bits 32-45) change places.
static Value *swapOffsets(IRBuilder<> &builder, Value *descriptor) {
  constexpr uint64_t field = 0x3FFF;
  Value *leading = builder.CreateAnd(builder.CreateLShr(descriptor, 16), field);
  Value *stride = builder.CreateAnd(builder.CreateLShr(descriptor, 32), field);
  Value *rest = builder.CreateAnd(descriptor, ~(field << 16 | field << 32));
  return builder.CreateOr(rest, builder.CreateOr(builder.CreateShl(leading, 32), builder.CreateShl(stride, 16)));
}

static void waitForFewer(CallInst *wait) {
  if (!wait->isInlineAsm())
    return addToOperand(wait, 0, 1);
  std::string text = getPTX(wait).str();
  char &digit = text[text.find("aligned ") + 8];
  digit = char(digit + 1);
  setPTX(wait, text);
}

void listMatrixMutations(MutationSites &sites) {
  std::vector<CallInst *> products = sites.inlinePTX("wgmma.mma_async"), stepped, bothShared, summing;
  for (CallInst *product : products) {
    StringRef text = getPTX(product);
    bool shared = getDescriptors(product).size() == 2;
    if (text.contains("add.s64 db, "))
      stepped.push_back(product);
    if (shared)
      bothShared.push_back(product);
    if (text[getImmediate(text, shared ? 4 : 3)] == '1')
      summing.push_back(product);
  }
  sites.add("drop a wgmma fence that ties registers", sites.inlinePTX("wgmma.fence"), dropCall);
  sites.add("drop a wgmma fence", sites.intrinsics("wgmma.fence"), dropCall);
  sites.add("drop a wgmma commit", sites.intrinsics("wgmma.commit"), dropCall);
  std::vector<CallInst *> waits = sites.inlinePTX("wgmma.wait_group");
  for (CallInst *wait : sites.intrinsics("wgmma.wait_group"))
    waits.push_back(wait);
  sites.add("drop a wgmma wait", waits, dropCall);
  sites.add("wait for one wgmma group less", waits, waitForFewer);
  sites.add("drop a product", summing, dropCall);
  sites.add<CallInst>("product forgets the sum before", summing,
                      [](CallInst *product) { flipImmediate(product, getDescriptors(product).size() == 2 ? 4 : 3); });
  sites.add<CallInst>("flip the transposition of B", products, [](CallInst *product) { flipImmediate(product, 0); });
  sites.add<CallInst>("flip the transposition of A", bothShared, [](CallInst *product) { flipImmediate(product, 1); });
  sites.add<CallInst>("B one step of the sum too far", stepped, [](CallInst *product) { moveStep(product, 2); });
  sites.add<CallInst>("A one stage too far", bothShared, [](CallInst *product) {
    changeDescriptor(product, 0, [](IRBuilder<> &builder, Value *descriptor) {
      return builder.CreateAdd(descriptor, builder.getInt64(16384 >> 4));
    });
  });
  sites.add<CallInst>("B one stage too far", products, [](CallInst *product) {
    changeDescriptor(product, getDescriptors(product).size() - 1, [](IRBuilder<> &builder, Value *descriptor) {
      return builder.CreateAdd(descriptor, builder.getInt64(16384 >> 4));
    });
  });
  sites.add<CallInst>("swap the offsets in the descriptor of A", bothShared,
                      [](CallInst *product) { changeDescriptor(product, 0, swapOffsets); });
  sites.add<CallInst>("swap the offsets in the descriptor of B", products, [](CallInst *product) {
    changeDescriptor(product, getDescriptors(product).size() - 1, swapOffsets);
  });
  // 1 (128 bytes) becomes 2 (64 bytes).
  sites.add<CallInst>("wrong swizzle in the descriptor of B", products, [](CallInst *product) {
    changeDescriptor(product, getDescriptors(product).size() - 1, [](IRBuilder<> &builder, Value *descriptor) {
      return builder.CreateXor(descriptor, builder.getInt64(uint64_t(3) << 62));
    });
  });
}

} // namespace bpt::test
