// Arithmetic, moves and memory accesses in inline PTX (PTX ISA 8.7, 9.7.1 to 9.7.9), as far as asm texts use them
// around the instructions that have no other spelling.
#include "BFloat.h"
#include "InlinePTX.h"

using namespace llvm;

namespace bpt {

bool PTXBuilder::arithmetic(const PTXStatement &s) {
  const std::string &name = s.parts[0];
  const auto &o = s.operands;
  Type *type = typeOf(s.parts.back());
  if (!type || !type->isIntegerTy())
    return false;
  bool isSigned = s.parts.back()[0] == 's';
  auto operand = [&](size_t i) { return read(o[i], type); };
  if (o.size() == 2) {
    if (name == "not")
      return write(o[0], builder.CreateNot(operand(1)));
    if (name == "neg")
      return write(o[0], builder.CreateNeg(operand(1)));
    return false;
  }
  if (o.size() == 4 && name == "mad" && s.has("lo"))
    return write(o[0], builder.CreateAdd(builder.CreateMul(operand(1), operand(2)), operand(3)));
  if (o.size() != 3)
    return false;
  if (name == "shl" || name == "shr") {
    // Shifts take 32-bit amounts; those of the width and more give 0 or the sign (PTX ISA 8.7, 9.7.8.8).
    unsigned width = type->getIntegerBitWidth();
    Value *amount = read32(o[2]);
    Value *tooFar = builder.CreateICmpUGE(amount, constant(width));
    Value *small = builder.CreateZExtOrTrunc(builder.CreateSelect(tooFar, constant(width - 1), amount), type);
    Value *value = operand(1);
    if (name == "shr" && isSigned)
      return write(o[0], builder.CreateAShr(value, small));
    Value *shifted = name == "shl" ? builder.CreateShl(value, small) : builder.CreateLShr(value, small);
    return write(o[0], builder.CreateSelect(tooFar, ConstantInt::get(type, 0), shifted));
  }
  Value *a = operand(1), *b = operand(2);
  if (name == "add")
    return write(o[0], builder.CreateAdd(a, b));
  if (name == "sub")
    return write(o[0], builder.CreateSub(a, b));
  if (name == "mul" && s.has("lo"))
    return write(o[0], builder.CreateMul(a, b));
  if (name == "and")
    return write(o[0], builder.CreateAnd(a, b));
  if (name == "or")
    return write(o[0], builder.CreateOr(a, b));
  if (name == "xor")
    return write(o[0], builder.CreateXor(a, b));
  if (name == "min")
    return write(o[0], builder.CreateBinaryIntrinsic(isSigned ? Intrinsic::smin : Intrinsic::umin, a, b));
  if (name == "max")
    return write(o[0], builder.CreateBinaryIntrinsic(isSigned ? Intrinsic::smax : Intrinsic::umax, a, b));
  return false;
}

bool PTXBuilder::floatingPoint(const PTXStatement &s) {
  const std::string &name = s.parts[0];
  const auto &o = s.operands;
  if (name == "cvt" && o.size() == 3 && s.parts.back() == "f32" && s.has("rn")) { // d = {a, b}, a in the upper half
    Value *high = read(o[1], builder.getFloatTy()), *low = read(o[2], builder.getFloatTy());
    if (s.has("bf16x2"))
      return write(o[0], packBF16(builder, high, low));
    return s.has("f16x2") && write(o[0], packF16(builder, high, low));
  }
  if (name == "cvt" && o.size() == 2 && s.has("tf32") &&
      s.parts.back() == "f32") { // 10 fraction bits, round to nearest, ties away
    if (!s.has("rna"))
      return fail("only .rna is emulated");
    Value *bits = read32(o[1]);
    return write(o[0], builder.CreateAnd(builder.CreateAdd(bits, constant(0x1000)), constant(~0x1fffu)));
  }
  Type *type = typeOf(s.parts.back());
  if (!type || !type->isFloatingPointTy())
    return false;
  auto operand = [&](size_t i) { return read(o[i], type); };
  if (o.size() == 2) {
    static constexpr std::pair<StringLiteral, Intrinsic::ID> functions[] = {
        {"ex2", Intrinsic::exp2}, {"lg2", Intrinsic::log2}, {"sqrt", Intrinsic::sqrt}, {"abs", Intrinsic::fabs},
        {"sin", Intrinsic::sin},  {"cos", Intrinsic::cos},  {"tanh", Intrinsic::tanh}};
    for (auto &[ptx, intrinsic] : functions)
      if (ptx == name)
        return write(o[0], builder.CreateUnaryIntrinsic(intrinsic, operand(1)));
    Value *one = ConstantFP::get(type, 1.0);
    if (name == "rcp")
      return write(o[0], builder.CreateFDiv(one, operand(1)));
    if (name == "rsqrt")
      return write(o[0], builder.CreateFDiv(one, builder.CreateUnaryIntrinsic(Intrinsic::sqrt, operand(1))));
    if (name == "neg")
      return write(o[0], builder.CreateFNeg(operand(1)));
    return false;
  }
  if (o.size() == 4 && name == "fma")
    return write(o[0], builder.CreateIntrinsic(Intrinsic::fma, {type}, {operand(1), operand(2), operand(3)}));
  if (o.size() != 3)
    return false;
  if (name == "add")
    return write(o[0], builder.CreateFAdd(operand(1), operand(2)));
  if (name == "sub")
    return write(o[0], builder.CreateFSub(operand(1), operand(2)));
  if (name == "mul")
    return write(o[0], builder.CreateFMul(operand(1), operand(2)));
  if (name == "div")
    return write(o[0], builder.CreateFDiv(operand(1), operand(2)));
  if (name == "min")
    return write(o[0], builder.CreateMinNum(operand(1), operand(2)));
  return name == "max" && write(o[0], builder.CreateMaxNum(operand(1), operand(2)));
}

bool PTXBuilder::moves(const PTXStatement &s) {
  const std::string &name = s.parts[0];
  const auto &o = s.operands;
  if (name == "cvta" && o.size() == 2) // all address spaces are one here
    return write(o[0], read64(o[1]));
  Type *type = typeOf(s.parts.back());
  if (!type)
    return false;
  if (name == "selp" && o.size() == 4) {
    Value *condition = readPredicate(o[3]);
    return write(o[0], builder.CreateSelect(condition, read(o[1], type), read(o[2], type)));
  }
  if (name != "mov" || o.size() != 2)
    return false;
  if (o[1].kind == PTXOperand::Vector) { // pack, first element lowest
    unsigned width = unsigned(type->getPrimitiveSizeInBits()) / unsigned(o[1].elements.size());
    Type *whole = builder.getIntNTy(unsigned(type->getPrimitiveSizeInBits()));
    Value *packed = ConstantInt::get(whole, 0);
    for (auto [i, element] : enumerate(o[1].elements))
      packed = builder.CreateOr(
          packed, builder.CreateShl(builder.CreateZExt(read(element, builder.getIntNTy(width)), whole), i * width));
    return write(o[0], packed);
  }
  if (o[0].kind == PTXOperand::Vector) { // unpack
    unsigned bits = unsigned(type->getPrimitiveSizeInBits()), width = bits / unsigned(o[0].elements.size());
    Value *whole = read(o[1], builder.getIntNTy(bits));
    for (auto [i, element] : enumerate(o[0].elements))
      if (!write(element, builder.CreateTrunc(builder.CreateLShr(whole, i * width), builder.getIntNTy(width))))
        return false;
    return true;
  }
  return write(o[0], read(o[1], type));
}

/// setp.cmp.type p[|q], a, b;
bool PTXBuilder::compare(const PTXStatement &s) {
  const auto &o = s.operands;
  if (s.parts[0] != "setp" || o.size() != 3 || s.parts.size() < 3)
    return false;
  Type *type = typeOf(s.parts.back());
  if (!type)
    return false;
  StringRef relation = s.parts[1];
  Value *a = read(o[1], type), *b = read(o[2], type), *result = nullptr;
  bool isSigned = s.parts.back()[0] == 's';
  if (type->isFloatingPointTy()) {
    static constexpr std::pair<StringLiteral, CmpInst::Predicate> relations[] = {
        {"eq", CmpInst::FCMP_OEQ},  {"ne", CmpInst::FCMP_ONE},  {"lt", CmpInst::FCMP_OLT},  {"le", CmpInst::FCMP_OLE},
        {"gt", CmpInst::FCMP_OGT},  {"ge", CmpInst::FCMP_OGE},  {"equ", CmpInst::FCMP_UEQ}, {"neu", CmpInst::FCMP_UNE},
        {"ltu", CmpInst::FCMP_ULT}, {"leu", CmpInst::FCMP_ULE}, {"gtu", CmpInst::FCMP_UGT}, {"geu", CmpInst::FCMP_UGE}};
    for (auto &[name, predicate] : relations)
      if (name == relation)
        result = builder.CreateFCmp(predicate, a, b);
  } else {
    static constexpr std::tuple<StringLiteral, CmpInst::Predicate, CmpInst::Predicate> relations[] = {
        {"eq", CmpInst::ICMP_EQ, CmpInst::ICMP_EQ},   {"ne", CmpInst::ICMP_NE, CmpInst::ICMP_NE},
        {"lt", CmpInst::ICMP_SLT, CmpInst::ICMP_ULT}, {"le", CmpInst::ICMP_SLE, CmpInst::ICMP_ULE},
        {"gt", CmpInst::ICMP_SGT, CmpInst::ICMP_UGT}, {"ge", CmpInst::ICMP_SGE, CmpInst::ICMP_UGE}};
    for (auto &[name, whenSigned, whenUnsigned] : relations)
      if (name == relation)
        result = builder.CreateICmp(isSigned ? whenSigned : whenUnsigned, a, b);
  }
  if (!result)
    return fail("unknown comparison");
  if (o[0].kind == PTXOperand::Pair)
    return write(o[0].elements[0], result) && write(o[0].elements[1], builder.CreateNot(result));
  return write(o[0], result);
}

/// ld, st, red and atom of one element or a vector.
bool PTXBuilder::memory(const PTXStatement &s) {
  const std::string &name = s.parts[0];
  const auto &o = s.operands;
  bool load = name == "ld" && o.size() == 2, store = name == "st" && o.size() == 2,
       reduce = name == "red" && o.size() == 2, atomic = name == "atom" && o.size() == 3;
  Type *type = typeOf(s.parts.back());
  if (!type || !(load || store || reduce || atomic))
    return false;
  if (s.has("shared::cluster"))
    return fail("shared memory of other blocks of a cluster is not emulated");
  const PTXOperand &address = o[load || atomic ? 1 : 0], &data = o[load || atomic ? 0 : 1];
  Value *pointer = readAddress(address);
  bool shared = s.has("shared") || s.has("shared::cta");
  if (shared)
    pointer = call("bpt_emulated_shared_address", {pointer});
  Value *space = constant(shared ? 3 : s.has("global") ? 1 : 0);
  uint64_t size = type->getPrimitiveSizeInBits() / 8;
  if (reduce || atomic) {
    call("bpt_emulated_atomic", {pointer, builder.getInt64(size), space, where});
    AtomicRMWInst::BinOp operation = AtomicRMWInst::BAD_BINOP;
    bool real = type->isFloatingPointTy(), isSigned = s.parts.back()[0] == 's';
    if (s.has("add"))
      operation = real ? AtomicRMWInst::FAdd : AtomicRMWInst::Add;
    else if (s.has("min"))
      operation = real ? AtomicRMWInst::FMin : isSigned ? AtomicRMWInst::Min : AtomicRMWInst::UMin;
    else if (s.has("max"))
      operation = real ? AtomicRMWInst::FMax : isSigned ? AtomicRMWInst::Max : AtomicRMWInst::UMax;
    else if (s.has("exch"))
      operation = AtomicRMWInst::Xchg;
    else
      return fail("this atomic operation is not emulated");
    Value *value = read(atomic ? o[2] : data, type);
    Value *old = builder.CreateAtomicRMW(operation, pointer, value, MaybeAlign(size), AtomicOrdering::Monotonic);
    return reduce || write(o[0], old);
  }
  std::vector<PTXOperand> elements = data.kind == PTXOperand::Vector ? data.elements : std::vector<PTXOperand>{data};
  // Vectors must be aligned as a whole (PTX ISA 8.7, 6.4.1).
  uint32_t total = uint32_t(size * elements.size());
  call(load ? "bpt_emulated_read" : "bpt_emulated_write",
       {pointer, builder.getInt64(total), builder.CreateAdd(space, constant(256 * total)), where});
  for (auto [i, element] : enumerate(elements)) {
    Value *place = builder.CreateConstGEP1_64(builder.getInt8Ty(), pointer, i * size);
    if (store)
      builder.CreateAlignedStore(read(element, type), place, Align(size));
    else if (!write(element, builder.CreateAlignedLoad(type, place, Align(size))))
      return false;
  }
  return true;
}

} // namespace bpt
