// Warp collectives and matrix loads and stores in inline PTX (PTX ISA 8.7, 9.7.9.6, 9.7.13, 9.7.14.5).
#include "InlinePTX.h"
#include "bpt/Runtime/EmulatorABI.h"

using namespace llvm;

namespace bpt {

bool PTXBuilder::warp(const PTXStatement &s) {
  using namespace emulator;
  const auto &o = s.operands;
  auto predicate = [&](Value *result) {
    return builder.CreateTrunc(builder.CreateLShr(result, 32), builder.getInt1Ty());
  };
  auto writeBoth = [&](const PTXOperand &to, Value *result) {
    Value *value = builder.CreateTrunc(result, builder.getInt32Ty());
    if (to.kind == PTXOperand::Pair)
      return write(to.elements[0], value) && write(to.elements[1], predicate(result));
    return write(to, value);
  };
  if (s.parts[0] == "setmaxnreg" && o.size() == 1) {
    call("bpt_emulated_setmaxnreg", {constant(s.has("inc")), read32(o[0]), where});
    return true;
  }
  if (s.parts[0] == "elect" && o.size() == 2)
    return writeBoth(o[0], call("bpt_emulated_elect", {read32(o[1]), where}));
  if (s.parts[0] == "shfl" && s.has("sync") && o.size() == 5) {
    ShuffleMode mode = s.has("up")     ? ShuffleMode::Up
                       : s.has("down") ? ShuffleMode::Down
                       : s.has("bfly") ? ShuffleMode::Butterfly
                                       : ShuffleMode::Index;
    return writeBoth(o[0], call("bpt_emulated_shuffle", {constant(uint32_t(mode)), read32(o[4]), read32(o[1]),
                                                         read32(o[2]), read32(o[3]), where}));
  }
  if (s.parts[0] == "vote" && s.has("sync") && o.size() == 3) {
    VoteMode mode = s.has("all")   ? VoteMode::All
                    : s.has("any") ? VoteMode::Any
                    : s.has("uni") ? VoteMode::Uniform
                                   : VoteMode::Ballot;
    return write(o[0], call("bpt_emulated_vote", {constant(uint32_t(mode)), read32(o[2]), readPredicate(o[1]), where}));
  }
  if (s.parts[0] == "match" && s.has("sync") && o.size() == 3) {
    Value *value = s.has("b64") ? read64(o[1]) : read32(o[1]);
    return writeBoth(o[0], call("bpt_emulated_match", {constant(s.has("all")), read32(o[2]), value, where}));
  }
  return false;
}

bool PTXBuilder::matrix(const PTXStatement &s) {
  bool store = s.parts[0] == "stmatrix";
  if ((!store && s.parts[0] != "ldmatrix") || s.operands.size() != 2)
    return false;
  if (!s.has("m8n8") || !s.has("b16"))
    return fail("only .m8n8 and .b16 are emulated");
  const PTXOperand &address = s.operands[store ? 0 : 1], &list = s.operands[store ? 1 : 0];
  unsigned count = s.has("x4") ? 4 : s.has("x2") ? 2 : 1;
  std::vector<PTXOperand> registers = list.kind == PTXOperand::Vector ? list.elements : std::vector<PTXOperand>{list};
  if (registers.size() != count)
    return fail("expected " + Twine(count) + " registers");
  AllocaInst *values = array(builder.getInt32Ty(), count);
  auto element = [&](size_t i) { return builder.CreateConstInBoundsGEP2_64(values->getAllocatedType(), values, 0, i); };
  if (store)
    for (auto [i, word] : enumerate(registers))
      builder.CreateStore(read32(word), element(i));
  call(store ? "bpt_emulated_stmatrix" : "bpt_emulated_ldmatrix",
       {readAddress(address), constant(count), constant(s.has("trans")), values, where});
  if (!store)
    for (auto [i, word] : enumerate(registers))
      if (!write(word, builder.CreateLoad(builder.getInt32Ty(), element(i))))
        return false;
  return true;
}

} // namespace bpt
