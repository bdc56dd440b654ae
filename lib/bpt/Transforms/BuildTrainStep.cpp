// Builds @train_step: loss, gradients, clipping and AdamW in place, with micro-steps if asked for.
#include "bpt/Analysis/ModelFlops.h"
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/ReverseMode.h"
#include "bpt/Transforms/Differentiate.h"
#include "bpt/Transforms/EntryInfo.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/Iterators.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

using namespace mlir;

namespace bpt {
namespace {

RankedTensorType withElement(RankedTensorType type, Type element) {
  return RankedTensorType::get(type.getShape(), element);
}

class TrainStepBuilder {
public:
  TrainStepBuilder(func::FuncOp loss, const TrainStepOptions &options)
      : loss(loss), options(options), loc(loss.getLoc()), builder(loss.getContext()),
        functions(cast<ModuleOp>(loss->getParentOp())) {}
  FailureOr<func::FuncOp> run();

private:
  LogicalResult checkOptions();
  LogicalResult checkLoss();
  void createFunction();
  void addArgument(Type type, StringRef name, DictionaryAttr attributes);
  void createPrimals();
  LogicalResult findTargets();
  void countTargets();
  LogicalResult buildGradients(ArrayRef<Value> inputs, Value seedCotangent, SmallVectorImpl<Value> &gradients,
                               Value &value);
  LogicalResult buildMicroSteps();
  Value getMicroBatch(Value all, unsigned lossArgument, Value step);
  Value createNorm(ArrayRef<Value> values);
  Value createGradientNorm();
  Value createRate();
  void createUpdate(size_t p, Value rate);
  void createUpdatesAtEnd();
  void createUpdatesInBetween();

  Value createMapped(ValueRange inputs, Value out, function_ref<Value(OpBuilder &, ValueRange)> body);
  Value createZero(Type type);
  Value createScalar(Type element, double value);

  func::FuncOp loss, function;
  const TrainStepOptions &options;
  Location loc;
  OpBuilder builder;
  DerivedFunctions functions;

  /// Numbers of the loss's arguments.
  SmallVector<unsigned> parameters, others;
  /// f32, or f64 for f64: of masters, moments and norm.
  Type accumulator;
  SmallVector<Value> masters, firstMoments, secondMoments, gradients, results;
  /// By the number of the loss's argument.
  SmallVector<Value> lossInputs;
  Value step, learningRate, lossValue, norm;
  /// With micro-steps: the loss's argument that holds the targets, and how many of them are valid; none: losses are
  /// averaged.
  std::optional<unsigned> targets;
  Value validCount;
  int64_t ignoreIndex = 0;
};

LogicalResult TrainStepBuilder::checkOptions() {
  auto isBeta = [](double beta) { return beta >= 0 && beta < 1; };
  if (!isBeta(options.beta1) || !isBeta(options.beta2))
    return loss.emitError("expected beta1 and beta2 in [0, 1), but got ") << options.beta1 << " and " << options.beta2;
  if (!(options.eps > 0))
    return loss.emitError("expected eps > 0, but got ") << options.eps;
  if (!(options.weightDecay >= 0))
    return loss.emitError("expected weight-decay >= 0, but got ") << options.weightDecay;
  if (!(options.clip >= 0))
    return loss.emitError("expected clip >= 0, but got ") << options.clip;
  if (options.accumulate < 1)
    return loss.emitError("expected accumulate >= 1, but got ") << options.accumulate;
  return success();
}

LogicalResult TrainStepBuilder::checkLoss() {
  if (Operation *other = functions.symbols.lookup("train_step")) {
    InFlightDiagnostic error = loss.emitError("expected no function @train_step yet; remove it or rename it");
    error.attachNote(other->getLoc()) << "it is here";
    return error;
  }
  if (loss.isExternal() || !loss.getBody().hasOneBlock())
    return loss.emitError("expected a loss function of one block, but got ")
           << (loss.isExternal() ? "a declaration" : "control flow between blocks");
  auto result = loss.getNumResults() == 1 ? dyn_cast<RankedTensorType>(loss.getResultTypes()[0]) : RankedTensorType();
  if (!result || result.getRank() != 0 || !isa<FloatType>(result.getElementType()))
    return loss.emitError("expected a loss function with one result, a 0-d floating-point tensor, but got results ")
           << TypeRange(loss.getResultTypes());
  for (unsigned i = 0; i < loss.getNumArguments(); ++i) {
    auto type = dyn_cast<RankedTensorType>(loss.getArgument(i).getType());
    if (!type)
      return loss.emitError("expected arguments that are ranked tensors, but got '")
             << getArgumentName(loss, i) << "' of type " << loss.getArgument(i).getType();
    if (!loss.getArgAttr(i, "bpt.init")) {
      others.push_back(i);
      continue;
    }
    if (!isa<FloatType>(type.getElementType()))
      return loss.emitError("expected parameters of a floating-point type, but got '")
             << getArgumentName(loss, i) << "' of type " << type;
    Type wide = getAccumulatorType(type.getElementType());
    if (accumulator && accumulator != wide)
      return loss.emitError("expected all parameters to be f64 or none, but got '")
             << getArgumentName(loss, i) << "' of type " << type;
    accumulator = wide;
    parameters.push_back(i);
  }
  if (parameters.empty())
    return loss.emitError("expected a loss function with parameters, arguments with bpt.init, but got none");
  // The seed comes before the data.
  llvm::stable_sort(others, [&](unsigned a, unsigned b) {
    auto isData = [&](unsigned i) { return cast<RankedTensorType>(loss.getArgument(i).getType()).getRank() > 0; };
    return isData(a) < isData(b);
  });
  return success();
}

void TrainStepBuilder::addArgument(Type type, StringRef name, DictionaryAttr attributes) {
  NamedAttrList list(attributes);
  list.set("bpt.name", builder.getStringAttr(name));
  (void)function.insertArgument(function.getNumArguments(), type, list.getDictionary(builder.getContext()), loc);
}

/// The function with its arguments and an empty body.
void TrainStepBuilder::createFunction() {
  function = func::FuncOp::create(loc, "train_step", builder.getFunctionType({}, {}));
  function.addEntryBlock();
  functions.symbols.insert(function, std::next(Block::iterator(loss)));
  if (std::optional<ModelFlops> flops = countModelFlops(loss))
    setRunFlops(function, options.accumulate * (flops->forward + flops->backward));
  for (StringRef suffix : {"", ".m", ".v"})
    for (unsigned i : parameters) {
      auto type = cast<RankedTensorType>(loss.getArgument(i).getType());
      addArgument(withElement(type, accumulator), getArgumentName(loss, i) + suffix.str(),
                  suffix.empty() ? loss.getArgAttrDict(i) : DictionaryAttr());
    }
  addArgument(RankedTensorType::get({}, builder.getI64Type()), "step", {});
  addArgument(RankedTensorType::get({}, builder.getF32Type()), "lr", {});
  for (unsigned i : others) {
    auto type = cast<RankedTensorType>(loss.getArgument(i).getType());
    SmallVector<int64_t> shape(type.getShape());
    if (options.accumulate > 1 && type.getRank() > 0)
      shape.insert(shape.begin(), options.accumulate);
    addArgument(type.clone(shape), getArgumentName(loss, i), loss.getArgAttrDict(i));
  }
  ArrayRef<BlockArgument> arguments = function.getArguments();
  unsigned count = parameters.size();
  masters.assign(arguments.begin(), arguments.begin() + count);
  firstMoments.assign(arguments.begin() + count, arguments.begin() + 2 * count);
  secondMoments.assign(arguments.begin() + 2 * count, arguments.begin() + 3 * count);
  step = arguments[3 * count];
  learningRate = arguments[3 * count + 1];
  lossInputs.resize(loss.getNumArguments());
  for (auto [i, argument] : llvm::zip_equal(others, arguments.drop_front(3 * count + 2)))
    lossInputs[i] = argument;
  builder.setInsertionPointToEnd(&function.front());
}

/// out = body(inputs.., out), elementwise.
Value TrainStepBuilder::createMapped(ValueRange inputs, Value out, function_ref<Value(OpBuilder &, ValueRange)> body) {
  int64_t rank = cast<RankedTensorType>(out.getType()).getRank();
  SmallVector<AffineMap> maps(inputs.size() + 1, builder.getMultiDimIdentityMap(rank));
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::parallel);
  return linalg::GenericOp::create(builder, loc, out.getType(), inputs, out, maps, iterators,
                                   [&](OpBuilder &inner, Location, ValueRange arguments) {
                                     linalg::YieldOp::create(inner, loc, body(inner, arguments));
                                   })
      .getResult(0);
}

Value TrainStepBuilder::createScalar(Type element, double value) {
  Value constant = arith::ConstantOp::create(builder, loc, builder.getFloatAttr(element, value));
  Value empty = tensor::EmptyOp::create(builder, loc, ArrayRef<int64_t>{}, element);
  return linalg::FillOp::create(builder, loc, constant, empty).getResult(0);
}

/// What the loss computes with: masters, rounded where its parameters are narrower.
void TrainStepBuilder::createPrimals() {
  for (auto [i, master] : llvm::zip_equal(parameters, masters)) {
    auto type = cast<RankedTensorType>(loss.getArgument(i).getType());
    lossInputs[i] = master;
    if (type == master.getType())
      continue;
    Value out = VJPContext::createEmpty(builder, loc, master, type.getElementType());
    lossInputs[i] = createMapped(master, out, [&](OpBuilder &inner, ValueRange a) -> Value {
      return arith::TruncFOp::create(inner, loc, type.getElementType(), a[0]);
    });
  }
}

//===----------------------------------------------------------------------===//
// Micro-steps
//===----------------------------------------------------------------------===//

/// With micro-steps the loss must be a sum over targets with a known divisor, or something to average.
LogicalResult TrainStepBuilder::findTargets() {
  auto result = cast<OpResult>(loss.front().getTerminator()->getOperand(0));
  auto entropy = dyn_cast_or_null<LinearCrossEntropyOp>(result.getDefiningOp());
  if (entropy && result.getResultNumber() == 0) {
    if (entropy.getValidCount())
      return success();
    Value value = entropy.getTargets();
    while (Operation *view = value.getDefiningOp()) {
      if (!isa<tensor::ExpandShapeOp, tensor::CollapseShapeOp, tensor::CastOp>(view))
        break;
      value = view->getOperand(0);
    }
    auto argument = dyn_cast<BlockArgument>(value);
    if (!argument)
      return entropy.emitOpError(
                 "expected targets that are an argument of the loss, to count them over all micro-steps, but ")
             << "they are computed; use accumulate=1";
    targets = argument.getArgNumber();
    ignoreIndex = entropy.getIgnoreIndex();
    return success();
  }
  // Somewhere on the way a mean over targets: neither a sum nor an average of micro-steps is the loss of all of them.
  WalkResult walk = cast<ModuleOp>(loss->getParentOp()).walk([&](LinearCrossEntropyOp op) {
    if (op->getParentOfType<func::FuncOp>() != loss && !op->getParentOfType<func::FuncOp>().isPrivate())
      return WalkResult::advance();
    op.emitOpError(
        "expected the loss to be the result of this op when accumulate > 1, but it is computed further or not at "
        "the top of @")
        << loss.getName() << "; use accumulate=1";
    return WalkResult::interrupt();
  });
  return failure(walk.wasInterrupted());
}

/// How many targets of all micro-steps are valid, 0-d i64.
void TrainStepBuilder::countTargets() {
  Value all = lossInputs[*targets];
  int64_t rank = cast<RankedTensorType>(all.getType()).getRank();
  Type i64 = builder.getI64Type();
  Value zero = arith::ConstantOp::create(builder, loc, builder.getI64IntegerAttr(0));
  Value out = tensor::EmptyOp::create(builder, loc, ArrayRef<int64_t>{}, i64);
  out = linalg::FillOp::create(builder, loc, zero, out).getResult(0);
  SmallVector<AffineMap> maps = {builder.getMultiDimIdentityMap(rank), AffineMap::get(rank, 0, builder.getContext())};
  SmallVector<utils::IteratorType> iterators(rank, utils::IteratorType::reduction);
  validCount = linalg::GenericOp::create(
                   builder, loc, out.getType(), all, out, maps, iterators,
                   [&](OpBuilder &inner, Location, ValueRange a) {
                     Value ignored =
                         arith::ConstantOp::create(inner, loc, inner.getIntegerAttr(a[0].getType(), ignoreIndex));
                     Value valid = arith::CmpIOp::create(inner, loc, arith::CmpIPredicate::ne, a[0], ignored);
                     Value one = arith::ExtUIOp::create(inner, loc, i64, valid);
                     linalg::YieldOp::create(inner, loc, arith::AddIOp::create(inner, loc, a[1], one).getResult());
                   })
                   .getResult(0);
}

/// What micro-step `number` passes to the loss: a slice of the data; a seed of its own.
Value TrainStepBuilder::getMicroBatch(Value all, unsigned lossArgument, Value number) {
  auto type = cast<RankedTensorType>(loss.getArgument(lossArgument).getType());
  if (type.getRank() > 0) {
    SmallVector<OpFoldResult> sizes = tensor::getMixedSizes(builder, loc, all),
                              offsets(sizes.size(), builder.getIndexAttr(0)),
                              strides(sizes.size(), builder.getIndexAttr(1));
    sizes[0] = builder.getIndexAttr(1);
    offsets[0] = number;
    return tensor::ExtractSliceOp::create(builder, loc, type, all, offsets, sizes, strides);
  }
  if (!type.getElementType().isInteger(64))
    return all;
  // The number of the micro-step goes to the upper half, where the seeds of steps do not meet it.
  Value out = tensor::EmptyOp::create(builder, loc, ArrayRef<int64_t>{}, type.getElementType());
  return createMapped(all, out, [&](OpBuilder &inner, ValueRange a) -> Value {
    Value wide = arith::IndexCastOp::create(inner, loc, a[0].getType(), number);
    Value half = arith::ConstantOp::create(inner, loc, inner.getI64IntegerAttr(32));
    return arith::AddIOp::create(inner, loc, a[0], arith::ShLIOp::create(inner, loc, wide, half));
  });
}

/// A loop over the micro-steps that carries the loss and the sums of the gradients.
LogicalResult TrainStepBuilder::buildMicroSteps() {
  if (failed(findTargets()))
    return failure();
  bool isSum = isa_and_nonnull<LinearCrossEntropyOp>(loss.front().getTerminator()->getOperand(0).getDefiningOp());
  if (targets)
    countTargets();
  Type lossElement = getElementTypeOrSelf(loss.getResultTypes()[0]);
  SmallVector<Value> carried = {createScalar(lossElement, 0)};
  for (Value master : masters)
    carried.push_back(VJPContext::createZero(builder, loc, master));
  Value zero = arith::ConstantIndexOp::create(builder, loc, 0), one = arith::ConstantIndexOp::create(builder, loc, 1);
  Value count = arith::ConstantIndexOp::create(builder, loc, options.accumulate);
  double share = isSum ? 1 : 1.0 / options.accumulate;

  auto loop = scf::ForOp::create(builder, loc, zero, count, one, carried);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToEnd(loop.getBody());
  SmallVector<Value> inputs = lossInputs;
  for (unsigned i : others)
    inputs[i] = getMicroBatch(lossInputs[i], i, loop.getInductionVar());
  gradients.assign(loop.getRegionIterArgs().begin() + 1, loop.getRegionIterArgs().end());
  Value value;
  if (failed(buildGradients(inputs, createScalar(lossElement, share), gradients, value)))
    return failure();
  Value sum = createMapped(value, loop.getRegionIterArg(0), [&](OpBuilder &inner, ValueRange a) -> Value {
    Value part = a[0];
    if (!isSum) {
      Value factor = arith::ConstantOp::create(inner, loc, inner.getFloatAttr(lossElement, share));
      part = arith::MulFOp::create(inner, loc, part, factor);
    }
    return arith::AddFOp::create(inner, loc, a[1], part);
  });
  SmallVector<Value> yielded = {sum};
  llvm::append_range(yielded, gradients);
  scf::YieldOp::create(builder, loc, yielded);
  lossValue = loop.getResult(0);
  gradients.assign(loop.getResults().begin() + 1, loop.getResults().end());
  return success();
}

/// The loss of `inputs` at the insertion point and its backward. `gradients`: accumulators (null: none) and then the
/// gradients.
LogicalResult TrainStepBuilder::buildGradients(ArrayRef<Value> inputs, Value cotangent,
                                               SmallVectorImpl<Value> &gradients, Value &value) {
  IRMapping mapping;
  mapping.map(loss.getArguments(), inputs);
  VJPContext context(functions, std::nullopt);
  Backward backward(context, builder, loss.front(), mapping);
  if (targets)
    for (Operation *op : backward.getOperations())
      if (auto entropy = dyn_cast<LinearCrossEntropyOp>(op);
          entropy && entropy->getResult(0) == backward.getResults()[0])
        entropy.getValidCountMutable().assign(validCount);
  SmallVector<Value> sources;
  for (unsigned i : parameters)
    sources.push_back(inputs[i]);
  if (failed(backward.analyze(sources, cotangent)))
    return failure();
  for (auto [source, accumulator] : llvm::zip_equal(sources, gradients))
    if (accumulator)
      context.setGradient(builder, source, accumulator);
  if (failed(backward.build(builder, cotangent)))
    return failure();
  for (auto [source, gradient] : llvm::zip_equal(sources, gradients)) {
    gradient = context.getCotangent(source);
    if (!gradient)
      gradient = VJPContext::createZero(builder, loc, source);
  }
  value = backward.getResults()[0];
  return success();
}

//===----------------------------------------------------------------------===//
// Update
//===----------------------------------------------------------------------===//

Value TrainStepBuilder::createNorm(ArrayRef<Value> values) {
  Value out = tensor::EmptyOp::create(builder, loc, ArrayRef<int64_t>{}, accumulator);
  return GlobalNormOp::create(builder, loc, out.getType(), values, out, /*workspace=*/Value())->getResult(0);
}

/// The norm of all gradients together; of gradients of several types the norm of the types' norms.
Value TrainStepBuilder::createGradientNorm() {
  llvm::MapVector<Type, SmallVector<Value>> byType;
  for (Value gradient : gradients)
    byType[getElementTypeOrSelf(gradient.getType())].push_back(gradient);
  SmallVector<Value> norms;
  for (auto &[type, values] : byType)
    norms.push_back(createNorm(values));
  return norms.size() == 1 ? norms[0] : createNorm(norms);
}

Value TrainStepBuilder::createRate() {
  if (!accumulator.isF64())
    return learningRate;
  Value out = tensor::EmptyOp::create(builder, loc, ArrayRef<int64_t>{}, accumulator);
  return createMapped(learningRate, out, [&](OpBuilder &inner, ValueRange a) -> Value {
    return arith::ExtFOp::create(inner, loc, accumulator, a[0]);
  });
}

void TrainStepBuilder::createUpdate(size_t p, Value rate) {
  auto f64 = [&](double value) { return builder.getF64FloatAttr(value); };
  auto decay = loss.getArgAttrOfType<BoolAttr>(parameters[p], "bpt.decay");
  SmallVector<Value> outs = {masters[p], firstMoments[p], secondMoments[p]};
  auto update = AdamWOp::create(builder, loc, TypeRange(ValueRange(outs)), gradients[p], step, rate,
                                options.clip > 0 ? norm : Value(), outs, /*workspace=*/Value(), f64(options.beta1),
                                f64(options.beta2), f64(options.eps),
                                f64(decay && decay.getValue() ? options.weightDecay : 0), f64(options.clip));
  masters[p] = update->getResult(0);
  firstMoments[p] = update->getResult(1);
  secondMoments[p] = update->getResult(2);
}

/// With clipping every gradient waits for the norm of all.
void TrainStepBuilder::createUpdatesAtEnd() {
  norm = createGradientNorm();
  // Every use of a parameter lies before: its update is in place.
  Value rate = createRate();
  for (size_t p = 0; p < parameters.size(); ++p)
    createUpdate(p, rate);
}

/// Without, each goes into its update as it is made, after the last use of its parameter; the norm is that of the
/// gradients' norms.
void TrainStepBuilder::createUpdatesInBetween() {
  Block &body = function.getBody().front();
  builder.setInsertionPointToStart(&body);
  Value rate = createRate();
  SmallVector<Value> norms;
  for (size_t p = 0; p < parameters.size(); ++p) {
    Operation *last = gradients[p].getDefiningOp();
    for (Operation *user : masters[p].getUsers()) {
      Operation *use = body.findAncestorOpInBlock(*user);
      if (!last || last->isBeforeInBlock(use))
        last = use;
    }
    if (last)
      builder.setInsertionPointAfter(last);
    norms.push_back(createNorm(gradients[p]));
    createUpdate(p, rate);
  }
  builder.setInsertionPointToEnd(&body);
  norm = createNorm(norms);
}

FailureOr<func::FuncOp> TrainStepBuilder::run() {
  if (failed(checkOptions()) || failed(checkLoss()))
    return failure();
  createFunction();
  createPrimals();
  if (options.accumulate > 1) {
    if (failed(buildMicroSteps()))
      return failure();
  } else {
    gradients.resize(parameters.size());
    Value one = createScalar(getElementTypeOrSelf(loss.getResultTypes()[0]), 1);
    if (failed(buildGradients(lossInputs, one, gradients, lossValue)))
      return failure();
  }
  if (options.clip > 0 || options.accumulate > 1)
    createUpdatesAtEnd();
  else
    createUpdatesInBetween();

  SmallVector<Value> results = {lossValue, norm};
  SmallVector<Attribute> attributes;
  auto name = [&](StringRef text) { return builder.getNamedAttr("bpt.name", builder.getStringAttr(text)); };
  attributes.push_back(builder.getDictionaryAttr(name("loss")));
  attributes.push_back(builder.getDictionaryAttr(name("grad_norm")));
  for (ArrayRef<Value> updated : {ArrayRef(masters), ArrayRef(firstMoments), ArrayRef(secondMoments)})
    for (Value value : updated) {
      unsigned argument = results.size() - 2;
      auto inPlace = builder.getNamedAttr("bpt.inplace", builder.getI64IntegerAttr(argument));
      attributes.push_back(builder.getDictionaryAttr({inPlace, name(getArgumentName(function, argument))}));
      results.push_back(value);
    }
  func::ReturnOp::create(builder, loc, results);
  function.setFunctionType(builder.getFunctionType(function.getArgumentTypes(), TypeRange(ValueRange(results))));
  function.setResAttrsAttr(builder.getArrayAttr(attributes));
  function.walk<WalkOrder::PostOrder, mlir::ReverseIterator>([](Operation *op) {
    if (isOpTriviallyDead(op))
      op->erase();
  });
  return function;
}

} // namespace

FailureOr<func::FuncOp> buildTrainStep(func::FuncOp loss, const TrainStepOptions &options) {
  return TrainStepBuilder(loss, options).run();
}

} // namespace bpt
