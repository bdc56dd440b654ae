// bpt-lower-structure: checkpoints are inlined or called, blockwise maps become loops with a peeled tail.
#include "bpt/Transforms/Passes.h"
#include "bpt/Transforms/Transforms.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"

namespace bpt {
#define GEN_PASS_DEF_LOWERSTRUCTUREPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {
namespace {

void lowerCheckpoint(IRRewriter &rewriter, CheckpointOp op) {
  rewriter.setInsertionPoint(op);
  if (op.getCalleeAttr()) {
    rewriter.replaceOpWithNewOp<func::CallOp>(op, op.getCalleeAttr(), op.getResultTypes(), op.getInputs());
    return;
  }
  Operation *yield = op.getBody().front().getTerminator();
  rewriter.inlineBlockBefore(&op.getBody().front(), op, op.getInputs());
  rewriter.replaceOp(op, yield->getOperands());
  rewriter.eraseOp(yield);
}

/// Whether nothing reads `value` after `op`, so that its buffer may be written from there on. A wrong yes would cost a copy of
/// the whole buffer, never a wrong result: bufferization decides by itself what is in place.
bool isDeadAfter(Value value, Operation *op) {
  Block *block = op->getBlock();
  if (value.getParentBlock() != block)
    return false; // read again in the next iteration
  for (Operation *user : value.getUsers()) {
    Operation *ancestor = block->findAncestorOpInBlock(*user);
    if (ancestor != op && op->isBeforeInBlock(ancestor))
      return false;
  }
  if (Operation *definition = value.getDefiningOp()) {
    if (definition->hasTrait<OpTrait::ConstantLike>())
      return false;
    // A view of something else is dead when that is.
    if (isa<BarrierOp>(definition))
      return isDeadAfter(definition->getOperand(cast<OpResult>(value).getResultNumber()), op);
    if (isa<tensor::CastOp, tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::ExtractSliceOp>(definition))
      return isDeadAfter(definition->getOperand(0), op);
    return true;
  }
  // The argument of a private function is dead when it is at every call; an entry's arguments are the caller's.
  auto function = dyn_cast<func::FuncOp>(block->getParentOp());
  if (!function || !function.isPrivate())
    return false;
  std::optional<SymbolTable::UseRange> uses = SymbolTable::getSymbolUses(function, function->getParentOp());
  return uses && llvm::all_of(*uses, [&](SymbolTable::SymbolUse use) {
    auto call = dyn_cast<func::CallOp>(use.getUser());
    if (!call || call->getParentOfType<func::FuncOp>() == function)
      return false;
    Value operand = call.getOperand(cast<BlockArgument>(value).getArgNumber());
    return llvm::count(call.getOperands(), operand) == 1 && isDeadAfter(operand, call);
  });
}

/// The size of dim `dim` of a value of the body, in terms of the op's operands: for dims other than the sequence.
FailureOr<OpFoldResult> getOuterSize(OpBuilder &builder, BlockwiseOp op, Value value, int64_t dim) {
  auto type = cast<RankedTensorType>(value.getType());
  if (!type.isDynamicDim(dim))
    return OpFoldResult(builder.getIndexAttr(type.getDimSize(dim)));
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    if (argument.getOwner() != op.getBodyBlock())
      return failure();
    return tensor::getMixedSize(builder, op.getLoc(), op.getOperand(argument.getArgNumber() - 1), dim);
  }
  Operation *definition = value.getDefiningOp();
  if (auto destination = dyn_cast<DestinationStyleOpInterface>(definition))
    return getOuterSize(builder, op, destination.getTiedOpOperand(cast<OpResult>(value))->get(), dim);
  if (auto insert = dyn_cast<tensor::InsertSliceOp>(definition))
    return getOuterSize(builder, op, insert.getDest(), dim);
  if (isa<tensor::CastOp>(definition) || definition->hasTrait<OpTrait::Elementwise>())
    return getOuterSize(builder, op, definition->getOperand(0), dim);
  SmallVector<OpFoldResult> sizes;
  if (auto empty = dyn_cast<tensor::EmptyOp>(definition))
    sizes = empty.getMixedSizes();
  else if (auto expand = dyn_cast<tensor::ExpandShapeOp>(definition))
    sizes = expand.getMixedOutputShape();
  else
    return failure();
  if (std::optional<int64_t> constant = getConstantIntValue(sizes[dim]))
    return OpFoldResult(builder.getIndexAttr(*constant));
  auto size = cast<Value>(sizes[dim]);
  if (auto argument = dyn_cast<BlockArgument>(size); argument && argument.getOwner() == op.getBodyBlock())
    return OpFoldResult(op.getOperand(argument.getArgNumber() - 1));
  if (auto inner = size.getDefiningOp<tensor::DimOp>())
    if (std::optional<int64_t> index = inner.getConstantIndex())
      return getOuterSize(builder, op, inner.getSource(), *index);
  return failure();
}

/// One blockwise op on its way to loops.
class BlockwiseLowering {
public:
  BlockwiseLowering(IRRewriter &rewriter, BlockwiseOp op)
      : rewriter(rewriter), op(op), loc(op.getLoc()), numSliced(op.getNumSlicedResults()) {}

  LogicalResult lower() {
    rewriter.setInsertionPoint(op);
    if (failed(findLength()))
      return failure();
    int64_t block = op.getBlock();
    std::optional<int64_t> length = getConstantIntValue(rows);
    if (length && *length <= block) {
      // One block is the whole: no slices, nothing to carry.
      SmallVector<Value> arguments{getIndex(0)};
      llvm::append_range(arguments, op.getOperands());
      SmallVector<Value> results = cloneWithStaticShapes(rewriter, *op.getBodyBlock(), arguments);
      for (auto [value, result] : llvm::zip_equal(results, op.getResults()))
        if (value.getType() != result.getType())
          value = tensor::CastOp::create(rewriter, loc, result.getType(), value);
      rewriter.replaceOp(op, results);
      return success();
    }
    if (failed(createDestinations()))
      return failure();
    if (length)
      createStaticLoop(*length, block);
    else
      createDynamicLoops(block);
    rewriter.replaceOp(op, carried);
    return success();
  }

private:
  Value getIndex(int64_t value) { return arith::ConstantIndexOp::create(rewriter, loc, value); }

  /// The length of the sequence, from the first value that tells.
  LogicalResult findLength() {
    for (auto [value, dim] : llvm::zip(op->getOperands().take_front(op.getSliced().size()), op.getDims()))
      if (!rows || !getConstantIntValue(rows))
        rows = tensor::getMixedSize(rewriter, loc, value, dim);
    for (unsigned i = 0; i < numSliced && (!rows || !getConstantIntValue(rows)); ++i)
      if (auto type = cast<RankedTensorType>(op.getResult(i).getType()); !type.isDynamicDim(op.getResultDim(i)))
        rows = rewriter.getIndexAttr(type.getDimSize(op.getResultDim(i)));
    if (!rows)
      return op.emitOpError("expected a sliced operand or a static result to tell the length of the sequence, but got neither");
    return success();
  }

  /// What the loop carries: for each sliced result the buffer of a dead sliced operand of its type, else a fresh one; then the
  /// accumulated values.
  LogicalResult createDestinations() {
    for (unsigned i = 0; i < numSliced; ++i) {
      auto type = cast<RankedTensorType>(op.getResult(i).getType());
      int64_t dim = op.getResultDim(i);
      reused.push_back(-1);
      for (auto [index, operand] : llvm::enumerate(op.getSliced())) {
        if (operand.getType() != type || op.getOperandDim(index) != dim || llvm::is_contained(reused, index) ||
            llvm::count(op.getOperands(), operand) != 1 || !isDeadAfter(operand, op))
          continue;
        reused.back() = index;
        carried.push_back(operand);
        break;
      }
      if (reused.back() >= 0)
        continue;
      SmallVector<OpFoldResult> sizes;
      for (int64_t d = 0; d < type.getRank(); ++d) {
        FailureOr<OpFoldResult> size = rows;
        if (d != dim)
          size = getOuterSize(rewriter, op, op.getBodyBlock()->getTerminator()->getOperand(i), d);
        if (failed(size))
          return op.emitOpError("expected dim ") << d << " of result " << i
                 << " to follow from the operands, but got a size the body computes; give it a static shape";
        sizes.push_back(type.isDynamicDim(d) ? *size : OpFoldResult(rewriter.getIndexAttr(type.getDimSize(d))));
      }
      carried.push_back(tensor::EmptyOp::create(rewriter, loc, sizes, type.getElementType()));
    }
    llvm::append_range(carried, op.getAccumulated());
    return success();
  }

  void createStaticLoop(int64_t length, int64_t block) {
    int64_t whole = length / block * block;
    if (whole == block)
      carried = createBlock(getIndex(0), rewriter.getIndexAttr(block), carried);
    else
      createLoop(getIndex(0), getIndex(whole), block, rewriter.getIndexAttr(block));
    if (whole != length)
      carried = createBlock(getIndex(whole), rewriter.getIndexAttr(length - whole), carried);
  }

  /// The tail is a loop of none or one iteration, so that no branch is needed.
  void createDynamicLoops(int64_t block) {
    auto length = cast<Value>(rows);
    Value step = getIndex(block);
    Value count = arith::DivUIOp::create(rewriter, loc, length, step);
    Value whole = arith::MulIOp::create(rewriter, loc, count, step);
    Value rest = arith::SubIOp::create(rewriter, loc, length, whole);
    createLoop(getIndex(0), whole, block, rewriter.getIndexAttr(block));
    createLoop(whole, length, block, rest);
  }

  void createLoop(Value begin, Value end, int64_t step, OpFoldResult length) {
    auto loop = scf::ForOp::create(rewriter, loc, begin, end, getIndex(step), carried,
                                   [&](OpBuilder &, Location, Value offset, ValueRange arguments) {
                                     scf::YieldOp::create(rewriter, loc, createBlock(offset, length, arguments));
                                   });
    carried.assign(loop->result_begin(), loop->result_end());
  }

  /// The body on the block of `length` rows at `offset`; returns what is carried on.
  SmallVector<Value> createBlock(Value offset, OpFoldResult length, ValueRange before) {
    SmallVector<Value> arguments{offset};
    for (auto [index, operand] : llvm::enumerate(op.getSliced())) {
      // An operand whose buffer becomes a result's is read from there.
      auto found = llvm::find(reused, index);
      Value source = found == reused.end() ? operand : before[found - reused.begin()];
      arguments.push_back(extract(source, op.getOperandDim(index), offset, length));
    }
    llvm::append_range(arguments, op.getShared());
    llvm::append_range(arguments, before.drop_front(numSliced));
    SmallVector<Value> after = cloneWithStaticShapes(rewriter, *op.getBodyBlock(), arguments);
    for (unsigned i = 0; i < numSliced; ++i)
      after[i] = insert(after[i], before[i], op.getResultDim(i), offset, length);
    for (unsigned i = numSliced; i < after.size(); ++i)
      if (after[i].getType() != before[i].getType())
        after[i] = tensor::CastOp::create(rewriter, loc, before[i].getType(), after[i]);
    return after;
  }

  Value extract(Value source, int64_t dim, Value offset, OpFoldResult length) {
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(rewriter, loc, source);
    SmallVector<OpFoldResult> offsets(sizes.size(), rewriter.getIndexAttr(0)), strides(sizes.size(), rewriter.getIndexAttr(1));
    sizes[dim] = length;
    offsets[dim] = getAsOpFoldResult(offset);
    return tensor::ExtractSliceOp::create(rewriter, loc, source, offsets, sizes, strides);
  }

  Value insert(Value value, Value destination, int64_t dim, Value offset, OpFoldResult length) {
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(rewriter, loc, destination);
    SmallVector<OpFoldResult> offsets(sizes.size(), rewriter.getIndexAttr(0)), strides(sizes.size(), rewriter.getIndexAttr(1));
    sizes[dim] = length;
    offsets[dim] = getAsOpFoldResult(offset);
    SmallVector<int64_t> shape(cast<RankedTensorType>(destination.getType()).getShape());
    shape[dim] = getConstantIntValue(length).value_or(ShapedType::kDynamic);
    auto type = cast<RankedTensorType>(value.getType()).clone(shape);
    if (value.getType() != type)
      value = tensor::CastOp::create(rewriter, loc, type, value);
    return tensor::InsertSliceOp::create(rewriter, loc, value, destination, offsets, sizes, strides);
  }

  IRRewriter &rewriter;
  BlockwiseOp op;
  Location loc;
  unsigned numSliced;
  OpFoldResult rows;           ///< length of the sequence
  SmallVector<Value> carried;  ///< destinations of the sliced results, accumulated values
  SmallVector<int64_t> reused; ///< per sliced result: the sliced operand whose buffer it takes, or -1
};

class LowerStructure : public impl::LowerStructurePassBase<LowerStructure> {
  using Base::Base;
  void runOnOperation() override {
    if (failed(lowerStructure(getOperation())))
      signalPassFailure();
  }
};

} // namespace

LogicalResult lowerStructure(ModuleOp module) {
  IRRewriter rewriter(module.getContext());
  // Checkpoints first: whether a buffer is dead is then seen in one block, or at the calls.
  SmallVector<CheckpointOp> checkpoints;
  module.walk([&](CheckpointOp op) { checkpoints.push_back(op); });
  for (CheckpointOp op : checkpoints)
    lowerCheckpoint(rewriter, op);
  SmallVector<BlockwiseOp> maps;
  module.walk([&](BlockwiseOp op) { maps.push_back(op); });
  for (BlockwiseOp op : maps)
    if (failed(BlockwiseLowering(rewriter, op).lower()))
      return failure();
  return success();
}

} // namespace bpt
