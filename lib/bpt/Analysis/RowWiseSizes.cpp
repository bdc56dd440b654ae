// Workspaces of the row-wise kernels.
#include "bpt/Analysis/RowWiseSizes.h"
#include "bpt/Analysis/TileSizes.h"
#include "mlir/IR/BuiltinTypes.h"

using namespace mlir;

namespace bpt {

static ShapedType shapeOf(Value value) { return cast<ShapedType>(value.getType()); }

static SizeFormula getNormBytes(Operation *op, Value input, int64_t parts) {
  if (parts == 0)
    return SizeFormula();
  int64_t bytes = shapeOf(input).getElementType().isF64() ? 8 : 4;
  SizeFormula blocks = min(ceilDiv(getOperandRows(op, input), SizeFormula(normRowsOfBlock)), SizeFormula(normBlocks));
  return blocks * getOperandDim(op, input, shapeOf(input).getRank() - 1) * SizeFormula(parts * bytes);
}

SizeFormula getNormWorkspaceBytes(LayerNormGradOp op) {
  return getNormBytes(op, op.getInput(), (op.getWeight() ? 1 : 0) + (op.getBias() ? 1 : 0));
}
SizeFormula getNormWorkspaceBytes(RMSNormGradOp op) { return getNormBytes(op, op.getInput(), op.getWeight() ? 1 : 0); }

SizeFormula getEmbeddingWorkspaceBytes(EmbeddingGradOp op) {
  SizeFormula tokens = getOperandRows(op, op.getDout());
  return (getOperandDim(op, op.getOuts()[0], 0) + tokens * SizeFormula(2) + SizeFormula(1)) * SizeFormula(4);
}

SizeFormula getGlobalNormWorkspaceBytes(GlobalNormOp op) {
  SizeFormula pieces;
  for (Value gradient : op.getGrads()) {
    int64_t rank = shapeOf(gradient).getRank();
    SizeFormula rows = rank ? getOperandRows(op, gradient) : SizeFormula(1);
    SizeFormula columns = rank ? getOperandDim(op, gradient, rank - 1) : SizeFormula(1);
    SizeFormula rowsOfPiece = max(floorDiv(SizeFormula(elementsPerItem), max(columns, SizeFormula(1))), SizeFormula(1));
    pieces = pieces + ceilDiv(rows, rowsOfPiece) * ceilDiv(columns, SizeFormula(columnsPerPiece));
  }
  return pieces * SizeFormula(8);
}

} // namespace bpt
