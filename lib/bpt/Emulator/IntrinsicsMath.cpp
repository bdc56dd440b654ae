// NVVM intrinsics that only compute: generic intrinsics and instructions of LLVM.
#include "BFloat.h"
#include "Intrinsics.h"

using namespace llvm;

namespace bpt {

bool IntrinsicLowering::math() {
  // The rounding of single operations is that of the host (nearest even); approximations are computed exactly, .ftz
  // is the thread's mode.
  static constexpr std::pair<StringLiteral, Intrinsic::ID> unary[] = {
      {"ex2.approx", Intrinsic::exp2}, {"lg2.approx", Intrinsic::log2}, {"sqrt.", Intrinsic::sqrt},
      {"sin.approx", Intrinsic::sin},  {"cos.approx", Intrinsic::cos},  {"fabs", Intrinsic::fabs},
      {"ceil.", Intrinsic::ceil},      {"floor.", Intrinsic::floor},    {"round.", Intrinsic::rint},
      {"trunc.", Intrinsic::trunc},    {"tanh.approx", Intrinsic::tanh}};
  auto rounded = [&] { return rest.contains("rn") || rest.contains("approx") || rest.contains("full"); };
  Type *type = instruction.getType();
  if (type->getScalarType()->isFloatingPointTy()) {
    for (auto &[prefix, intrinsic] : unary)
      if (starts(prefix) && instruction.arg_size() == 1 && !rest.contains(".rz") && !rest.contains(".rp") &&
          !rest.contains(".rm")) {
        result = builder.CreateUnaryIntrinsic(intrinsic, argument(0));
        return true;
      }
    if (starts("fma.") && rounded() && !rest.contains("relu") && !rest.contains("sat")) {
      result = builder.CreateIntrinsic(Intrinsic::fma, {type}, {argument(0), argument(1), argument(2)});
      return true;
    }
    bool maximum = starts("fmax.");
    if ((maximum || starts("fmin.")) && !rest.contains("xorsign")) {
      bool nan = rest.contains("nan");
      Intrinsic::ID id =
          maximum ? (nan ? Intrinsic::maximum : Intrinsic::maxnum) : (nan ? Intrinsic::minimum : Intrinsic::minnum);
      result = builder.CreateBinaryIntrinsic(id, argument(0), argument(1));
      return true;
    }
    static constexpr std::pair<StringLiteral, Instruction::BinaryOps> binary[] = {
        {"add.", Instruction::FAdd}, {"mul.", Instruction::FMul}, {"div.", Instruction::FDiv}};
    for (auto &[prefix, operation] : binary)
      if (starts(prefix) && rounded() && !rest.contains("sat")) {
        result = builder.CreateBinOp(operation, argument(0), argument(1));
        return true;
      }
    Value *one = ConstantFP::get(type, 1.0);
    if (starts("rcp.") && rounded()) {
      result = builder.CreateFDiv(one, argument(0));
      return true;
    }
    if (starts("rsqrt.approx")) {
      result = builder.CreateFDiv(one, builder.CreateUnaryIntrinsic(Intrinsic::sqrt, argument(0)));
      return true;
    }
    if (starts("saturate.")) {
      Value *low = builder.CreateMaxNum(argument(0), ConstantFP::get(type, 0.0));
      result = builder.CreateMinNum(low, one);
      return true;
    }
    return false;
  }
  if (starts("mulhi.")) {
    unsigned width = type->getIntegerBitWidth();
    Type *twice = builder.getIntNTy(2 * width);
    bool isUnsigned = rest.contains("u");
    auto extend = [&](Value *value) {
      return isUnsigned ? builder.CreateZExt(value, twice) : builder.CreateSExt(value, twice);
    };
    result = builder.CreateTrunc(builder.CreateLShr(builder.CreateMul(extend(argument(0)), extend(argument(1))), width),
                                 type);
    return true;
  }
  return false;
}

bool IntrinsicLowering::conversion() {
  if (name == "ff2bf16x2.rn" || name == "ff2f16x2.rn") { // the first operand goes to the upper half
    Value *packed = name[2] == '2' && name[3] == 'b' ? packBF16(builder, argument(0), argument(1))
                                                     : packF16(builder, argument(0), argument(1));
    result = builder.CreateBitCast(packed, instruction.getType());
    return true;
  }
  if (name == "f2bf16.rn") {
    result = builder.CreateBitCast(roundToBF16(builder, argument(0)), instruction.getType());
    return true;
  }
  if (starts("isspacep.")) {
    uint32_t space = rest == "shared" || rest == "shared.cluster" ? 3 : rest == "global" ? 1 : rest == "local" ? 5 : 0;
    if (!space)
      return false;
    result = builder.CreateIsNotNull(calls.call(builder, "bpt_emulated_is_space", {argument(0), constant(space)}));
    return true;
  }
  if (starts("internal.addrspace.wrap") || starts("move.")) {
    result = argument(0);
    return true;
  }
  return false;
}

} // namespace bpt
