// How an op acts along the sequence: what bpt-form-blocks needs to cut a layer into blocks.
#ifndef BPT_INTERFACES_SEQUENCEINTERFACE_TD
#define BPT_INTERFACES_SEQUENCEINTERFACE_TD

include "mlir/IR/OpBase.td"

def BPT_SequenceOpInterface : OpInterface<"SequenceOpInterface"> {
  let cppNamespace = "::bpt";
  let description = [{
    An op whose result along a sequence dim can be computed block by block. Row r of the result depends on row r of the
    operands cut along the sequence, and on the whole of every other operand. bpt, linalg, tensor, arith and math ops have
    external models; a downstream dialect registers its own.
  }];
  let methods = [
    InterfaceMethod<[{
      Given that results are cut along `resultDim` (of result 0; other results follow), fills `operandDims` with one entry per
      operand: the dim along which it is cut, `Whole` for an operand seen whole, or `Unused` for one the op of a block does not
      need. Fails, without emitting an error, when the op cannot be computed block by block along that dim.}],
      "::mlir::LogicalResult", "getSequenceDims",
      (ins "int64_t":$resultDim, "::llvm::SmallVectorImpl<int64_t> &":$operandDims)>,
    InterfaceMethod<"the sequence dim of result `number` given that of result 0", "int64_t", "getResultSequenceDim",
      (ins "unsigned":$number, "int64_t":$resultDim), [{}], [{ return resultDim; }]>,
    InterfaceMethod<[{
      Creates the op of one block, to be called after getSequenceDims succeeded for `resultDim`: `operands` are the block's
      operands, one for each of the op's (null where `Unused`); the block starts at row `offset` (an index) of the sequence and
      has `length` rows (an index value, or an attribute where it is static). Types of results follow the operands. Values that
      regions of the op capture are still those of the op itself.}],
      "::mlir::FailureOr<::mlir::Operation *>", "cloneForBlock",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$operands, "int64_t":$resultDim, "::mlir::Value":$offset,
           "::mlir::OpFoldResult":$length)>
  ];
  let extraClassDeclaration = [{
    /// Entries of `operandDims` that are no dims.
    static constexpr int64_t Whole = -1, Unused = -2;
  }];
}

#endif
