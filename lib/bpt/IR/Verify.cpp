// Checks that verifiers share.
#include "Verify.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CheckedArithmetic.h"

using namespace mlir;

namespace bpt {

LogicalResult ShapeChecker::agree(Dim &dim, int64_t size, StringRef letter, StringRef name, Value value) {
  if (ShapedType::isDynamic(size))
    return success();
  if (!dim.size) {
    dim = {size, name};
    return success();
  }
  if (*dim.size == size)
    return success();
  return op->emitOpError("expected ") << letter << " = " << *dim.size << " as in " << dim.origin << ", but got " << size
                                      << " in " << name << " of type " << value.getType();
}

LogicalResult ShapeChecker::check(StringRef name, Value value, StringRef dims) {
  return check(name, value, dims, element);
}

LogicalResult ShapeChecker::check(StringRef name, Value value, StringRef dims, Type elementType) {
  if (!value)
    return success();
  auto type = getShape(value);
  if (type.getElementType() != elementType)
    return op->emitOpError("expected ") << name << " of " << elementType << ", but got " << value.getType();

  bool anyLeading = dims.consume_front("*");
  size_t rank = type.getRank();
  if (anyLeading ? rank < dims.size() : rank != dims.size())
    return op->emitOpError("expected ") << name << " of rank " << dims.size() << (anyLeading ? " or more" : "")
                                        << ", but got " << value.getType();
  ArrayRef<int64_t> shape = type.getShape();
  if (anyLeading) {
    ArrayRef<int64_t> sizes = shape.drop_back(dims.size());
    if (!leading)
      leading.emplace(sizes.size());
    if (leading->size() != sizes.size())
      return op->emitOpError("expected ")
             << leading->size() << " leading dims in " << name << ", but got " << value.getType();
    for (auto [i, dim, size] : llvm::enumerate(*leading, sizes))
      if (failed(agree(dim, size, ("dim " + Twine(i)).str(), name, value)))
        return failure();
  }
  for (auto [letter, size] : llvm::zip(dims, shape.take_back(dims.size()))) {
    bool broadcast = llvm::isLower(letter);
    if (broadcast && size == 1)
      continue;
    char upper = llvm::toUpper(letter);
    if (failed(agree(letters[upper - 'A'], size, StringRef(&upper, 1), name, value)))
      return failure();
  }
  return success();
}

LogicalResult ShapeChecker::checkPositive(StringRef dims) {
  for (char letter : dims)
    if (getSize(letter) == 0)
      return op->emitOpError("expected ")
             << StringRef(&letter, 1) << " > 0, but got 0 in " << letters[letter - 'A'].origin;
  return success();
}

LogicalResult verifyGradient(Operation *op, StringRef name, Value value, StringRef likeName, Value like) {
  auto type = getShape(value), likeType = getShape(like);
  Type element = type.getElementType(), likeElement = likeType.getElementType();
  if ((element == likeElement || element == getAccumulatorType(likeElement)) &&
      succeeded(verifyCompatibleShape(type.getShape(), likeType.getShape())))
    return success();
  return op->emitOpError("expected ") << name << " of the type of " << likeName << ", " << likeType << ", but got "
                                      << type;
}

LogicalResult verifyByteSizes(Operation *op, TypeRange types) {
  for (Type type : types) {
    auto shaped = dyn_cast<ShapedType>(type);
    if (!shaped || !shaped.hasRank() || !shaped.getElementType().isIntOrFloat())
      continue;
    std::optional<int64_t> bytes = llvm::divideCeil(shaped.getElementTypeBitWidth(), 8);
    for (int64_t size : shaped.getShape())
      if (bytes && !ShapedType::isDynamic(size) && size != 0)
        bytes = llvm::checkedMul(*bytes, size);
    if (!bytes)
      return op->emitOpError("expected fewer than 2^63 bytes, but got ") << type;
  }
  return success();
}

LogicalResult verifyDestination(DestinationStyleOpInterface op, unsigned min, unsigned max) {
  unsigned outs = op.getNumDpsInits();
  if (outs < min || outs > max) {
    InFlightDiagnostic error = op->emitOpError("expected ") << min;
    if (max != min)
      error << (max == min + 1 ? " or " : " to ") << max;
    return error << (max == 1 ? " out" : " outs") << ", but got " << outs;
  }
  bool buffers = isa<MemRefType>(op.getDpsInitOperand(0)->get().getType());
  for (Type type : op->getOperandTypes())
    if (isa<TensorType, BaseMemRefType>(type) && isa<BaseMemRefType>(type) != buffers)
      return op->emitOpError("expected ")
             << (buffers ? "memrefs" : "tensors") << " only, as the first out, but got " << type;
  return verifyByteSizes(op, op->getOperandTypes());
}

LogicalResult verifyProbability(Operation *op, StringRef name, const APFloat &value) {
  double number = value.convertToDouble();
  if (number >= 0 && number < 1)
    return success();
  return op->emitOpError("expected 0 <= ") << name << " < 1, but got " << number;
}

LogicalResult verifyFinite(Operation *op, StringRef name, const APFloat &value) {
  if (value.isFinite())
    return success();
  return op->emitOpError("expected a finite ") << name << ", but got " << value.convertToDouble();
}

LogicalResult verifyPositive(Operation *op, StringRef name, const APFloat &value) {
  if (value.isFinite() && value.convertToDouble() > 0)
    return success();
  return op->emitOpError("expected a finite ") << name << " > 0, but got " << value.convertToDouble();
}

LogicalResult verifyNonNegative(Operation *op, StringRef name, const APFloat &value) {
  if (value.isFinite() && value.convertToDouble() >= 0)
    return success();
  return op->emitOpError("expected a finite ") << name << " >= 0, but got " << value.convertToDouble();
}

} // namespace bpt
