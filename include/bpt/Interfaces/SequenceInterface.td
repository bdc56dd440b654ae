// How an op acts along the sequence: what bpt-form-blocks needs to cut a layer into blocks.
#ifndef BPT_INTERFACES_SEQUENCEINTERFACE_TD
#define BPT_INTERFACES_SEQUENCEINTERFACE_TD

include "mlir/IR/OpBase.td"

def BPT_SequenceOpInterface : OpInterface<"SequenceOpInterface"> {
  let cppNamespace = "::bpt";
  let description = [{
    An op whose result along a sequence dim can be computed block by block. Row r of the result depends on row r of the
    operands cut along the sequence, and on the whole of every other operand.
  }];
  let methods = [
    InterfaceMethod<[{
      Given that results are cut along `resultDim` (of result 0; other results follow), fills `operandDims` with the dim along
      which each operand is cut, or -1 for an operand seen whole. Fails, without emitting an error, when the op cannot be
      computed block by block along that dim.}],
      "::mlir::LogicalResult", "getSequenceDims",
      (ins "int64_t":$resultDim, "::llvm::SmallVectorImpl<int64_t> &":$operandDims)>,
    InterfaceMethod<"the sequence dim of result `number` given that of result 0", "int64_t", "getResultSequenceDim",
      (ins "unsigned":$number, "int64_t":$resultDim), [{}], [{ return resultDim; }]>,
    InterfaceMethod<[{
      Clones the op for one block: `operands` are the block's operands, the block starts at row `offset` of the sequence and
      has `length` rows (index values or static). Types of results follow the operands.}],
      "::mlir::FailureOr<::mlir::Operation *>", "cloneForBlock",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$operands, "int64_t":$resultDim, "::mlir::Value":$offset,
           "::mlir::OpFoldResult":$length)>
  ];
}

#endif
