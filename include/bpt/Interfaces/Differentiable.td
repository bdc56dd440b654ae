// How an op builds its vector-Jacobian product.
#ifndef BPT_INTERFACES_DIFFERENTIABLE_TD
#define BPT_INTERFACES_DIFFERENTIABLE_TD

include "mlir/IR/OpBase.td"

def BPT_DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::bpt";
  let description = [{
    An op that knows its vector-Jacobian product (VJP). bpt ops, linalg, arith, tensor and func ops have external models; a
    downstream dialect registers its own. An op on the path of a gradient without this interface is an error that names it.
  }];
  let methods = [
    InterfaceMethod<[{
      Emits at the builder's insertion point, for each operand that needs a gradient, the product of the results' cotangents
      with the Jacobian, and hands it to `context`. Values of the forward computation (operands, results) may be used as they
      are. Fails after emitting an error when the op, as it stands, has no gradient.}],
      "::mlir::LogicalResult", "buildVJP", (ins "::mlir::OpBuilder &":$builder, "::bpt::VJPContext &":$context)>,
    InterfaceMethod<[{
      Whether the cotangent of result `number` depends on the operand `operand` at all: false for an operand that only selects
      or addresses (ids, masks, offsets). Default: true for floating-point operands.}],
      "bool", "isDifferentiableOperand", (ins "::mlir::OpOperand &":$operand), [{}],
      [{ return ::bpt::isFloatValue(operand.get()); }]>
  ];
}

#endif
