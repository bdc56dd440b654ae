// tensor ops, constants and elementwise arith and math ops along the sequence.
#include "Sequence.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

using namespace mlir;

namespace bpt {
namespace {
constexpr int64_t Whole = SequenceOpInterface::Whole, Unused = SequenceOpInterface::Unused;

int64_t getSize(Value value, int64_t dim) { return cast<RankedTensorType>(value.getType()).getDimSize(dim); }

/// The sizes of a tensor of `type` (dynamic ones in order) with `length` for dim `dim`.
SmallVector<OpFoldResult> getBlockSizes(RankedTensorType type, ValueRange dynamicSizes, int64_t dim, OpFoldResult length) {
  SmallVector<OpFoldResult> sizes;
  unsigned next = 0;
  for (int64_t i = 0; i < type.getRank(); ++i) {
    OpFoldResult size = IntegerAttr::get(IndexType::get(type.getContext()), type.getDimSize(i));
    if (type.isDynamicDim(i))
      size = dynamicSizes[next++];
    sizes.push_back(i == dim ? length : size);
  }
  return sizes;
}

/// Operand dims of an op whose operands from `first` on are the dynamic sizes of its result: the one along the sequence is
/// replaced by the length of the block.
void cutDynamicSizes(RankedTensorType type, int64_t resultDim, unsigned first, SmallVectorImpl<int64_t> &operandDims) {
  if (type.isDynamicDim(resultDim))
    operandDims[first + type.getDynamicDimIndex(resultDim)] = Unused;
}

struct EmptyModel : SequenceOpInterface::ExternalModel<EmptyModel, tensor::EmptyOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    operandDims.assign(op->getNumOperands(), Whole);
    cutDynamicSizes(cast<tensor::EmptyOp>(op).getType(), resultDim, 0, operandDims);
    return success();
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t resultDim, Value,
                                       OpFoldResult length) const {
    RankedTensorType type = cast<tensor::EmptyOp>(op).getType();
    return tensor::EmptyOp::create(builder, op->getLoc(), getBlockSizes(type, operands, resultDim, length),
                                   type.getElementType())
        .getOperation();
  }
};

struct SplatModel : SequenceOpInterface::ExternalModel<SplatModel, tensor::SplatOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    operandDims.assign(op->getNumOperands(), Whole);
    cutDynamicSizes(cast<RankedTensorType>(op->getResult(0).getType()), resultDim, 1, operandDims);
    return success();
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t resultDim, Value,
                                       OpFoldResult length) const {
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    return tensor::SplatOp::create(builder, op->getLoc(), operands[0],
                                   getBlockSizes(type, operands.drop_front(), resultDim, length))
        .getOperation();
  }
};

/// A constant of one value is that constant for every block.
struct ConstantModel : SequenceOpInterface::ExternalModel<ConstantModel, arith::ConstantOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    operandDims.clear();
    auto elements = dyn_cast<DenseElementsAttr>(cast<arith::ConstantOp>(op).getValue());
    return success(elements && elements.isSplat() && isa<RankedTensorType>(elements.getType()));
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange, int64_t resultDim, Value,
                                       OpFoldResult length) const {
    auto elements = cast<DenseElementsAttr>(cast<arith::ConstantOp>(op).getValue());
    auto type = cast<RankedTensorType>(elements.getType());
    if (std::optional<int64_t> rows = getConstantIntValue(length))
      return arith::ConstantOp::create(builder, op->getLoc(), elements.resizeSplat(withDim(type, resultDim, *rows)))
          .getOperation();
    Value scalar = arith::ConstantOp::create(builder, op->getLoc(), elements.getSplatValue<TypedAttr>());
    return tensor::SplatOp::create(builder, op->getLoc(), scalar, getBlockSizes(type, {}, resultDim, length)).getOperation();
  }
};

/// The dim of the other side of a reshape that dim `dim` of one side is: one group, all of whose other dims are 1.
FailureOr<int64_t> getReshapedDim(ArrayRef<ReassociationIndices> groups, RankedTensorType expanded, int64_t dim,
                                  bool fromExpanded) {
  for (auto [index, group] : llvm::enumerate(groups)) {
    if (fromExpanded ? !llvm::is_contained(group, dim) : static_cast<int64_t>(index) != dim)
      continue;
    SmallVector<int64_t> kept = llvm::filter_to_vector(group, [&](int64_t i) { return expanded.getDimSize(i) != 1; });
    if (kept.empty()) // a sequence of one row
      kept.push_back(fromExpanded ? dim : group.front());
    if (kept.size() != 1 || (fromExpanded && kept.front() != dim))
      return failure();
    return fromExpanded ? static_cast<int64_t>(index) : kept.front();
  }
  return failure();
}

struct ExpandModel : SequenceOpInterface::ExternalModel<ExpandModel, tensor::ExpandShapeOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    auto expand = cast<tensor::ExpandShapeOp>(op);
    FailureOr<int64_t> dim = getReshapedDim(expand.getReassociationIndices(), expand.getResultType(), resultDim, true);
    if (failed(dim))
      return failure();
    operandDims.assign(op->getNumOperands(), Whole);
    operandDims[0] = *dim;
    cutDynamicSizes(expand.getResultType(), resultDim, 1, operandDims);
    return success();
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t resultDim, Value,
                                       OpFoldResult length) const {
    auto expand = cast<tensor::ExpandShapeOp>(op);
    auto type = withDim(expand.getResultType(), resultDim, getConstantIntValue(length).value_or(ShapedType::kDynamic));
    return tensor::ExpandShapeOp::create(builder, op->getLoc(), type, operands[0], expand.getReassociationIndices(),
                                         getBlockSizes(expand.getResultType(), operands.drop_front(), resultDim, length))
        .getOperation();
  }
};

struct CollapseModel : SequenceOpInterface::ExternalModel<CollapseModel, tensor::CollapseShapeOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    auto collapse = cast<tensor::CollapseShapeOp>(op);
    FailureOr<int64_t> dim = getReshapedDim(collapse.getReassociationIndices(), collapse.getSrcType(), resultDim, false);
    operandDims.assign(1, succeeded(dim) ? *dim : Whole);
    return dim;
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t, Value,
                                       OpFoldResult) const {
    return tensor::CollapseShapeOp::create(builder, op->getLoc(), operands[0],
                                           cast<tensor::CollapseShapeOp>(op).getReassociationIndices())
        .getOperation();
  }
};

struct CastModel : SequenceOpInterface::ExternalModel<CastModel, tensor::CastOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    operandDims.assign(1, resultDim);
    auto cast = mlir::cast<tensor::CastOp>(op);
    return success(isa<RankedTensorType>(cast.getSource().getType()) && isa<RankedTensorType>(cast.getType()));
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t resultDim, Value,
                                       OpFoldResult) const {
    auto type = cast<RankedTensorType>(op->getResult(0).getType());
    return cloneWithOperands(builder, op, operands, withDim(type, resultDim, getSize(operands[0], resultDim)));
  }
};

/// Whether the slice takes dim `dim` of `source` whole.
template <typename SliceOp>
bool takesWhole(SliceOp slice, Value source, int64_t dim) {
  OpFoldResult size = slice.getMixedSizes()[dim];
  int64_t length = getSize(source, dim);
  return isConstantIntValue(slice.getMixedOffsets()[dim], 0) && isConstantIntValue(slice.getMixedStrides()[dim], 1) &&
         length != ShapedType::kDynamic && isConstantIntValue(size, length);
}

/// The dim of the full-rank side of a slice that dim `dim` of its rank-reduced side is.
int64_t getUnreducedDim(const llvm::SmallBitVector &dropped, int64_t dim) {
  for (int64_t i = 0; i < static_cast<int64_t>(dropped.size()); ++i)
    if (!dropped[i] && dim-- == 0)
      return i;
  return -1;
}

/// A slice of other dims; the sequence is taken whole.
struct ExtractSliceModel : SequenceOpInterface::ExternalModel<ExtractSliceModel, tensor::ExtractSliceOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    auto slice = cast<tensor::ExtractSliceOp>(op);
    int64_t dim = getUnreducedDim(slice.getDroppedDims(), resultDim);
    operandDims.assign(op->getNumOperands(), Whole);
    operandDims[0] = dim;
    return success(takesWhole(slice, slice.getSource(), dim));
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t resultDim, Value,
                                       OpFoldResult length) const {
    auto slice = cast<tensor::ExtractSliceOp>(cloneWithOperands(builder, op, operands, op->getResultTypes()));
    SmallVector<OpFoldResult> sizes = slice.getMixedSizes();
    sizes[getUnreducedDim(slice.getDroppedDims(), resultDim)] = length;
    auto type = withDim(slice.getType(), resultDim, getConstantIntValue(length).value_or(ShapedType::kDynamic));
    auto result = tensor::ExtractSliceOp::create(builder, op->getLoc(), type, operands[0], slice.getMixedOffsets(), sizes,
                                                 slice.getMixedStrides());
    slice.erase();
    return result.getOperation();
  }
};

struct InsertSliceModel : SequenceOpInterface::ExternalModel<InsertSliceModel, tensor::InsertSliceOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    auto slice = cast<tensor::InsertSliceOp>(op);
    llvm::SmallBitVector dropped = slice.getDroppedDims();
    if (dropped[resultDim] || !takesWhole(slice, slice.getDest(), resultDim))
      return failure();
    operandDims.assign(op->getNumOperands(), Whole);
    operandDims[1] = resultDim;
    operandDims[0] = resultDim - llvm::count_if(llvm::seq<int64_t>(0, resultDim), [&](int64_t i) { return dropped[i]; });
    return success();
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t resultDim, Value,
                                       OpFoldResult length) const {
    auto slice = cast<tensor::InsertSliceOp>(cloneWithOperands(builder, op, operands, operands[1].getType()));
    SmallVector<OpFoldResult> sizes = slice.getMixedSizes();
    sizes[resultDim] = length;
    auto result = tensor::InsertSliceOp::create(builder, op->getLoc(), operands[0], operands[1], slice.getMixedOffsets(),
                                                sizes, slice.getMixedStrides());
    slice.erase();
    return result.getOperation();
  }
};

struct ConcatModel : SequenceOpInterface::ExternalModel<ConcatModel, tensor::ConcatOp> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    operandDims.assign(op->getNumOperands(), resultDim);
    return success(static_cast<int64_t>(cast<tensor::ConcatOp>(op).getDim()) != resultDim);
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t, Value,
                                       OpFoldResult) const {
    return tensor::ConcatOp::create(builder, op->getLoc(), cast<tensor::ConcatOp>(op).getDim(), operands).getOperation();
  }
};

/// Tensors of one shape, element by element; scalars (the condition of a select) are seen whole.
template <typename OpTy>
struct ElementwiseModel : SequenceOpInterface::ExternalModel<ElementwiseModel<OpTy>, OpTy> {
  LogicalResult getSequenceDims(Operation *op, int64_t resultDim, SmallVectorImpl<int64_t> &operandDims) const {
    operandDims.clear();
    for (Value operand : op->getOperands())
      operandDims.push_back(isa<RankedTensorType>(operand.getType()) ? resultDim : Whole);
    return success(llvm::all_of(op->getResultTypes(), llvm::IsaPred<RankedTensorType>));
  }
  FailureOr<Operation *> cloneForBlock(Operation *op, OpBuilder &builder, ValueRange operands, int64_t, Value,
                                       OpFoldResult) const {
    Value shaped = *llvm::find_if(operands, [](Value value) { return isa<RankedTensorType>(value.getType()); });
    SmallVector<Type> types;
    for (Type type : op->getResultTypes())
      types.push_back(cast<RankedTensorType>(type).clone(cast<RankedTensorType>(shaped.getType()).getShape()));
    return cloneWithOperands(builder, op, operands, types);
  }
};

template <typename... Ops>
void attachElementwise(MLIRContext &context) {
  auto attachOne = [&](auto *op) {
    using OpTy = std::remove_pointer_t<decltype(op)>;
    if constexpr (OpTy::template hasTrait<OpTrait::Elementwise>())
      OpTy::template attachInterface<ElementwiseModel<OpTy>>(context);
  };
  (attachOne(static_cast<Ops *>(nullptr)), ...);
}

} // namespace

void attachTensorSequenceModels(MLIRContext &context) {
  tensor::EmptyOp::attachInterface<EmptyModel>(context);
  tensor::SplatOp::attachInterface<SplatModel>(context);
  tensor::ExpandShapeOp::attachInterface<ExpandModel>(context);
  tensor::CollapseShapeOp::attachInterface<CollapseModel>(context);
  tensor::CastOp::attachInterface<CastModel>(context);
  tensor::ExtractSliceOp::attachInterface<ExtractSliceModel>(context);
  tensor::InsertSliceOp::attachInterface<InsertSliceModel>(context);
  tensor::ConcatOp::attachInterface<ConcatModel>(context);
}

void attachArithSequenceModels(MLIRContext &context) {
  arith::ConstantOp::attachInterface<ConstantModel>(context);
  attachElementwise<
#define GET_OP_LIST
#include "mlir/Dialect/Arith/IR/ArithOps.cpp.inc"
      >(context);
}

void attachMathSequenceModels(MLIRContext &context) {
  attachElementwise<
#define GET_OP_LIST
#include "mlir/Dialect/Math/IR/MathOps.cpp.inc"
      >(context);
}

} // namespace bpt
