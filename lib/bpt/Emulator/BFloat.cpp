// bf16 by integer arithmetic.
#include "BFloat.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/IntrinsicInst.h"

using namespace llvm;

namespace bpt {

/// `scalar`, or a vector of it with as many elements as `like`.
static Type *shapedLike(Type *like, Type *scalar) {
  auto *vector = dyn_cast<FixedVectorType>(like);
  return vector ? FixedVectorType::get(scalar, vector->getNumElements()) : scalar;
}

Value *roundToBF16(IRBuilderBase &builder, Value *value) {
  Type *wide = shapedLike(value->getType(), builder.getInt32Ty()),
       *narrow = shapedLike(value->getType(), builder.getInt16Ty());
  Value *bits = builder.CreateBitCast(value, wide);
  Value *odd = builder.CreateAnd(builder.CreateLShr(bits, 16), ConstantInt::get(wide, 1));
  Value *rounded = builder.CreateAdd(builder.CreateAdd(bits, ConstantInt::get(wide, 0x7fff)), odd);
  // A comparison of the bits: fast-math flags of the surrounding code cannot remove it.
  Value *magnitude = builder.CreateAnd(bits, ConstantInt::get(wide, 0x7fffffff));
  Value *nan = builder.CreateICmpUGT(magnitude, ConstantInt::get(wide, 0x7f800000));
  Value *half = builder.CreateTrunc(builder.CreateLShr(rounded, 16), narrow);
  return builder.CreateSelect(nan, ConstantInt::get(narrow, 0x7fff), half);
}

static Value *pack(IRBuilderBase &builder, Value *high, Value *low) {
  Type *word = builder.getInt32Ty();
  return builder.CreateOr(builder.CreateShl(builder.CreateZExt(high, word), 16), builder.CreateZExt(low, word));
}

Value *packBF16(IRBuilderBase &builder, Value *high, Value *low) {
  return pack(builder, roundToBF16(builder, high), roundToBF16(builder, low));
}

Value *packF16(IRBuilderBase &builder, Value *high, Value *low) {
  auto half = [&](Value *value) {
    return builder.CreateBitCast(builder.CreateFPTrunc(value, builder.getHalfTy()), builder.getInt16Ty());
  };
  return pack(builder, half(high), half(low));
}

/// A f32 (or double) value as bfloat.
static Value *truncate(IRBuilderBase &builder, Value *value, Type *type) {
  Type *single = shapedLike(type, builder.getFloatTy());
  if (value->getType() != single)
    value = builder.CreateFPTrunc(value, single);
  return builder.CreateBitCast(roundToBF16(builder, value), type);
}

static Value *extend(IRBuilderBase &builder, Value *value) {
  return builder.CreateFPExt(value, shapedLike(value->getType(), builder.getFloatTy()));
}

Error expandBFloat(Module &module) {
  SmallVector<Instruction *> found;
  for (Function &function : module)
    for (Instruction &instruction : instructions(function))
      if (instruction.getType()->getScalarType()->isBFloatTy() &&
          (isa<FPTruncInst, SIToFPInst, UIToFPInst, BinaryOperator>(instruction) ||
           (isa<IntrinsicInst>(instruction) &&
            cast<IntrinsicInst>(instruction).getArgOperand(0)->getType() == instruction.getType())))
        found.push_back(&instruction);
  for (Instruction *instruction : found) {
    IRBuilder<> builder(instruction);
    Type *type = instruction->getType(), *single = shapedLike(type, builder.getFloatTy());
    Value *wide;
    if (auto *cast = dyn_cast<FPTruncInst>(instruction)) {
      wide = cast->getOperand(0);
    } else if (auto *cast = dyn_cast<CastInst>(instruction)) {
      wide = builder.CreateCast(cast->getOpcode(), cast->getOperand(0), single);
    } else if (auto *binary = dyn_cast<BinaryOperator>(instruction)) {
      wide = builder.CreateBinOp(binary->getOpcode(), extend(builder, binary->getOperand(0)),
                                 extend(builder, binary->getOperand(1)));
    } else {
      auto *intrinsic = llvm::cast<IntrinsicInst>(instruction);
      SmallVector<Value *> arguments;
      for (Value *argument : intrinsic->args()) {
        if (argument->getType() != type)
          return createStringError("in function '" + instruction->getFunction()->getName() + "': '" +
                                   intrinsic->getCalledFunction()->getName() + "' on bfloat is not emulated");
        arguments.push_back(extend(builder, argument));
      }
      wide = builder.CreateIntrinsic(intrinsic->getIntrinsicID(), {single}, arguments);
    }
    instruction->replaceAllUsesWith(truncate(builder, wide, type));
    instruction->eraseFromParent();
  }
  return Error::success();
}

} // namespace bpt
