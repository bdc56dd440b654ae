// VJPs of tensor ops. Slices, reshapes and casts are views: VJPContext keeps their gradients in the source's.
#include "Gradients.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Utils/IndexingUtils.h"

using namespace mlir;

namespace bpt {
namespace {

/// The gradient of a view is in its source's already; only what VJPContext cannot see through comes here.
template <typename OpTy>
struct ViewModel : DifferentiableOpInterface::ExternalModel<ViewModel<OpTy>, OpTy> {
  LogicalResult buildVJP(Operation *op, OpBuilder &, VJPContext &) const {
    return op->emitOpError("expected a view of a ranked tensor to have a gradient, but got ") << op->getOperand(0).getType();
  }
};

struct InsertSliceModel : DifferentiableOpInterface::ExternalModel<InsertSliceModel, tensor::InsertSliceOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<tensor::InsertSliceOp>(operation);
    Location loc = op.getLoc();
    Value cotangent = context.getCotangent(op.getResult());
    if (context.needsGradient(op.getSource())) {
      Value part = tensor::ExtractSliceOp::create(builder, loc, op.getSourceType(), cotangent, op.getMixedOffsets(),
                                                  op.getMixedSizes(), op.getMixedStrides());
      context.addGradient(builder, op.getSource(), part);
    }
    if (context.needsGradient(op.getDest())) {
      // What was overwritten has no influence.
      Value zero = VJPContext::createZero(builder, loc, op.getSource());
      Value rest = tensor::InsertSliceOp::create(builder, loc, zero, cotangent, op.getMixedOffsets(), op.getMixedSizes(),
                                                 op.getMixedStrides());
      context.addGradient(builder, op.getDest(), rest);
    }
    return success();
  }
};

struct ConcatModel : DifferentiableOpInterface::ExternalModel<ConcatModel, tensor::ConcatOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<tensor::ConcatOp>(operation);
    Location loc = op.getLoc();
    Value cotangent = context.getCotangent(op.getResult());
    int64_t dim = op.getDim(), rank = cast<RankedTensorType>(op.getResultType()).getRank();
    SmallVector<OpFoldResult> strides(rank, builder.getIndexAttr(1)), offsets(rank, builder.getIndexAttr(0));
    for (Value input : op.getInputs()) {
      SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, input);
      if (context.needsGradient(input)) {
        Value part = tensor::ExtractSliceOp::create(builder, loc, cast<RankedTensorType>(input.getType()), cotangent, offsets,
                                                    sizes, strides);
        context.addGradient(builder, input, part);
      }
      AffineExpr a = builder.getAffineDimExpr(0), b = builder.getAffineDimExpr(1);
      offsets[dim] = affine::makeComposedFoldedAffineApply(builder, loc, a + b, {offsets[dim], sizes[dim]});
    }
    return success();
  }
};

struct PadModel : DifferentiableOpInterface::ExternalModel<PadModel, tensor::PadOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<tensor::PadOp>(operation);
    Location loc = op.getLoc();
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, op.getSource());
    SmallVector<OpFoldResult> strides(sizes.size(), builder.getIndexAttr(1));
    Value part = tensor::ExtractSliceOp::create(builder, loc, op.getSourceType(), context.getCotangent(op.getResult()),
                                                op.getMixedLowPad(), sizes, strides);
    context.addGradient(builder, op.getSource(), part);
    return success();
  }
};

/// The sum of all elements, a scalar of their type.
Value createSum(OpBuilder &builder, Location loc, Value tensor) {
  auto type = cast<RankedTensorType>(tensor.getType());
  Type accumulator = getAccumulatorType(type.getElementType());
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(accumulator));
  Value sum = tensor::EmptyOp::create(builder, loc, ArrayRef<int64_t>{}, accumulator);
  sum = linalg::FillOp::create(builder, loc, zero, sum).getResult(0);
  AffineMap identity = builder.getMultiDimIdentityMap(type.getRank());
  SmallVector<AffineMap> maps = {identity, AffineMap::get(type.getRank(), 0, builder.getContext())};
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::reduction);
  sum = linalg::GenericOp::create(builder, loc, sum.getType(), tensor, sum, maps, iterators,
                                  [&](OpBuilder &inner, Location, ValueRange a) {
    Value wide = convertFloat(inner, loc, accumulator, a[0]);
    linalg::YieldOp::create(inner, loc, arith::AddFOp::create(inner, loc, a[1], wide).getResult());
  }).getResult(0);
  sum = tensor::ExtractOp::create(builder, loc, sum, ValueRange());
  return convertFloat(builder, loc, type.getElementType(), sum);
}

struct SplatModel : DifferentiableOpInterface::ExternalModel<SplatModel, tensor::SplatOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<tensor::SplatOp>(operation);
    context.addGradient(builder, op.getInput(), createSum(builder, op.getLoc(), context.getCotangent(op.getResult())));
    return success();
  }
};

struct ExtractModel : DifferentiableOpInterface::ExternalModel<ExtractModel, tensor::ExtractOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<tensor::ExtractOp>(operation);
    Location loc = op.getLoc();
    Value accumulator = context.getAccumulator(builder, op.getTensor());
    Value before = tensor::ExtractOp::create(builder, loc, accumulator, op.getIndices());
    Value cotangent = convertFloat(builder, loc, before.getType(), context.getCotangent(op.getResult()));
    Value after = arith::AddFOp::create(builder, loc, before, cotangent);
    context.setGradient(builder, op.getTensor(),
                        tensor::InsertOp::create(builder, loc, after, accumulator, op.getIndices()).getResult());
    return success();
  }
};

struct InsertModel : DifferentiableOpInterface::ExternalModel<InsertModel, tensor::InsertOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<tensor::InsertOp>(operation);
    Location loc = op.getLoc();
    Value cotangent = context.getCotangent(op.getResult());
    if (context.needsGradient(op.getScalar()))
      context.addGradient(builder, op.getScalar(), tensor::ExtractOp::create(builder, loc, cotangent, op.getIndices()));
    if (context.needsGradient(op.getDest())) {
      Value zero = VJPContext::createZero(builder, loc, op.getScalar());
      context.addGradient(builder, op.getDest(), tensor::InsertOp::create(builder, loc, zero, cotangent, op.getIndices()));
    }
    return success();
  }
};

struct FromElementsModel : DifferentiableOpInterface::ExternalModel<FromElementsModel, tensor::FromElementsOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<tensor::FromElementsOp>(operation);
    Location loc = op.getLoc();
    auto type = cast<RankedTensorType>(op.getType());
    SmallVector<int64_t> strides = computeStrides(type.getShape());
    for (auto [i, element] : llvm::enumerate(op.getElements())) {
      if (!context.needsGradient(element))
        continue;
      SmallVector<Value> indices;
      for (int64_t index : delinearize(i, strides))
        indices.push_back(arith::ConstantIndexOp::create(builder, loc, index));
      context.addGradient(builder, element,
                          tensor::ExtractOp::create(builder, loc, context.getCotangent(op.getResult()), indices));
    }
    return success();
  }
};

} // namespace

void registerTensorGradients(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, tensor::TensorDialect *) {
    tensor::ExpandShapeOp::attachInterface<ViewModel<tensor::ExpandShapeOp>>(*context);
    tensor::CollapseShapeOp::attachInterface<ViewModel<tensor::CollapseShapeOp>>(*context);
    tensor::ExtractSliceOp::attachInterface<ViewModel<tensor::ExtractSliceOp>>(*context);
    tensor::CastOp::attachInterface<ViewModel<tensor::CastOp>>(*context);
    tensor::InsertSliceOp::attachInterface<InsertSliceModel>(*context);
    tensor::ConcatOp::attachInterface<ConcatModel>(*context);
    tensor::PadOp::attachInterface<PadModel>(*context);
    tensor::SplatOp::attachInterface<SplatModel>(*context);
    tensor::ExtractOp::attachInterface<ExtractModel>(*context);
    tensor::InsertOp::attachInterface<InsertModel>(*context);
    tensor::FromElementsOp::attachInterface<FromElementsModel>(*context);
  });
}

} // namespace bpt
