// VJP of pointwise ops: scalar reverse mode inside a new linalg.generic whose out is the operand's accumulator under the
// operand's indexing map, so that what was broadcast is summed.
#include "Gradients.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

namespace bpt {
namespace {

/// How a result comes from the points that meet in one of its elements.
enum class Combine {
  Map,     ///< one point each; the init, if read, is one more input
  Sum,     ///< init + sum over points
  Extremum ///< maximum or minimum of init and points
};

/// A tensor or scalar the derivative reads, and where.
struct Source {
  Value value;
  AffineMap map;
};

/// A result that has a cotangent.
struct ActiveResult {
  unsigned number;
  Combine combine;
  Value cotangent; ///< shared among the points that attain an extremum
};

class PointwiseVJP {
public:
  PointwiseVJP(const PointwiseOp &op, OpBuilder &builder, VJPContext &context)
      : op(op), loc(op.op->getLoc()), builder(builder), context(context) {}
  LogicalResult run();

private:
  /// The scalar code of a derivative while it is written: a block whose arguments are `sources`, then one per active result
  /// (cotangent), then one per active extremum (result).
  struct Scalars {
    std::unique_ptr<Block> block = std::make_unique<Block>();
    SmallVector<Source> sources;
    IRMapping mapping;
  };

  LogicalResult classify();
  void collectSources();
  LogicalResult shareExtremum(ActiveResult &result);
  Scalars cloneForward();
  FailureOr<Value> differentiate(Scalars &scalars, unsigned target);
  Value emit(Scalars &scalars, Value scalar, AffineMap outMap, Value out, bool accumulate);
  LogicalResult buildFor(unsigned target);

  BlockArgument getInitArg(unsigned result) { return op.body->getArgument(op.inputs.size() + result); }
  Value getYielded(unsigned result) { return op.body->getTerminator()->getOperand(result); }
  bool isLinearInInit(unsigned result);
  Value getExtremumInput(unsigned result);

  const PointwiseOp &op;
  Location loc;
  OpBuilder &builder;
  VJPContext &context;
  SmallVector<ActiveResult> results;
  /// Distinct inputs, and the number among them of each argument of the body (inputs, then inits); -1 for an init not read as
  /// an input.
  SmallVector<Source> sources;
  SmallVector<int> sourceOfArgument;
};

/// Whether the init is only added to: its gradient is the cotangent, and the rest does not depend on it.
bool PointwiseVJP::isLinearInInit(unsigned result) {
  Value sum = getInitArg(result);
  while (sum != getYielded(result)) {
    if (!sum.hasOneUse())
      return false;
    OpOperand &use = *sum.use_begin();
    bool adds = isa<arith::AddFOp>(use.getOwner()) || (isa<arith::SubFOp>(use.getOwner()) && use.getOperandNumber() == 0);
    if (!adds)
      return false;
    sum = use.getOwner()->getResult(0);
  }
  return sum.hasOneUse();
}

/// x if the result is the maximum or minimum of its init and x, else null.
Value PointwiseVJP::getExtremumInput(unsigned result) {
  BlockArgument init = getInitArg(result);
  Operation *extremum = getYielded(result).getDefiningOp();
  if (!extremum || !isa<arith::MaximumFOp, arith::MaxNumFOp, arith::MinimumFOp, arith::MinNumFOp>(extremum) ||
      !init.hasOneUse() || init.use_begin()->getOwner() != extremum)
    return {};
  return extremum->getOperand(1 - init.use_begin()->getOperandNumber());
}

LogicalResult PointwiseVJP::classify() {
  for (auto [i, result] : llvm::enumerate(op.results)) {
    Value cotangent = context.getCotangent(result);
    if (!cotangent)
      continue;
    bool reads = !getInitArg(i).use_empty();
    bool onePoint = op.resultMaps[i].isPermutation();
    if (reads && isLinearInInit(i))
      results.push_back({static_cast<unsigned>(i), Combine::Sum, cotangent});
    else if (onePoint)
      results.push_back({static_cast<unsigned>(i), Combine::Map, cotangent});
    else if (reads && getExtremumInput(i))
      results.push_back({static_cast<unsigned>(i), Combine::Extremum, cotangent});
    else
      return op.op->emitOpError("expected each element of result ")
             << i << " to be computed once, or to be a sum, maximum or minimum over loops, to have a gradient, but got "
             << "another reduction; write it as one of these";
  }
  return success();
}

void PointwiseVJP::collectSources() {
  auto addSource = [&](Value value, AffineMap map) {
    auto *found = llvm::find_if(sources, [&](Source &source) { return source.value == value && source.map == map; });
    sourceOfArgument.push_back(found - sources.begin());
    if (found == sources.end())
      sources.push_back({value, map});
  };
  for (auto [value, map] : llvm::zip_equal(op.inputs, op.inputMaps))
    addSource(value, map);
  for (unsigned i = 0; i < op.inits.size(); ++i) {
    // Of an inactive result the init is an input, if anybody reads it.
    auto *active = llvm::find_if(results, [&](ActiveResult &result) { return result.number == i; });
    bool isInput = active == results.end() ? op.resultMaps[i].isPermutation() : active->combine == Combine::Map;
    if (isInput && !getInitArg(i).use_empty())
      addSource(op.inits[i], op.resultMaps[i]);
    else
      sourceOfArgument.push_back(-1);
  }
}

PointwiseVJP::Scalars PointwiseVJP::cloneForward() {
  Scalars scalars;
  scalars.sources = sources;
  for (ActiveResult &result : results)
    scalars.sources.push_back({result.cotangent, op.resultMaps[result.number]});
  for (ActiveResult &result : results)
    if (result.combine == Combine::Extremum)
      scalars.sources.push_back({op.results[result.number], op.resultMaps[result.number]});
  for (Source &source : scalars.sources)
    scalars.block->addArgument(getElementTypeOrSelf(source.value.getType()), loc);
  OpBuilder inner = getBuilderAtEnd(*scalars.block, builder.getContext());
  for (auto [argument, source] : llvm::zip_equal(op.body->getArguments(), sourceOfArgument)) {
    if (source >= 0)
      scalars.mapping.map(argument, scalars.block->getArgument(source));
    else // The running sum or extremum: nothing below depends on it.
      scalars.mapping.map(argument,
                          arith::ConstantOp::create(inner, loc, inner.getZeroAttr(argument.getType())).getResult());
  }
  for (Operation &scalar : op.body->without_terminator())
    inner.clone(scalar, scalars.mapping);
  return scalars;
}

static LogicalResult emitNoScalarRule(Operation *op, Operation *scalar) {
  return op->emitError("expected an op with a gradient, but got '")
         << scalar->getName() << "' in the body of '" << op->getName()
         << "'; write it with arith and math ops that have one";
}

/// Reverse mode: appends to the block the gradient of source `target`; null when nothing depends on it.
FailureOr<Value> PointwiseVJP::differentiate(Scalars &scalars, unsigned target) {
  Block &block = *scalars.block;
  DenseSet<Value> varied = {block.getArgument(target)};
  SmallVector<Operation *> forward;
  for (Operation &scalar : block) {
    forward.push_back(&scalar);
    if (llvm::any_of(scalar.getOperands(), [&](Value operand) { return varied.contains(operand); }))
      for (Value result : scalar.getResults())
        if (isFloatValue(result))
          varied.insert(result);
  }
  OpBuilder inner = getBuilderAtEnd(block, builder.getContext());
  DenseMap<Value, Value> adjoints;
  auto add = [&](Value value, Value gradient) {
    Value &adjoint = adjoints[value];
    adjoint = adjoint ? arith::AddFOp::create(inner, loc, adjoint, gradient).getResult() : gradient;
  };
  unsigned extremum = sources.size() + results.size();
  for (auto [i, result] : llvm::enumerate(results)) {
    Value seed = block.getArgument(sources.size() + i);
    Value value = getYielded(result.number);
    if (result.combine == Combine::Extremum) {
      value = scalars.mapping.lookupOrDefault(getExtremumInput(result.number));
      Value attains = arith::CmpFOp::create(inner, loc, arith::CmpFPredicate::OEQ, value, block.getArgument(extremum++));
      Value zero = arith::ConstantOp::create(inner, loc, inner.getZeroAttr(seed.getType()));
      seed = arith::SelectOp::create(inner, loc, attains, seed, zero);
    } else {
      value = scalars.mapping.lookupOrDefault(value);
    }
    if (varied.contains(value))
      add(value, seed);
  }
  for (Operation *scalar : llvm::reverse(forward)) {
    SmallVector<Value> cotangents;
    for (Value result : scalar->getResults())
      cotangents.push_back(adjoints.lookup(result));
    if (llvm::none_of(cotangents, [](Value cotangent) { return bool(cotangent); }))
      continue;
    if (!hasScalarRule(scalar))
      return emitNoScalarRule(op.op, scalar);
    buildScalarRule(
        inner, scalar, cotangents, [&](OpOperand &operand) { return varied.contains(operand.get()); },
        [&](OpOperand &operand, Value gradient) { add(operand.get(), gradient); });
  }
  return adjoints.lookup(block.getArgument(target));
}

/// The generic op that writes `scalar` to `out`, or adds it: one loop nest over the points, loops that `outMap` does not name
/// are summed over. Takes the block.
Value PointwiseVJP::emit(Scalars &scalars, Value scalar, AffineMap outMap, Value out, bool accumulate) {
  Block *block = scalars.block.release();
  OpBuilder inner = getBuilderAtEnd(*block, builder.getContext());
  Type outElement = getElementTypeOrSelf(out.getType());
  BlockArgument outArgument = block->addArgument(outElement, loc);
  scalar = convertFloat(inner, loc, outElement, scalar);
  if (accumulate)
    scalar = arith::AddFOp::create(inner, loc, outArgument, scalar);
  linalg::YieldOp::create(inner, loc, scalar);
  for (Operation &operation : llvm::make_early_inc_range(llvm::reverse(*block)))
    if (isOpTriviallyDead(&operation))
      operation.erase();

  // Only what is used; but the loops must get their bounds from somewhere.
  SmallVector<bool> isUsed;
  for (unsigned i = 0; i < scalars.sources.size(); ++i)
    isUsed.push_back(!block->getArgument(i).use_empty());
  auto getMaps = [&]() {
    SmallVector<AffineMap> maps;
    for (auto [source, used] : llvm::zip_equal(scalars.sources, isUsed))
      if (used)
        maps.push_back(source.map);
    maps.push_back(outMap);
    return maps;
  };
  for (unsigned i = 0; i < isUsed.size() && !inversePermutation(concatAffineMaps(getMaps(), builder.getContext())); ++i)
    isUsed[i] = true;
  SmallVector<Value> inputs;
  for (auto [source, used] : llvm::zip_equal(scalars.sources, isUsed))
    if (used)
      inputs.push_back(source.value);
  for (unsigned i = isUsed.size(); i-- > 0;)
    if (!isUsed[i])
      block->eraseArgument(i);

  SmallVector<utils::IteratorType> iterators(op.loops, utils::IteratorType::reduction);
  for (AffineExpr expression : outMap.getResults())
    if (auto dim = dyn_cast<AffineDimExpr>(expression))
      iterators[dim.getPosition()] = utils::IteratorType::parallel;
  auto generic = linalg::GenericOp::create(builder, loc, out.getType(), inputs, out, getMaps(), iterators);
  generic.getRegion().push_back(block);
  return generic.getResult(0);
}

/// Divides the cotangent of an extremum among the points that attain it.
LogicalResult PointwiseVJP::shareExtremum(ActiveResult &result) {
  Value y = op.results[result.number], init = op.inits[result.number];
  AffineMap map = op.resultMaps[result.number];
  Type count = getAccumulatorType(getElementTypeOrSelf(y.getType()));
  int64_t rank = map.getNumResults();
  SmallVector<utils::IteratorType> parallel(rank, utils::IteratorType::parallel);
  AffineMap identity = builder.getMultiDimIdentityMap(rank);
  auto attains = [&](OpBuilder &inner, Value a, Value b, Value yes, Value no) -> Value {
    Value same = arith::CmpFOp::create(inner, loc, arith::CmpFPredicate::OEQ, a, b);
    return arith::SelectOp::create(inner, loc, same, yes, no);
  };
  auto constant = [&](OpBuilder &inner, double value) -> Value {
    return arith::ConstantOp::create(inner, loc, inner.getFloatAttr(count, value));
  };

  Value counts = VJPContext::createZero(builder, loc, y, count);
  if (context.needsGradient(init))
    counts = linalg::GenericOp::create(builder, loc, counts.getType(), ValueRange{init, y}, counts,
                                       ArrayRef<AffineMap>{identity, identity, identity}, parallel,
                                       [&](OpBuilder &inner, Location, ValueRange a) {
      linalg::YieldOp::create(inner, loc, attains(inner, a[0], a[1], constant(inner, 1), constant(inner, 0)));
    }).getResult(0);
  Scalars scalars = cloneForward();
  OpBuilder inner = getBuilderAtEnd(*scalars.block, builder.getContext());
  unsigned position = sources.size() + results.size();
  for (ActiveResult &other : results) {
    if (&other == &result)
      break;
    position += other.combine == Combine::Extremum;
  }
  Value point = scalars.mapping.lookupOrDefault(getExtremumInput(result.number));
  Value one = attains(inner, point, scalars.block->getArgument(position), constant(inner, 1), constant(inner, 0));
  counts = emit(scalars, one, map, counts, /*accumulate=*/true);

  Value share = VJPContext::createEmpty(builder, loc, y);
  share = linalg::GenericOp::create(builder, loc, share.getType(), ValueRange{result.cotangent, counts}, share,
                                    ArrayRef<AffineMap>{identity, identity, identity}, parallel,
                                    [&](OpBuilder &inner, Location, ValueRange a) {
    Value quotient = arith::DivFOp::create(inner, loc, convertFloat(inner, loc, count, a[0]), a[1]);
    linalg::YieldOp::create(inner, loc, convertFloat(inner, loc, a[2].getType(), quotient));
  }).getResult(0);
  result.cotangent = share;
  if (!context.needsGradient(init))
    return success();
  Value dinit = VJPContext::createEmpty(builder, loc, init);
  dinit = linalg::GenericOp::create(builder, loc, dinit.getType(), ValueRange{init, y, share}, dinit,
                                    SmallVector<AffineMap>(4, identity), parallel,
                                    [&](OpBuilder &inner, Location, ValueRange a) {
    Value zero = arith::ConstantOp::create(inner, loc, inner.getZeroAttr(a[2].getType()));
    linalg::YieldOp::create(inner, loc, attains(inner, a[0], a[1], a[2], zero));
  }).getResult(0);
  context.addGradient(builder, init, dinit);
  return success();
}

/// Whether the points read every element of a tensor exactly once.
static bool isOneToOne(AffineMap map, RankedTensorType type) {
  if (map.getNumDims() > map.getNumResults())
    return false;
  llvm::SmallBitVector seen(map.getNumDims());
  for (auto [expression, size] : llvm::zip_equal(map.getResults(), type.getShape())) {
    auto dim = dyn_cast<AffineDimExpr>(expression);
    if (dim ? seen.test(dim.getPosition()) : size != 1)
      return false;
    if (dim)
      seen.set(dim.getPosition());
  }
  return seen.all();
}

LogicalResult PointwiseVJP::buildFor(unsigned target) {
  Source source = sources[target];
  if (!source.map.isProjectedPermutation(/*allowZeroInResults=*/true))
    return op.op->emitOpError("expected an operand with a gradient to be indexed by distinct loops, but got ")
           << AffineMapAttr::get(source.map) << "; write the access as tensor ops";
  Scalars scalars = cloneForward();
  FailureOr<Value> gradient = differentiate(scalars, target);
  if (failed(gradient))
    return failure();
  if (!*gradient)
    return success();
  // The cotangent itself: no op is needed.
  if (auto argument = dyn_cast<BlockArgument>(*gradient)) {
    const Source &from = scalars.sources[argument.getArgNumber()];
    if (from.map == source.map && from.map.isPermutation())
      return context.addGradient(builder, source.value, from.value), success();
  }

  auto type = dyn_cast<RankedTensorType>(source.value.getType());
  Type element = getElementTypeOrSelf(source.value.getType()), accumulator = getAccumulatorType(element);
  if (!type) {
    // A scalar seen by every point: the sum over all of them.
    Value zero = tensor::EmptyOp::create(builder, loc, ArrayRef<int64_t>{}, accumulator);
    Value constant = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(accumulator));
    zero = linalg::FillOp::create(builder, loc, constant, zero).getResult(0);
    Value sum = emit(scalars, *gradient, source.map, zero, /*accumulate=*/true);
    sum = tensor::ExtractOp::create(builder, loc, sum, ValueRange());
    return context.addGradient(builder, source.value, convertFloat(builder, loc, element, sum)), success();
  }
  if (isOneToOne(source.map, type) && !context.hasAccumulator(source.value)) {
    Value out = VJPContext::createEmpty(builder, loc, source.value);
    return context.addGradient(builder, source.value, emit(scalars, *gradient, source.map, out, /*accumulate=*/false)),
           success();
  }
  Value out = context.getAccumulator(builder, source.value);
  if (!isOneToOne(source.map, type) && getElementTypeOrSelf(out.getType()) != accumulator) {
    // A sum of narrow numbers is made in the accumulator type and rounded once.
    Value zero = VJPContext::createZero(builder, loc, source.value, accumulator);
    return context.addGradient(builder, source.value, emit(scalars, *gradient, source.map, zero, /*accumulate=*/true)),
           success();
  }
  context.setGradient(builder, source.value, emit(scalars, *gradient, source.map, out, /*accumulate=*/true));
  return success();
}

LogicalResult PointwiseVJP::run() {
  if (failed(classify()))
    return failure();
  collectSources();
  for (ActiveResult &result : results)
    if (result.combine == Combine::Extremum && failed(shareExtremum(result)))
      return failure();
  for (unsigned target = 0; target < sources.size(); ++target)
    if (context.needsGradient(sources[target].value) && failed(buildFor(target)))
      return failure();
  for (ActiveResult &result : results)
    if (result.combine == Combine::Sum && context.needsGradient(op.inits[result.number]))
      context.addGradient(builder, op.inits[result.number], result.cotangent);
  return success();
}

} // namespace

LogicalResult buildPointwiseVJP(const PointwiseOp &op, OpBuilder &builder, VJPContext &context) {
  return PointwiseVJP(op, builder, context).run();
}

} // namespace bpt
