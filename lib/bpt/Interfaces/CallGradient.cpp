// Gradients of callees: one forward and one backward function per distinct callee, policy and set of gradients.
#include "Gradients.h"

using namespace mlir;

namespace bpt {

//===----------------------------------------------------------------------===//
// DerivedFunctions
//===----------------------------------------------------------------------===//

FailureOr<DerivedFunctions::Pair> DerivedFunctions::getPair(Location loc, const Request &request) {
  std::vector<const void *> accumulators;
  for (Type type : request.accumulators)
    accumulators.push_back(type.getAsOpaquePointer());
  func::FuncOp callee = request.callee;
  auto toVector = [](ArrayRef<bool> flags) { return std::vector<bool>(flags.begin(), flags.end()); };
  Key key(callee, request.keep, accumulators, toVector(request.fresh), toVector(request.cotangents));
  if (auto found = pairs.find(key); found != pairs.end())
    return found->second;
  if (callee.isExternal())
    return emitError(loc, "expected a callee with a body to have a gradient, but got the declaration @")
           << callee.getName();
  if (!callee.getBody().hasOneBlock())
    return emitError(loc, "expected a callee of one block to have a gradient, but got @") << callee.getName();
  if (!inProgress.insert(callee).second)
    return emitError(loc, "expected callees without recursion to have a gradient, but @")
           << callee.getName() << " calls itself";
  FailureOr<Pair> pair = createPair(request);
  inProgress.erase(callee);
  if (succeeded(pair))
    pairs.emplace(key, *pair);
  return pair;
}

namespace {
/// The backward function while it is written: arguments (callee's arguments, cotangents, accumulators), and the recomputed
/// forward within.
class CalleeBackward {
public:
  CalleeBackward(DerivedFunctions &functions, const DerivedFunctions::Request &request)
      : request(request), callee(request.callee), context(functions, request.keep) {}

  FailureOr<DerivedFunctions::Pair> run();

private:
  void createFunction();
  LogicalResult build();
  func::FuncOp createForward(ArrayRef<Value> kept, SmallVectorImpl<unsigned> &numbers);
  void takeKept(ArrayRef<Value> kept);
  SmallVector<unsigned> dropUnusedArguments();

  const DerivedFunctions::Request &request;
  func::FuncOp callee, function;
  VJPContext context;
  std::optional<Backward> backward;
};
} // namespace

void CalleeBackward::createFunction() {
  SmallVector<Type> inputs = llvm::to_vector(callee.getArgumentTypes()), results;
  for (auto [type, used] : llvm::zip_equal(callee.getResultTypes(), request.cotangents))
    if (used)
      inputs.push_back(type);
  for (auto [i, type] : llvm::enumerate(request.accumulators)) {
    if (type)
      inputs.push_back(type);
    if (type || request.fresh[i])
      results.push_back(type ? type : callee.getArgumentTypes()[i]);
  }
  function = func::FuncOp::create(callee.getLoc(), (callee.getName() + ".vjp").str(),
                                  FunctionType::get(callee.getContext(), inputs, results));
  function.setPrivate();
  function.addEntryBlock();
}

LogicalResult CalleeBackward::build() {
  Block *block = &function.front();
  OpBuilder builder = OpBuilder::atBlockEnd(block);
  IRMapping mapping;
  ValueRange arguments = block->getArguments(), inputs = arguments.take_front(callee.getNumArguments());
  mapping.map(callee.getArguments(), inputs);
  backward.emplace(context, builder, callee.front(), mapping);

  SmallVector<Value> sources, cotangents;
  for (auto [type, fresh, input] : llvm::zip_equal(request.accumulators, request.fresh, inputs))
    if (type || fresh)
      sources.push_back(input);
  unsigned next = inputs.size();
  for (bool used : request.cotangents)
    cotangents.push_back(used ? arguments[next++] : Value());
  if (failed(backward->analyze(sources, cotangents)))
    return failure();
  for (auto [type, input] : llvm::zip_equal(request.accumulators, inputs))
    if (type)
      context.setGradient(builder, input, arguments[next++]);
  if (failed(backward->build(builder, cotangents)))
    return failure();
  SmallVector<Value> gradients;
  for (Value source : sources) {
    Value gradient = context.getCotangent(source);
    gradients.push_back(gradient ? gradient : VJPContext::createZero(builder, callee.getLoc(), source));
  }
  func::ReturnOp::create(builder, callee.getLoc(), gradients);
  backward->eraseUnused(*block);
  return success();
}

/// The callee with `kept` as further results, unless it returns them already; their numbers go to `numbers`.
func::FuncOp CalleeBackward::createForward(ArrayRef<Value> kept, SmallVectorImpl<unsigned> &numbers) {
  auto forward = func::FuncOp::create(callee.getLoc(), (callee.getName() + ".forward").str(), callee.getFunctionType());
  Block *block = forward.addEntryBlock();
  OpBuilder builder = OpBuilder::atBlockEnd(block);
  IRMapping mapping;
  mapping.map(function.getArguments().take_front(callee.getNumArguments()), block->getArguments());
  SmallVector<Value> results = backward->cloneKeeping(builder, mapping, kept, numbers);
  if (results.size() == callee.getNumResults()) {
    forward.erase();
    return callee;
  }
  func::ReturnOp::create(builder, callee.getLoc(), results);
  forward.setPrivate();
  forward.setFunctionType(builder.getFunctionType(callee.getArgumentTypes(), TypeRange(ValueRange(results))));
  return forward;
}

/// Kept values become arguments, after those of the callee.
void CalleeBackward::takeKept(ArrayRef<Value> kept) {
  for (auto [i, kept] : llvm::enumerate(kept)) {
    Value value = kept;
    unsigned position = callee.getNumArguments() + i;
    (void)function.insertArgument(position, value.getType(), {}, value.getLoc());
    value.replaceAllUsesWith(function.getArgument(position));
  }
}

/// Returns the numbers of the callee's arguments that the backward takes.
SmallVector<unsigned> CalleeBackward::dropUnusedArguments() {
  SmallVector<unsigned> used;
  llvm::BitVector unused(function.getNumArguments());
  for (unsigned i = 0; i < callee.getNumArguments(); ++i) {
    if (function.getArgument(i).use_empty())
      unused.set(i);
    else
      used.push_back(i);
  }
  (void)function.eraseArguments(unused);
  return used;
}

FailureOr<DerivedFunctions::Pair> CalleeBackward::run() {
  createFunction();
  if (failed(build())) {
    function.erase();
    return failure();
  }
  SmallVector<Value> kept = backward->chooseKept(request.keep);
  DerivedFunctions::Pair pair;
  pair.forward = createForward(kept, pair.results);
  takeKept(kept);
  backward->minimizeRecomputation();
  pair.arguments = dropUnusedArguments();
  pair.backward = function;
  return pair;
}

FailureOr<DerivedFunctions::Pair> DerivedFunctions::createPair(const Request &request) {
  FailureOr<Pair> pair = CalleeBackward(*this, request).run();
  if (failed(pair))
    return failure();
  // Beside the callee, so that the module reads in the order of execution.
  Block::iterator after = std::next(Block::iterator(request.callee));
  if (pair->forward != request.callee)
    symbols.insert(pair->forward, after);
  symbols.insert(pair->backward, after);
  return pair;
}

//===----------------------------------------------------------------------===//
// Calls
//===----------------------------------------------------------------------===//

/// Whether the gradient of an operand of the call begins with this call and can take the place of a cotangent of its type.
static bool startsFresh(Operation *op, Value operand, const VJPContext &context) {
  return context.needsGradient(operand) && !context.hasAccumulator(operand) &&
         llvm::count(op->getOperands(), operand) == 1 && llvm::any_of(op->getResults(), [&](Value result) {
           return result.getType() == operand.getType() && context.needsGradient(result) && context.getCotangent(result);
         });
}

LogicalResult buildCalleeVJP(Operation *op, func::FuncOp callee, Keep keep, OpBuilder &builder, VJPContext &context,
                             function_ref<Operation *(OpBuilder &, func::FuncOp)> createCall) {
  DerivedFunctions::Request request{callee, keep, {}, {}, {}};
  GradientOuts outs(builder, context);
  for (Value operand : op->getOperands()) {
    request.fresh.push_back(startsFresh(op, operand, context));
    if (context.needsGradient(operand) && !request.fresh.back())
      outs.add(operand);
  }
  unsigned next = 0;
  for (auto [operand, fresh] : llvm::zip_equal(op->getOperands(), request.fresh))
    request.accumulators.push_back(context.needsGradient(operand) && !fresh ? outs.getOuts()[next++].getType() : Type());
  SmallVector<Value> cotangents;
  for (Value result : op->getResults()) {
    Value cotangent = context.needsGradient(result) ? context.getCotangent(result) : Value();
    request.cotangents.push_back(bool(cotangent));
    if (cotangent)
      cotangents.push_back(cotangent);
  }
  FailureOr<DerivedFunctions::Pair> pair = context.functions.getPair(op->getLoc(), request);
  if (failed(pair))
    return failure();
  SmallVector<Value> operands = SmallVector<Value>(op->getOperands()), results = SmallVector<Value>(op->getResults());
  if (pair->forward != callee) {
    OpBuilder forward(op);
    Operation *call = createCall(forward, pair->forward);
    results = SmallVector<Value>(call->getResults());
    context.replaceForwardOp(op, call, call->getResults().take_front(op->getNumResults()));
    op = call;
  }
  SmallVector<Value> arguments;
  for (unsigned i : pair->arguments)
    arguments.push_back(operands[i]);
  for (unsigned i : pair->results)
    arguments.push_back(results[i]);
  llvm::append_range(arguments, cotangents);
  llvm::append_range(arguments, outs.getOuts());
  auto call = func::CallOp::create(builder, op->getLoc(), pair->backward, arguments);
  SmallVector<Value> added;
  next = 0;
  for (unsigned i = 0; i < operands.size(); ++i) {
    if (request.accumulators[i])
      added.push_back(call.getResult(next++));
    else if (request.fresh[i])
      context.setGradient(builder, operands[i], call.getResult(next++));
  }
  outs.finish(added);
  return success();
}

namespace {
/// A call keeps what its backward needs, as the same ops inline would.
struct CallModel : DifferentiableOpInterface::ExternalModel<CallModel, func::CallOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<func::CallOp>(operation);
    auto callee = context.functions.symbols.lookup<func::FuncOp>(op.getCallee());
    auto createCall = [&](OpBuilder &builder, func::FuncOp forward) -> Operation * {
      return func::CallOp::create(builder, op.getLoc(), forward, op.getOperands());
    };
    return buildCalleeVJP(op, callee, Keep::All, builder, context, createCall);
  }
};
} // namespace

void registerCallGradients(DialectRegistry &registry) {
  registry.addExtension(
      +[](MLIRContext *context, func::FuncDialect *) { func::CallOp::attachInterface<CallModel>(*context); });
}

} // namespace bpt
