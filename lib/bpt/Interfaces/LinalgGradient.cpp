// VJPs of structured linalg ops: contractions become contractions into the accumulator, everything else is pointwise.
#include "Gradients.h"

using namespace mlir;

namespace bpt {
namespace {

/// Whether linalg.contract can have these maps: every loop of the out is in an input, every other loop, of which there is one
/// at least, in both.
bool isContraction(AffineMap a, AffineMap b, AffineMap out) {
  if (!a.isProjectedPermutation() || !b.isProjectedPermutation() || !out.isProjectedPermutation())
    return false;
  for (unsigned dim = 0; dim < out.getNumDims(); ++dim) {
    bool inA = a.isFunctionOfDim(dim), inB = b.isFunctionOfDim(dim);
    if (out.isFunctionOfDim(dim) ? !inA && !inB : !inA || !inB)
      return false;
  }
  return out.getNumResults() < out.getNumDims();
}

/// gradient of `target` += a * b, summed over the loops that `targetMap` does not name.
void addContraction(OpBuilder &builder, VJPContext &context, Value target, AffineMap targetMap, Value a, AffineMap mapA,
                    Value b, AffineMap mapB) {
  Location loc = target.getLoc();
  auto getWidth = [](Value value) { return getElementTypeOrSelf(value.getType()).getIntOrFloatBitWidth(); };
  auto contract = [&](Value out) {
    return linalg::ContractOp::create(builder, loc, out.getType(), ValueRange{a, b}, out,
                                      builder.getAffineMapArrayAttr({mapA, mapB, targetMap}))
        .getResult(0);
  };
  // linalg.contract takes its inputs in the type of its out: a wider cotangent must not be rounded before the product.
  Value wider = getWidth(a) > getWidth(b) ? a : b;
  Value out = context.getAccumulator(builder, target);
  if (getWidth(wider) > getWidth(out)) {
    Value zero = VJPContext::createZero(builder, loc, target, getElementTypeOrSelf(wider.getType()));
    return context.addGradient(builder, target, contract(zero));
  }
  context.setGradient(builder, target, contract(out));
}

LogicalResult buildContractionVJP(linalg::LinalgOp op, OpBuilder &builder, VJPContext &context) {
  Value a = op.getDpsInputs()[0], b = op.getDpsInputs()[1], init = op.getDpsInits()[0];
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  Value cotangent = context.getCotangent(op->getResult(0));
  if (context.needsGradient(a))
    addContraction(builder, context, a, maps[0], cotangent, maps[2], b, maps[1]);
  if (context.needsGradient(b))
    addContraction(builder, context, b, maps[1], a, maps[0], cotangent, maps[2]);
  if (context.needsGradient(init))
    context.addGradient(builder, init, cotangent);
  return success();
}

bool hasContractionGradient(linalg::LinalgOp op) {
  if (!linalg::isaContractionOpInterface(op) || op->getNumResults() != 1)
    return false;
  SmallVector<AffineMap> maps = op.getIndexingMapsArray();
  return isContraction(maps[2], maps[1], maps[0]) && isContraction(maps[0], maps[2], maps[1]);
}

template <typename OpTy>
struct LinalgModel : DifferentiableOpInterface::ExternalModel<LinalgModel<OpTy>, OpTy> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<linalg::LinalgOp>(operation);
    if (hasContractionGradient(op))
      return buildContractionVJP(op, builder, context);
    PointwiseOp pointwise{op,
                          op.getDpsInputs(),
                          llvm::to_vector(op.getDpsInits()),
                          SmallVector<Value>(op->getResults()),
                          {},
                          {},
                          static_cast<unsigned>(op.getNumLoops()),
                          op.getBlock()};
    SmallVector<AffineMap> maps = op.getIndexingMapsArray();
    pointwise.inputMaps.assign(maps.begin(), maps.begin() + op.getNumDpsInputs());
    pointwise.resultMaps.assign(maps.begin() + op.getNumDpsInputs(), maps.end());
    return buildPointwiseVJP(pointwise, builder, context);
  }
  bool isDifferentiableOperand(Operation *op, OpOperand &operand) const {
    return isFloatValue(operand.get()) && cast<linalg::LinalgOp>(op).payloadUsesValueFromOperand(&operand);
  }
};

/// y = softmax(x) along a dim: dx += y * (dy - sum(dy * y)).
struct SoftmaxModel : DestinationGradientModel<SoftmaxModel, linalg::SoftmaxOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<linalg::SoftmaxOp>(operation);
    Location loc = op.getLoc();
    Value y = op->getResult(0), cotangent = context.getCotangent(y);
    auto type = cast<RankedTensorType>(y.getType());
    int64_t rank = type.getRank(), dim = op.getDimension();
    Type accumulator = getAccumulatorType(type.getElementType());

    AffineMap identity = builder.getMultiDimIdentityMap(rank), rows = identity.dropResult(dim);
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, op.getInput());
    sizes.erase(sizes.begin() + dim);
    Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(accumulator));
    Value sums = tensor::EmptyOp::create(builder, loc, sizes, accumulator);
    sums = linalg::FillOp::create(builder, loc, zero, sums).getResult(0);
    SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
    auto wide = [&](OpBuilder &inner, Value value) { return convertFloat(inner, loc, accumulator, value); };
    iterators[dim] = utils::IteratorType::reduction;
    sums = linalg::GenericOp::create(builder, loc, sums.getType(), ValueRange{cotangent, y}, sums,
                                     ArrayRef<AffineMap>{identity, identity, rows}, iterators,
                                     [&](OpBuilder &inner, Location, ValueRange a) {
      Value product = arith::MulFOp::create(inner, loc, wide(inner, a[0]), wide(inner, a[1]));
      linalg::YieldOp::create(inner, loc, arith::AddFOp::create(inner, loc, a[2], product).getResult());
    }).getResult(0);
    iterators[dim] = utils::IteratorType::parallel;
    Value dx = VJPContext::createEmpty(builder, loc, y);
    dx = linalg::GenericOp::create(builder, loc, dx.getType(), ValueRange{cotangent, y, sums}, dx,
                                   ArrayRef<AffineMap>{identity, identity, rows, identity}, iterators,
                                   [&](OpBuilder &inner, Location, ValueRange a) {
      Value difference = arith::SubFOp::create(inner, loc, wide(inner, a[0]), a[2]);
      Value product = arith::MulFOp::create(inner, loc, wide(inner, a[1]), difference);
      linalg::YieldOp::create(inner, loc, convertFloat(inner, loc, type.getElementType(), product));
    }).getResult(0);
    context.addGradient(builder, op.getInput(), dx);
    return success();
  }
};

template <typename... Ops>
void attachLinalgModels(MLIRContext *context) {
  (Ops::template attachInterface<LinalgModel<Ops>>(*context), ...);
}

} // namespace

void registerLinalgGradients(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, linalg::LinalgDialect *) {
    attachLinalgModels<
#define GET_OP_LIST
#include "mlir/Dialect/Linalg/IR/LinalgStructuredOps.cpp.inc"
        >(context);
    linalg::SoftmaxOp::attachInterface<SoftmaxModel>(*context);
  });
}

} // namespace bpt
