// What all destination-style ops of the dialect share. Private to lib/bpt/IR.
#pragma once

#include "bpt/IR/BPT.h"
#include "mlir/IR/PatternMatch.h"

namespace bpt {
using EffectList = llvm::SmallVectorImpl<mlir::SideEffects::EffectInstance<mlir::MemoryEffects::Effect>>;

/// Memory effects of a destination-style op: none on tensors; on memrefs it reads every operand and writes its outs (a
/// workspace, if any, is written as well).
void addDestinationEffects(mlir::DestinationStyleOpInterface op, EffectList &effects);

/// Replaces `op` on tensors by one without its last out and result, which must have no use.
template <typename Op> void dropLastOut(Op op, mlir::RewriterBase &rewriter) {
  unsigned last = op.getNumResults() - 1;
  llvm::SmallVector<mlir::Value> operands(op->getOperands());
  operands.erase(operands.begin() + op.getDpsInitOperand(last)->getOperandNumber());
  mlir::OperationState state(op.getLoc(), Op::getOperationName());
  state.addOperands(operands);
  state.addTypes(mlir::TypeRange(op->getResultTypes()).drop_back());
  state.addAttributes(llvm::to_vector(op->getDiscardableAttrs()));
  auto &properties = state.getOrAddProperties<typename Op::Properties>();
  properties = op.getProperties();
  --*(properties.operandSegmentSizes.end() - 2); // outs, then workspace
  mlir::Operation *smaller = rewriter.create(state);
  rewriter.replaceAllUsesWith(op->getResults().drop_back(), smaller->getResults());
  rewriter.eraseOp(op);
}
} // namespace bpt
