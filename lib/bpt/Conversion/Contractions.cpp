// Contractions and the zeros before them.
#include "Contractions.h"

#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"
#include "mlir/IR/Matchers.h"

using namespace mlir;

namespace bpt {

bool isContraction(linalg::LinalgOp op) {
  if (!linalg::isaContractionOpInterface(op) || op->getNumOperands() != 3 || op.getNumDpsInits() != 1)
    return false;
  return llvm::all_of(op->getOperands(), [](Value operand) {
    return isa<MemRefType>(operand.getType()) && isa<FloatType>(getElementTypeOrSelf(operand.getType()));
  });
}

Operation *findZeroFill(linalg::LinalgOp op) {
  for (Operation *before = op->getPrevNode(); before; before = before->getPrevNode()) {
    if (auto fill = dyn_cast<linalg::FillOp>(before)) {
      bool isZero = matchPattern(fill.getInputs()[0], m_AnyZeroFloat());
      return isZero && fill.getOutputs()[0] == op.getDpsInits()[0] ? fill : nullptr;
    }
    if (!isMemoryEffectFree(before))
      return nullptr;
  }
  return nullptr;
}

} // namespace bpt
