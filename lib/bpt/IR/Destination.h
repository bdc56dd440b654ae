// What all destination-style ops of the dialect share. Private to lib/bpt/IR.
#pragma once

#include "bpt/IR/BPT.h"

namespace bpt {
using EffectList = llvm::SmallVectorImpl<mlir::SideEffects::EffectInstance<mlir::MemoryEffects::Effect>>;

/// Memory effects of a destination-style op: none on tensors; on memrefs it reads every operand and writes its outs (a
/// workspace, if any, is written as well).
void addDestinationEffects(mlir::DestinationStyleOpInterface op, EffectList &effects);
} // namespace bpt
