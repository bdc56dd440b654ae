// Gradients of straight-line code while its backward is being built: accumulators, views, sums.
#include "bpt/Interfaces/VJPContext.h"
#include "Gradients.h"

using namespace mlir;

namespace bpt {

//===----------------------------------------------------------------------===//
// Shapes and zeros
//===----------------------------------------------------------------------===//

/// The size of a dim without keeping `value` alive where its destination tells.
static OpFoldResult getSize(OpBuilder &builder, Location loc, Value value, int64_t dim) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!type.isDynamicDim(dim))
    return builder.getIndexAttr(type.getDimSize(dim));
  while (Operation *op = value.getDefiningOp()) {
    if (auto empty = dyn_cast<tensor::EmptyOp>(op))
      return empty.getMixedSizes()[dim];
    if (auto conversion = dyn_cast<tensor::CastOp>(op); conversion && isa<RankedTensorType>(conversion.getSource().getType()))
      value = conversion.getSource();
    else if (auto destination = dyn_cast<DestinationStyleOpInterface>(op))
      value = destination.getTiedOpOperand(cast<OpResult>(value))->get();
    else
      break;
  }
  return tensor::getMixedSize(builder, loc, value, dim);
}

static SmallVector<OpFoldResult> getSizes(OpBuilder &builder, Location loc, Value value) {
  SmallVector<OpFoldResult> sizes;
  for (int64_t dim = 0, rank = cast<RankedTensorType>(value.getType()).getRank(); dim < rank; ++dim)
    sizes.push_back(getSize(builder, loc, value, dim));
  return sizes;
}

Value VJPContext::createEmpty(OpBuilder &builder, Location loc, Value like, Type element) {
  auto type = cast<RankedTensorType>(like.getType());
  element = element ? element : type.getElementType();
  Value empty = tensor::EmptyOp::create(builder, loc, getSizes(builder, loc, like), element);
  // Sizes found behind a cast may be better known than the type says.
  auto wanted = RankedTensorType::get(type.getShape(), element);
  return empty.getType() == wanted ? empty : tensor::CastOp::create(builder, loc, wanted, empty).getResult();
}

Value VJPContext::createZero(OpBuilder &builder, Location loc, Value like, Type element) {
  element = element ? element : getElementTypeOrSelf(like.getType());
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(element));
  if (!isa<RankedTensorType>(like.getType()))
    return zero;
  return linalg::FillOp::create(builder, loc, zero, createEmpty(builder, loc, like, element)).getResult(0);
}

//===----------------------------------------------------------------------===//
// Views
//===----------------------------------------------------------------------===//

static RankedTensorType withElement(Type type, Type elementOf) {
  return cast<RankedTensorType>(type).clone(getElementTypeOrSelf(elementOf));
}

static Value castTo(OpBuilder &builder, Location loc, Type type, Value value) {
  return value.getType() == type ? value : tensor::CastOp::create(builder, loc, type, value).getResult();
}

/// The tensor or scalar that `value` shows all or a part of, if its gradient is kept there.
Value VJPContext::getViewSource(Value value) const {
  Operation *op = value.getDefiningOp();
  if (!op)
    return {};
  Value source;
  if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::ExtractSliceOp>(op) ||
      (isa<tensor::CastOp>(op) && isa<RankedTensorType>(op->getOperand(0).getType()) &&
       isa<RankedTensorType>(value.getType())))
    source = op->getOperand(0);
  else if (isa<BarrierOp>(op))
    source = op->getOperand(cast<OpResult>(value).getResultNumber());
  return needsGradient(source) ? source : Value();
}

/// The part of `accumulator`, of the shape of the view's source, that `view` shows.
static Value applyView(OpBuilder &builder, Value view, Value accumulator) {
  Location loc = view.getLoc();
  Operation *op = view.getDefiningOp();
  if (isa<BarrierOp>(op))
    return accumulator;
  RankedTensorType type = withElement(view.getType(), accumulator.getType());
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return tensor::ExpandShapeOp::create(builder, loc, type, accumulator, expand.getReassociationIndices(),
                                         expand.getMixedOutputShape());
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return tensor::CollapseShapeOp::create(builder, loc, type, accumulator, collapse.getReassociationIndices());
  if (auto slice = dyn_cast<tensor::ExtractSliceOp>(op))
    return tensor::ExtractSliceOp::create(builder, loc, type, accumulator, slice.getMixedOffsets(), slice.getMixedSizes(),
                                          slice.getMixedStrides());
  return castTo(builder, loc, type, accumulator);
}

/// `gradient`, of the shape of `view`, in the shape of its source; not for slices.
static Value undoView(OpBuilder &builder, Value view, Value gradient) {
  Location loc = view.getLoc();
  Operation *op = view.getDefiningOp();
  if (isa<BarrierOp>(op))
    return gradient;
  Value source = op->getOperand(0);
  RankedTensorType type = withElement(source.getType(), gradient.getType());
  if (auto expand = dyn_cast<tensor::ExpandShapeOp>(op))
    return castTo(builder, loc, type,
                  tensor::CollapseShapeOp::create(builder, loc, gradient, expand.getReassociationIndices()));
  if (auto collapse = dyn_cast<tensor::CollapseShapeOp>(op))
    return tensor::ExpandShapeOp::create(builder, loc, type, gradient, collapse.getReassociationIndices(),
                                         getSizes(builder, loc, source));
  return castTo(builder, loc, type, gradient);
}

//===----------------------------------------------------------------------===//
// Accumulators
//===----------------------------------------------------------------------===//

bool VJPContext::hasAccumulator(Value value) const {
  if (Value source = getViewSource(value))
    return value.getDefiningOp<tensor::ExtractSliceOp>() || hasAccumulator(source);
  return gradients.contains(value);
}

Value VJPContext::getAccumulator(OpBuilder &builder, Value value) {
  if (Value source = getViewSource(value)) {
    bool fresh = !hasAccumulator(source);
    Value accumulator = getAccumulator(builder, source);
    // Zeros that are looked at through views are behind a barrier: a slice is taken from and put back into one tensor, and no
    // pass makes it one with the zeros of another gradient.
    if (fresh && !accumulator.getDefiningOp<BarrierOp>() && isa<RankedTensorType>(accumulator.getType())) {
      accumulator = BarrierOp::create(builder, source.getLoc(), accumulator.getType(), accumulator).getResult(0);
      setGradient(builder, source, accumulator);
    }
    return applyView(builder, value, accumulator);
  }
  Value &gradient = gradients[value];
  if (!gradient)
    gradient = createZero(builder, value.getLoc(), value);
  return gradient;
}

void VJPContext::setGradient(OpBuilder &builder, Value value, Value gradient) {
  Value source = getViewSource(value);
  if (!source) {
    gradients[value] = gradient;
    return;
  }
  if (auto slice = value.getDefiningOp<tensor::ExtractSliceOp>())
    gradient = tensor::InsertSliceOp::create(builder, value.getLoc(), gradient, getAccumulator(builder, source),
                                             slice.getMixedOffsets(), slice.getMixedSizes(), slice.getMixedStrides());
  else
    gradient = undoView(builder, value, gradient);
  setGradient(builder, source, gradient);
}

Value convertFloat(OpBuilder &builder, Location loc, Type type, Value value) {
  // Do not round what is wanted wide.
  if (auto rounded = value.getDefiningOp<arith::TruncFOp>(); rounded && rounded.getIn().getType() == type)
    return rounded.getIn();
  unsigned from = value.getType().getIntOrFloatBitWidth(), to = type.getIntOrFloatBitWidth();
  if (value.getType() == type)
    return value;
  if (from == to) { // bf16 and f16
    value = arith::ExtFOp::create(builder, loc, builder.getF32Type(), value);
    from = 32;
  }
  if (from < to)
    return arith::ExtFOp::create(builder, loc, type, value);
  return arith::TruncFOp::create(builder, loc, type, value);
}

/// out = out + value (or value alone without `accumulate`), computed in the wider of both types and rounded once.
static Value createPointwise(OpBuilder &builder, Location loc, Value value, Value out, bool accumulate) {
  int64_t rank = cast<RankedTensorType>(out.getType()).getRank();
  SmallVector<AffineMap> maps(2, builder.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  auto body = [&](OpBuilder &builder, Location loc, ValueRange arguments) {
    Type from = arguments[0].getType(), to = arguments[1].getType();
    Value result = arguments[0];
    if (accumulate) {
      Type wide = from.getIntOrFloatBitWidth() > to.getIntOrFloatBitWidth() ? from : to;
      result = arith::AddFOp::create(builder, loc, convertFloat(builder, loc, wide, arguments[1]),
                                     convertFloat(builder, loc, wide, arguments[0]));
    }
    linalg::YieldOp::create(builder, loc, convertFloat(builder, loc, to, result));
  };
  return linalg::GenericOp::create(builder, loc, out.getType(), value, out, maps, iterators, body).getResult(0);
}

void VJPContext::addGradient(OpBuilder &builder, Value value, Value gradient) {
  Location loc = value.getLoc();
  if (Value source = getViewSource(value)) {
    if (!value.getDefiningOp<tensor::ExtractSliceOp>())
      return addGradient(builder, source, undoView(builder, value, gradient));
    if (!hasAccumulator(source) && getElementTypeOrSelf(gradient.getType()) == getElementTypeOrSelf(value.getType()))
      return setGradient(builder, value, gradient);
    Value part = getAccumulator(builder, value);
    return setGradient(builder, value, createPointwise(builder, loc, gradient, part, /*accumulate=*/true));
  }
  Value &before = gradients[value];
  bool isTensor = isa<RankedTensorType>(value.getType());
  if (!isTensor) {
    gradient = convertFloat(builder, loc, before ? before.getType() : value.getType(), gradient);
    before = before ? arith::AddFOp::create(builder, loc, before, gradient).getResult() : gradient;
  } else if (before) {
    before = createPointwise(builder, loc, gradient, before, /*accumulate=*/true);
  } else {
    bool same = getElementTypeOrSelf(gradient.getType()) == getElementTypeOrSelf(value.getType());
    before = same ? gradient : createPointwise(builder, loc, gradient, createEmpty(builder, loc, value), /*accumulate=*/false);
  }
}

bool VJPContext::ownsGradient(Value gradient) const {
  // Arguments of an entry belong to the caller.
  if (auto argument = dyn_cast<BlockArgument>(gradient))
    if (auto function = dyn_cast_or_null<func::FuncOp>(argument.getOwner()->getParentOp()); function && function.isPublic())
      return false;
  return llvm::count_if(gradients, [&](const auto &entry) { return entry.second == gradient; }) <= 1;
}

bool VJPContext::keepsAll() const { return !policy || *policy == Keep::All; }

void VJPContext::suggestKeeping(Value value, Keep atLeast) {
  if (policy && *policy >= atLeast)
    suggestions.insert(value);
}

void VJPContext::forget(Value value) {
  active.erase(value);
  gradients.erase(value);
  suggestions.remove(value);
}

void VJPContext::replaceForwardOp(Operation *old, Operation *by, ValueRange results) {
  for (auto [before, after] : llvm::zip_equal(old->getResults(), results)) {
    before.replaceAllUsesWith(after);
    if (active.erase(before))
      active.insert(after);
    if (Value gradient = gradients.lookup(before))
      gradients[after] = gradient;
    if (suggestions.contains(before))
      suggestions.insert(after);
    forget(before);
    std::replace(walk->results.begin(), walk->results.end(), Value(before), after);
  }
  llvm::replace(walk->operations, old, by);
  old->erase();
}

//===----------------------------------------------------------------------===//
// GradientOuts
//===----------------------------------------------------------------------===//

/// From a view to what it shows; `sliced` when only a part of it.
static Value getRoot(Value value, bool &sliced) {
  while (Operation *op = value.getDefiningOp()) {
    sliced |= isa<tensor::ExtractSliceOp>(op);
    if (isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::ExtractSliceOp, tensor::CastOp>(op))
      value = op->getOperand(0);
    else if (isa<BarrierOp>(op))
      value = op->getOperand(cast<OpResult>(value).getResultNumber());
    else
      break;
  }
  return value;
}

void GradientOuts::add(Value operand, Type element) {
  if (operand)
    operands.push_back({operand, element, Use::Set});
}

/// An operand given twice has one accumulator, but each out must be a tensor of its own. So must slices of one tensor, even
/// disjoint ones: bufferization cannot tell that they do not overlap.
GradientOuts::Use GradientOuts::chooseUse(unsigned number) const {
  Value operand = operands[number].operand;
  if (!context.needsGradient(operand))
    return Use::Drop;
  bool sliced = false;
  Value root = getRoot(operand, sliced);
  for (auto [i, other] : llvm::enumerate(operands)) {
    bool otherSliced = false;
    if (i == number || !context.needsGradient(other.operand) || getRoot(other.operand, otherSliced) != root)
      continue;
    if (i < number || sliced)
      return Use::Add;
  }
  return Use::Set;
}

ValueRange GradientOuts::getOuts() {
  if (!outs.empty())
    return outs;
  for (auto [i, entry] : llvm::enumerate(operands)) {
    entry.use = chooseUse(i);
    Value out = entry.use == Use::Set ? context.getAccumulator(builder, entry.operand) : Value();
    if (out && entry.element && getElementTypeOrSelf(out.getType()) != entry.element) {
      entry.use = Use::Add;
      out = {};
    }
    outs.push_back(out ? out : VJPContext::createZero(builder, entry.operand.getLoc(), entry.operand, entry.element));
  }
  return outs;
}

void GradientOuts::finish(ValueRange results) {
  for (auto [entry, result] : llvm::zip_equal(operands, results)) {
    if (entry.use == Use::Set)
      context.setGradient(builder, entry.operand, result);
    else if (entry.use == Use::Add)
      context.addGradient(builder, entry.operand, result);
  }
}

} // namespace bpt
