// bf16 by integer arithmetic: LLVM would call __truncsfbf2, which Debian 12's runtime libraries lack.
#pragma once
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"

namespace bpt {

/// f32 (or a vector of it) rounded to nearest even, as i16. NaN becomes 0x7fff, as cvt.rn.bf16.f32 makes it.
llvm::Value *roundToBF16(llvm::IRBuilderBase &builder, llvm::Value *value);

/// cvt.rn.bf16x2.f32 and cvt.rn.f16x2.f32: `high` in the upper half of the i32.
llvm::Value *packBF16(llvm::IRBuilderBase &builder, llvm::Value *high, llvm::Value *low);
llvm::Value *packF16(llvm::IRBuilderBase &builder, llvm::Value *high, llvm::Value *low);

/// Replaces truncations to and arithmetic in bfloat everywhere.
llvm::Error expandBFloat(llvm::Module &module);

} // namespace bpt
