// VJP of bpt.checkpoint and bpt.barrier: the forward keeps what the policy names, the backward computes the rest again, behind a
// barrier so that nothing merges it with the forward.
#include "Gradients.h"

using namespace mlir;

namespace bpt {
namespace {

/// The checkpoint with `kept` of the recomputed body as further results, unless it yields them already; their numbers go to
/// `numbers`. `inputs`: what the body's arguments stand for in the recomputation.
CheckpointOp createForward(CheckpointOp op, const Backward &recomputed, ValueRange inputs, ArrayRef<Value> kept,
                           SmallVectorImpl<unsigned> &numbers) {
  Block *body = new Block();
  IRMapping mapping;
  for (Value input : inputs)
    mapping.map(input, body->addArgument(input.getType(), op.getLoc()));
  OpBuilder builder = getBuilderAtEnd(*body, op.getContext());
  SmallVector<Value> results = recomputed.cloneKeeping(builder, mapping, kept, numbers);
  if (results.size() == op.getNumResults()) {
    delete body;
    return op;
  }
  YieldOp::create(builder, op.getLoc(), results);
  builder.setInsertionPoint(op);
  auto forward = CheckpointOp::create(builder, op.getLoc(), TypeRange(ValueRange(results)), op.getInputs(),
                                      /*callee=*/nullptr, op.getKeepAttr());
  forward.getBody().push_back(body);
  return forward;
}

BarrierOp createBarrier(OpBuilder &builder, Location loc, ArrayRef<Value> values) {
  return BarrierOp::create(builder, loc, TypeRange(ValueRange(values)), values);
}

/// What stands for the inputs of a checkpoint in its recomputation: tensors come through one barrier.
SmallVector<Value> createInputs(CheckpointOp op, OpBuilder &builder) {
  llvm::SetVector<Value> tensors;
  for (Value input : op.getInputs())
    if (isa<TensorType>(input.getType()))
      tensors.insert(input);
  SmallVector<Value> inputs = llvm::to_vector(op.getInputs());
  if (tensors.empty())
    return inputs;
  BarrierOp barrier = createBarrier(builder, op.getLoc(), tensors.getArrayRef());
  for (Value &input : inputs)
    if (auto *found = llvm::find(tensors, input); found != tensors.end())
      input = barrier.getResult(found - tensors.begin());
  return inputs;
}

/// The body inline: barrier on the inputs, recomputation, backward.
LogicalResult buildInlineVJP(CheckpointOp op, OpBuilder &builder, VJPContext &context) {
  Block &body = op.getBody().front();
  SmallVector<Value> inputs = createInputs(op, builder), sources, cotangents;
  IRMapping mapping;
  mapping.map(body.getArguments(), inputs);
  Backward backward(context, builder, body, mapping);
  for (auto [input, outer] : llvm::zip_equal(inputs, op.getInputs()))
    if (context.needsGradient(outer))
      sources.push_back(input);
  for (Value result : op.getResults())
    cotangents.push_back(context.needsGradient(result) ? context.takeCotangent(result) : Value());
  PolicyScope policy(context, op.getKeep());
  if (failed(backward.analyze(sources, cotangents)) || failed(backward.build(builder, cotangents)))
    return failure();

  SmallVector<Value> kept = backward.chooseKept(op.getKeep());
  if (!kept.empty()) {
    SmallVector<unsigned> numbers;
    CheckpointOp forward = createForward(op, backward, inputs, kept, numbers);
    SmallVector<Value> results;
    for (unsigned number : numbers)
      results.push_back(forward.getResult(number));
    // Like the inputs: what is computed from kept values is not merged with the forward either.
    OpBuilder early(backward.getOperations().front());
    for (auto [value, result] : llvm::zip_equal(kept, createBarrier(early, op.getLoc(), results).getResults()))
      value.replaceAllUsesWith(result);
    if (forward != op)
      context.replaceForwardOp(op, forward, forward.getResults().take_front(op.getNumResults()));
  }
  backward.minimizeRecomputation();
  return success();
}

struct CheckpointModel : DifferentiableOpInterface::ExternalModel<CheckpointModel, CheckpointOp> {
  LogicalResult buildVJP(Operation *operation, OpBuilder &builder, VJPContext &context) const {
    auto op = cast<CheckpointOp>(operation);
    FlatSymbolRefAttr symbol = op.getCalleeAttr();
    if (!symbol)
      return buildInlineVJP(op, builder, context);
    auto createCall = [&](OpBuilder &builder, func::FuncOp forward) -> Operation * {
      return CheckpointOp::create(builder, op.getLoc(), forward.getResultTypes(), op.getInputs(),
                                  FlatSymbolRefAttr::get(forward.getNameAttr()), op.getKeepAttr());
    };
    auto callee = context.functions.symbols.lookup<func::FuncOp>(symbol.getValue());
    if (!callee)
      return op.emitOpError("expected a function @") << symbol.getValue() << " in this module, but there is none";
    return buildCalleeVJP(op, callee, op.getKeep(), builder, context, createCall);
  }
};

/// An identity: VJPContext keeps the gradient of each result in its operand's.
struct BarrierModel : DifferentiableOpInterface::ExternalModel<BarrierModel, BarrierOp> {
  LogicalResult buildVJP(Operation *, OpBuilder &, VJPContext &) const { return success(); }
};

} // namespace

void registerCheckpointGradients(DialectRegistry &registry) {
  registry.addExtension(+[](MLIRContext *context, BPTDialect *) {
    CheckpointOp::attachInterface<CheckpointModel>(*context);
    BarrierOp::attachInterface<BarrierModel>(*context);
  });
}

} // namespace bpt
