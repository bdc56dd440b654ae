// Gradients of one block of code while its backward is being built.
#include "bpt/Interfaces/VJPContext.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace bpt {

Value VJPContext::createZero(OpBuilder &builder, Location loc, Value like) {
  Type type = like.getType();
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(getElementTypeOrSelf(type)));
  auto shaped = dyn_cast<RankedTensorType>(type);
  if (!shaped)
    return zero;
  Value empty = tensor::EmptyOp::create(builder, loc, tensor::getMixedSizes(builder, loc, like), shaped.getElementType());
  return linalg::FillOp::create(builder, loc, zero, empty).getResult(0);
}

Value VJPContext::getAccumulator(OpBuilder &builder, Value value) {
  if (Value gradient = getCotangent(value))
    return gradient;
  return createZero(builder, value.getLoc(), value);
}

void VJPContext::addGradient(OpBuilder &builder, Value value, Value gradient) {
  Value before = getCotangent(value);
  if (!before)
    return setGradient(value, gradient);
  if (isa<RankedTensorType>(value.getType()))
    // Into the accumulator, in place after bufferization.
    return setGradient(value, linalg::AddOp::create(builder, value.getLoc(), ValueRange{before, gradient}, before).getResult(0));
  setGradient(value, arith::AddFOp::create(builder, value.getLoc(), before, gradient));
}

} // namespace bpt
