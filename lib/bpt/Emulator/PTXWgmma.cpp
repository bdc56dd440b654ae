// wgmma in inline PTX (PTX ISA 8.7, 9.7.15.5 and .7).
#include "InlinePTX.h"
#include "bpt/Runtime/EmulatorABI.h"
#include "llvm/ADT/StringExtras.h"

using namespace llvm;

namespace bpt {

bool PTXBuilder::wgmma(const PTXStatement &s) {
  if (s.parts[0] != "wgmma" || s.parts.size() < 2)
    return false;
  if (!s.has("sync") || !s.has("aligned"))
    return fail("expected .sync.aligned");
  if (s.parts[1] == "fence") {
    call("bpt_emulated_wgmma_fence", {where});
    return true;
  }
  if (s.parts[1] == "commit_group") {
    call("bpt_emulated_wgmma_commit", {where});
    return true;
  }
  if (s.parts[1] == "mma_async")
    return wgmmaProduct(s);
  if (s.parts[1] != "wait_group" || s.operands.size() != 1)
    return false;
  // The f32 outputs that are tied through the wait are accumulator registers.
  SmallVector<AllocaInst *> registers;
  for (unsigned i = 0; i < outputs; ++i)
    if (auto *variable = cast<AllocaInst>(operands[i]); variable->getAllocatedType()->isFloatTy())
      registers.push_back(variable);
  AllocaInst *values = array(builder.getFloatTy(), std::max<size_t>(registers.size(), 1));
  auto element = [&](size_t i) { return builder.CreateConstInBoundsGEP2_64(values->getAllocatedType(), values, 0, i); };
  for (auto [i, variable] : enumerate(registers))
    builder.CreateStore(builder.CreateLoad(builder.getFloatTy(), variable), element(i));
  call("bpt_emulated_wgmma_wait", {read32(s.operands[0]), values, constant(uint32_t(registers.size())), used, where});
  for (auto [i, variable] : enumerate(registers))
    builder.CreateStore(builder.CreateLoad(builder.getFloatTy(), element(i)), variable);
  return true;
}

/// The value of an operand that the instruction wants to be an immediate; -2 if it is none.
static int64_t immediate(const PTXOperand &operand, ArrayRef<Value *> asmArguments, unsigned outputs) {
  if (operand.kind == PTXOperand::Integer)
    return operand.number;
  if (operand.kind == PTXOperand::Argument && operand.number >= outputs &&
      size_t(operand.number - outputs) < asmArguments.size())
    if (auto *constant = dyn_cast<ConstantInt>(asmArguments[operand.number - outputs]))
      return constant->getSExtValue();
  return -2;
}

/// wgmma.mma_async.sync.aligned.m64nNkK.f32.T.T {d..}, a, b, scale-d, imm-a, imm-b[, trans-a][, trans-b];
bool PTXBuilder::wgmmaProduct(const PTXStatement &s) {
  using namespace emulator;
  WgmmaShape shape;
  unsigned k = 0;
  for (const std::string &part : s.parts) {
    StringRef rest = part;
    if (rest.consume_front("m64n"))
      if (rest.consumeInteger(10, shape.n) || !rest.consume_front("k") || rest.getAsInteger(10, k))
        return fail("unknown shape");
  }
  size_t types = s.parts.size() - 3;
  if (s.parts.size() < 6 || s.parts[types] != "f32" || s.parts[types + 1] != s.parts[types + 2])
    return fail("only f32 accumulators and equal operand types are emulated");
  StringRef type = s.parts[types + 1];
  if (type != "bf16" && type != "f16" && type != "tf32")
    return fail("operand type ." + type + " is not emulated");
  shape.type = type == "bf16" ? WgmmaType::BF16 : type == "f16" ? WgmmaType::F16 : WgmmaType::TF32;
  if (shape.n % 8 || shape.n < 8 || shape.n > 256 || k != (shape.type == WgmmaType::TF32 ? 8 : 16))
    return fail("no such shape");
  if (s.operands.size() < 6 || s.operands[0].kind != PTXOperand::Vector || s.operands[0].elements.size() != shape.n / 2)
    return fail("expected " + Twine(shape.n / 2) + " accumulator registers");
  const PTXOperand &a = s.operands[1], &b = s.operands[2];
  bool registers = a.kind == PTXOperand::Vector;
  if (registers && a.elements.size() != 4)
    return fail("expected 4 registers of A");
  size_t transposes = shape.type == WgmmaType::TF32 ? 0 : registers ? 1 : 2;
  if (s.operands.size() != 6 + transposes)
    return fail("expected " + Twine(6 + transposes) + " operands, but got " + Twine(s.operands.size()));
  SmallVector<Value *> asmArguments(asmCall.args());
  int64_t numbers[4] = {1, 1, 0, 0};
  for (size_t i = 0; i < 2 + transposes; ++i) {
    int64_t value = immediate(s.operands[4 + i], asmArguments, outputs);
    if (i < 2 ? value != 1 && value != -1 : value != 0 && value != 1)
      return fail("expected an immediate of 1 or -1 for the signs, 0 or 1 for the transposes");
    numbers[i] = value;
  }
  shape.negateA = numbers[0] < 0;
  shape.negateB = numbers[1] < 0;
  shape.transposeA = !registers && numbers[2];
  shape.transposeB = registers ? numbers[2] : numbers[3];

  AllocaInst *values = array(builder.getFloatTy(), shape.n / 2);
  auto element = [&](AllocaInst *of, size_t i) {
    return builder.CreateConstInBoundsGEP2_64(of->getAllocatedType(), of, 0, i);
  };
  // Without tied inputs the outputs have no value yet; then only D = A*B can be meant, and the asm must say so.
  bool tied = false;
  for (const InlineAsm::ConstraintInfo &constraint : cast<InlineAsm>(asmCall.getCalledOperand())->ParseConstraints())
    tied |= constraint.Type == InlineAsm::isInput && constraint.Codes.size() == 1 && isDigit(constraint.Codes[0][0]);
  int64_t scale = immediate(s.operands[3], asmArguments, outputs);
  if (!tied && scale != 0)
    return fail("adds to accumulators that are not tied inputs");
  Value *zero = ConstantFP::get(builder.getFloatTy(), 0.0);
  for (auto [i, accumulator] : enumerate(s.operands[0].elements)) {
    if (!slot(accumulator))
      return fail("an accumulator is no output of the asm");
    builder.CreateStore(tied ? read(accumulator, builder.getFloatTy()) : zero, element(values, i));
  }
  shape.scaleD = false;
  Value *packed = builder.getInt64(packWgmma(shape));
  if (scale != 0) {
    shape.scaleD = true;
    Value *added = builder.getInt64(packWgmma(shape));
    packed = scale == 1 ? added : builder.CreateSelect(readPredicate(s.operands[3]), added, packed);
  }
  Value *fragment = ConstantPointerNull::get(builder.getPtrTy());
  Value *descriptor = builder.getInt64(0);
  if (registers) {
    AllocaInst *words = array(builder.getInt32Ty(), 4);
    for (auto [i, word] : enumerate(a.elements))
      builder.CreateStore(read32(word), element(words, i));
    fragment = words;
  } else {
    descriptor = read64(a);
  }
  call("bpt_emulated_wgmma", {values, packed, fragment, descriptor, read64(b), where});
  for (auto [i, accumulator] : enumerate(s.operands[0].elements))
    write(accumulator, builder.CreateLoad(builder.getFloatTy(), element(values, i)));
  return true;
}

} // namespace bpt
