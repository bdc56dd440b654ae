// VJP of bpt.blockwise: again blockwise. Gradients of sliced operands are sliced, gradients of shared operands accumulated; the
// body is computed again block by block, but for values that the forward hands over as further sliced results.
#include "Gradients.h"

using namespace mlir;

namespace bpt {
namespace {

/// The sequence dims of the values of a body, as far as the ops on the way to sliced operands and results tell.
DenseMap<Value, int64_t> findSequenceDims(BlockwiseOp op, const Backward &body, ArrayRef<BlockArgument> slicedArgs,
                                          Value offset) {
  DenseMap<Value, int64_t> dims;
  for (auto [i, argument] : llvm::enumerate(slicedArgs))
    dims[argument] = op.getOperandDim(i);
  for (unsigned i = 0; i < op.getNumSlicedResults(); ++i)
    dims[body.getResults()[i]] = op.getResultDim(i);
  for (Operation *operation : llvm::reverse(body.getOperations())) {
    // Rows of queries are at the offset of the block.
    if (auto attention = dyn_cast<AttentionOp>(operation); attention && attention.getQueryOffset() == offset) {
      dims[attention->getResult(0)] = dims[attention.getQuery()] = 1;
      dims[attention->getResult(1)] = 2;
    }
    auto sequence = dyn_cast<SequenceOpInterface>(operation);
    if (!sequence || operation->getNumResults() == 0 || !dims.contains(operation->getResult(0)))
      continue;
    int64_t first = dims[operation->getResult(0)];
    SmallVector<int64_t> operandDims;
    if (failed(sequence.getSequenceDims(first, operandDims)))
      continue;
    for (unsigned i = 1; i < operation->getNumResults(); ++i)
      dims[operation->getResult(i)] = sequence.getResultSequenceDim(i, first);
    for (auto [operand, dim] : llvm::zip_equal(operation->getOperands(), operandDims))
      if (dim >= 0)
        dims[operand] = dim;
  }
  return dims;
}

class BlockwiseVJP {
public:
  BlockwiseVJP(BlockwiseOp op, OpBuilder &builder, VJPContext &context)
      : op(op), loc(op.getLoc()), builder(builder), context(context), policy(context.getPolicy().value_or(Keep::Input)),
        inner(context.functions, policy), outs(builder, context) {}
  LogicalResult run();

private:
  /// An operand of the new op and the argument that stands for it in its body; `dim` of a sliced one.
  struct Operand {
    Value value;
    BlockArgument argument;
    int64_t dim = -1;
  };
  BlockArgument addSliced(Value value, Type blockType, int64_t dim);
  BlockArgument addShared(Value value);
  BlockArgument addAccumulated(Value value);

  void recomputeBody();
  LogicalResult buildBody();
  void startGradients();
  LogicalResult checkAccumulated();
  Operand *findSummedCotangent(Value gradient);
  bool overwriteCotangent(Value target, BlockArgument argument, Value gradient);
  void endGradients();
  void keepValues();
  BlockwiseOp createForward(ArrayRef<Value> kept, const DenseMap<Value, int64_t> &dims, SmallVectorImpl<unsigned> &numbers);
  void suggestOutside();
  void createOp();

  /// The slice of a whole accumulator that belongs to the block of `argument`.
  SmallVector<OpFoldResult> getOffsets(int64_t rank, int64_t dim);
  SmallVector<OpFoldResult> getSizes(OpBuilder &inner, Value block);

  BlockwiseOp op;
  Location loc;
  OpBuilder &builder;
  VJPContext &context;
  Keep policy;

  /// The body of the new op while it is written; argument 0 is the offset, the others come as they are needed.
  std::unique_ptr<Block> body = std::make_unique<Block>();
  OpBuilder inside = getBuilderAtEnd(*body, builder.getContext());
  VJPContext inner;
  std::optional<Backward> backward;
  SmallVector<Operand> sliced, shared, accumulated;
  /// Arguments for the forward's operands, in order, and placeholders for its accumulated values.
  SmallVector<BlockArgument> forwardArguments;
  SmallVector<Value> cotangents;

  /// Gradients of operands with an accumulator of the whole tensor; the others of sliced operands become sliced results.
  GradientOuts outs;
  struct Whole {
    BlockArgument target, accumulator;
    int64_t dim; ///< -1: of a shared operand
  };
  SmallVector<Whole> wholes;
  SmallVector<std::pair<Value, BlockArgument>> slicedTargets;
  /// Operands whose gradient takes the place of a cotangent.
  SmallVector<Value> overwritten;
  /// What stands for an argument that is such a cotangent's block.
  DenseMap<Value, Value> cotangentParts;
  SmallVector<Value> slicedYields, accumulatedYields;
};

BlockArgument BlockwiseVJP::addSliced(Value value, Type blockType, int64_t dim) {
  sliced.push_back({value, body->addArgument(blockType, loc), dim});
  return sliced.back().argument;
}
BlockArgument BlockwiseVJP::addShared(Value value) {
  shared.push_back({value, body->addArgument(value.getType(), loc)});
  return shared.back().argument;
}
BlockArgument BlockwiseVJP::addAccumulated(Value value) {
  accumulated.push_back({value, body->addArgument(value.getType(), loc)});
  return accumulated.back().argument;
}

/// The forward body on arguments of the new one.
void BlockwiseVJP::recomputeBody() {
  body->addArgument(builder.getIndexType(), loc);
  IRMapping mapping;
  mapping.map(op.getOffset(), body->getArgument(0));
  for (auto [i, value, argument] : llvm::enumerate(op.getSliced(), op.getSlicedArgs()))
    forwardArguments.push_back(addSliced(value, argument.getType(), op.getOperandDim(i)));
  for (Value value : op.getShared())
    forwardArguments.push_back(addShared(value));
  // What the forward accumulated so far is unknown; nothing may ask for it.
  for (Value value : op.getAccumulated())
    forwardArguments.push_back(body->addArgument(value.getType(), loc));
  mapping.map(op.getBodyBlock()->getArguments().drop_front(), forwardArguments);
  backward.emplace(inner, inside, *op.getBodyBlock(), mapping);
}

SmallVector<OpFoldResult> BlockwiseVJP::getOffsets(int64_t rank, int64_t dim) {
  SmallVector<OpFoldResult> offsets(rank, builder.getIndexAttr(0));
  offsets[dim] = body->getArgument(0);
  return offsets;
}

SmallVector<OpFoldResult> BlockwiseVJP::getSizes(OpBuilder &inner, Value block) {
  return tensor::getMixedSizes(inner, loc, block);
}

/// Gives each operand that needs a gradient its accumulator.
void BlockwiseVJP::startGradients() {
  unsigned numSliced = op.getSliced().size();
  SmallVector<std::pair<BlockArgument, int64_t>> targets;
  for (auto [i, value] : llvm::enumerate(op.getSliced())) {
    BlockArgument argument = forwardArguments[i];
    if (!inner.needsGradient(argument))
      continue;
    if (!context.hasAccumulator(value)) {
      slicedTargets.push_back({value, argument});
      continue;
    }
    outs.add(value);
    targets.push_back({argument, op.getOperandDim(i)});
  }
  for (auto [i, value] : llvm::enumerate(op.getShared())) {
    BlockArgument argument = forwardArguments[numSliced + i];
    if (!inner.needsGradient(argument))
      continue;
    // Sums over blocks are in the accumulator type and rounded once at the end.
    outs.add(value, getAccumulatorType(getElementTypeOrSelf(value.getType())));
    targets.push_back({argument, -1});
  }
  for (auto [target, out] : llvm::zip_equal(targets, outs.getOuts())) {
    auto [argument, dim] = target;
    wholes.push_back({argument, addAccumulated(out), dim});
    Value accumulator = wholes.back().accumulator;
    if (dim >= 0) {
      auto type = cast<RankedTensorType>(argument.getType()).clone(getElementTypeOrSelf(out.getType()));
      SmallVector<OpFoldResult> strides(type.getRank(), builder.getIndexAttr(1));
      accumulator = tensor::ExtractSliceOp::create(inside, loc, type, accumulator, getOffsets(type.getRank(), dim),
                                                   getSizes(inside, argument), strides);
    }
    inner.setGradient(inside, argument, accumulator);
  }
}

/// An accumulated value has a gradient when blocks only add to it: that of its result.
LogicalResult BlockwiseVJP::checkAccumulated() {
  unsigned first = op.getSliced().size() + op.getShared().size();
  for (unsigned i = 0; i < op.getAccumulated().size(); ++i) {
    Value cotangent = cotangents[op.getNumSlicedResults() + i];
    if (inner.getCotangent(forwardArguments[first + i]) != cotangent)
      return op.emitOpError("expected accumulated value ")
             << i << " to be only added to, to have a gradient, but the results depend on it in another way";
    if (cotangent && context.needsGradient(op.getAccumulated()[i]))
      context.addGradient(builder, op.getAccumulated()[i], context.getCotangent(op.getAccumulatedResults()[i]));
  }
  return success();
}

LogicalResult BlockwiseVJP::buildBody() {
  for (unsigned i = 0; i < op.getNumResults(); ++i) {
    Value cotangent = context.needsGradient(op.getResult(i)) ? context.getCotangent(op.getResult(i)) : Value();
    bool isSliced = i < op.getNumSlicedResults();
    if (!cotangent)
      cotangents.push_back({});
    else
      cotangents.push_back(isSliced ? addSliced(cotangent, backward->getResults()[i].getType(), op.getResultDim(i))
                                    : addShared(cotangent));
  }
  SmallVector<Value> sources;
  for (auto [i, argument] : llvm::enumerate(forwardArguments)) {
    // An accumulated value is a source in any case: that it is only added to must be seen.
    bool isAccumulated = i >= op.getSliced().size() + op.getShared().size();
    if (context.needsGradient(op->getOperand(i)) || (isAccumulated && isFloatValue(argument)))
      sources.push_back(argument);
  }
  if (failed(backward->analyze(sources, cotangents)))
    return failure();
  startGradients();
  if (failed(backward->build(inside, cotangents)) || failed(checkAccumulated()))
    return failure();
  endGradients();
  return success();
}

/// The cotangent that `gradient` is, with more and more added to it; null for another sum.
BlockwiseVJP::Operand *BlockwiseVJP::findSummedCotangent(Value gradient) {
  while (auto destination = gradient.getDefiningOp<DestinationStyleOpInterface>())
    gradient = destination.getTiedOpOperand(cast<OpResult>(gradient))->get();
  if (!llvm::is_contained(cotangents, gradient))
    return nullptr;
  auto *found = llvm::find_if(sliced, [&](Operand &operand) { return operand.argument == gradient; });
  return found == sliced.end() ? nullptr : found;
}

/// The gradient of a residual stream is the cotangent plus something: it takes the cotangent's place block by block, carried
/// through the blocks, so that both need one buffer.
bool BlockwiseVJP::overwriteCotangent(Value target, BlockArgument argument, Value gradient) {
  Operand *operand = findSummedCotangent(gradient);
  if (!operand || operand->value.getType() != target.getType() || gradient.getType() != operand->argument.getType() ||
      operand->dim != op.getOperandDim(llvm::find(forwardArguments, argument) - forwardArguments.begin()) ||
      !context.ownsGradient(operand->value))
    return false;
  Operand cotangent = *operand;
  sliced.erase(operand);
  BlockArgument whole = addAccumulated(cotangent.value);
  OpBuilder early(builder.getContext());
  early.setInsertionPointToStart(body.get());
  auto type = cast<RankedTensorType>(cotangent.argument.getType());
  SmallVector<OpFoldResult> strides(type.getRank(), builder.getIndexAttr(1));
  SmallVector<OpFoldResult> offsets = getOffsets(type.getRank(), cotangent.dim);
  Value part = tensor::ExtractSliceOp::create(early, loc, type, whole, offsets, getSizes(early, argument), strides);
  cotangent.argument.replaceAllUsesWith(part);
  overwritten.push_back(target);
  cotangentParts[cotangent.argument] = part;
  if (gradient == cotangent.argument) // what is only added to
    gradient = part;
  accumulatedYields.push_back(
      tensor::InsertSliceOp::create(inside, loc, gradient, whole, offsets, getSizes(inside, argument), strides));
  return true;
}

void BlockwiseVJP::endGradients() {
  for (Whole &whole : wholes) {
    Value gradient = inner.getCotangent(whole.target);
    if (whole.dim >= 0) {
      auto type = cast<RankedTensorType>(gradient.getType());
      SmallVector<OpFoldResult> strides(type.getRank(), builder.getIndexAttr(1));
      gradient = tensor::InsertSliceOp::create(inside, loc, gradient, whole.accumulator, getOffsets(type.getRank(), whole.dim),
                                               getSizes(inside, whole.target), strides);
    }
    accumulatedYields.push_back(gradient);
  }
  llvm::erase_if(slicedTargets, [&](auto target) {
    auto [value, argument] = target;
    Value gradient = inner.getCotangent(argument);
    if (Value part = cotangentParts.lookup(gradient))
      gradient = part;
    if (gradient && overwriteCotangent(value, argument, gradient))
      return true;
    slicedYields.push_back(gradient ? gradient : VJPContext::createZero(inside, loc, argument));
    return false;
  });
  SmallVector<Value> yields = slicedYields;
  llvm::append_range(yields, accumulatedYields);
  YieldOp::create(inside, loc, yields);
  backward->eraseUnused(*body);
}

/// The forward with `kept` as further sliced results, unless they are results already; their numbers go to `numbers`.
BlockwiseOp BlockwiseVJP::createForward(ArrayRef<Value> kept, const DenseMap<Value, int64_t> &dims,
                                        SmallVectorImpl<unsigned> &numbers) {
  auto block = std::make_unique<Block>();
  IRMapping mapping;
  mapping.map(body->getArgument(0), block->addArgument(builder.getIndexType(), loc));
  for (BlockArgument argument : forwardArguments)
    mapping.map(argument, block->addArgument(argument.getType(), loc));
  OpBuilder forwardBuilder = getBuilderAtEnd(*block, builder.getContext());
  SmallVector<unsigned> positions;
  SmallVector<Value> all = backward->cloneKeeping(forwardBuilder, mapping, kept, positions);
  unsigned numSliced = op.getNumSlicedResults(), numResults = op.getNumResults();
  unsigned numKept = all.size() - numResults;
  for (unsigned position : positions)
    numbers.push_back(position >= numResults  ? position - numResults + numSliced
                      : position < numSliced ? position
                                             : position + numKept);
  if (numKept == 0)
    return op;

  // Sliced results, kept values, accumulated results.
  std::rotate(all.begin() + numSliced, all.begin() + numResults, all.end());
  YieldOp::create(forwardBuilder, loc, all);
  SmallVector<Type> types = llvm::to_vector(op.getSlicedResults().getTypes());
  SmallVector<int64_t> allDims = llvm::to_vector(op.getDims());
  auto whole = cast<RankedTensorType>(op.getSliced().empty() ? op.getResult(0).getType() : op.getSliced()[0].getType());
  int64_t length = whole.getDimSize(op.getDims()[0]);
  for (auto [value, position] : llvm::zip_equal(kept, positions)) {
    if (position < numResults)
      continue;
    auto type = cast<RankedTensorType>(value.getType());
    SmallVector<int64_t> shape(type.getShape());
    shape[dims.lookup(value)] = length;
    types.push_back(type.clone(shape));
    allDims.push_back(dims.lookup(value));
  }
  llvm::append_range(types, op.getAccumulatedResults().getTypes());
  OpBuilder early(op);
  auto forward = BlockwiseOp::create(early, loc, types, op.getSliced(), op.getShared(), op.getAccumulated(), op.getBlock(),
                                     allDims);
  forward.getBody().push_back(block.release());
  return forward;
}

/// Lets the forward hand over what the policy keeps, as further sliced operands.
void BlockwiseVJP::keepValues() {
  DenseMap<Value, int64_t> dims =
      findSequenceDims(op, *backward, ArrayRef(forwardArguments).take_front(op.getSliced().size()), body->getArgument(0));
  auto canKeep = [&](Value value) { return isa<RankedTensorType>(value.getType()) && dims.contains(value); };
  SmallVector<Value> kept = backward->chooseKept(policy, canKeep);
  if (kept.empty())
    return;
  SmallVector<unsigned> numbers;
  BlockwiseOp forward = createForward(kept, dims, numbers);
  for (auto [value, number] : llvm::zip_equal(kept, numbers)) {
    Value result = forward.getResult(number);
    value.replaceAllUsesWith(addSliced(result, value.getType(), dims.lookup(value)));
    context.suggestKeeping(result, policy);
  }
  if (forward == op)
    return;
  SmallVector<Value> results(forward.getResults().take_front(op.getNumSlicedResults()));
  llvm::append_range(results, forward.getAccumulatedResults());
  BlockwiseOp old = std::exchange(op, forward);
  context.replaceForwardOp(old, forward, results);
}

/// What the body would like to have kept may come from outside: keys and values.
void BlockwiseVJP::suggestOutside() {
  for (Value value : inner.getSuggestions()) {
    while (Operation *view = value.getDefiningOp()) {
      if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(view))
        break;
      value = view->getOperand(0);
    }
    auto *found = llvm::find(forwardArguments, value);
    if (found != forwardArguments.end())
      context.suggestKeeping(op->getOperand(found - forwardArguments.begin()), policy);
  }
}

/// The new op from the finished body, without operands that nobody uses.
void BlockwiseVJP::createOp() {
  auto isUnused = [](Operand &operand) { return operand.argument.use_empty(); };
  // The blocks must be cut from something.
  if (sliced.empty())
    addSliced(op.getResult(0), backward->getResults()[0].getType(), op.getResultDim(0));
  Operand first = sliced.front();
  llvm::erase_if(sliced, isUnused);
  llvm::erase_if(shared, isUnused);
  if (sliced.empty() && slicedTargets.empty())
    sliced.push_back(first);

  auto block = std::make_unique<Block>();
  body->getArgument(0).replaceAllUsesWith(block->addArgument(builder.getIndexType(), loc));
  SmallVector<Value> values[3];
  SmallVector<int64_t> dims;
  SmallVector<Operand> *kinds[] = {&sliced, &shared, &accumulated};
  for (unsigned kind = 0; kind < 3; ++kind)
    for (Operand &operand : *kinds[kind]) {
      values[kind].push_back(operand.value);
      if (kind == 0)
        dims.push_back(operand.dim);
      operand.argument.replaceAllUsesWith(block->addArgument(operand.argument.getType(), loc));
    }
  SmallVector<Type> types;
  for (auto [value, argument] : slicedTargets) {
    types.push_back(value.getType());
    dims.push_back(op.getOperandDim(llvm::find(forwardArguments, argument) - forwardArguments.begin()));
  }
  llvm::append_range(types, ValueRange(values[2]).getTypes());
  block->getOperations().splice(block->end(), body->getOperations());
  auto grad = BlockwiseOp::create(builder, loc, types, values[0], values[1], values[2], op.getBlock(), dims);
  grad.getBody().push_back(block.release());

  outs.finish(grad.getAccumulatedResults().drop_back(overwritten.size()));
  for (auto [target, result] : llvm::zip_equal(overwritten, grad.getAccumulatedResults().take_back(overwritten.size())))
    context.addGradient(builder, target, result);
  for (auto [target, result] : llvm::zip_equal(slicedTargets, grad.getSlicedResults()))
    context.addGradient(builder, target.first, result);
}

LogicalResult BlockwiseVJP::run() {
  recomputeBody();
  if (failed(buildBody()))
    return failure();
  if (accumulatedYields.empty() && slicedYields.empty())
    return success();
  suggestOutside();
  keepValues();
  backward->minimizeRecomputation();
  unsigned first = op.getSliced().size() + op.getShared().size();
  for (unsigned i = 0; i < op.getAccumulated().size(); ++i)
    if (!forwardArguments[first + i].use_empty())
      return op.emitOpError("expected accumulated value ")
             << i << " to be only added to, to have a gradient, but the gradient depends on it";
  createOp();
  return success();
}

struct BlockwiseModel : DifferentiableOpInterface::ExternalModel<BlockwiseModel, BlockwiseOp> {
  LogicalResult buildVJP(Operation *op, OpBuilder &builder, VJPContext &context) const {
    return BlockwiseVJP(cast<BlockwiseOp>(op), builder, context).run();
  }
};

} // namespace

void registerBlockwiseGradients(DialectRegistry &registry) {
  registry.addExtension(
      +[](MLIRContext *context, BPTDialect *) { BlockwiseOp::attachInterface<BlockwiseModel>(*context); });
}

} // namespace bpt
