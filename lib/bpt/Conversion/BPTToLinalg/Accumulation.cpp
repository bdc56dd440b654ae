// linalg, arith and math on bf16 and f16 tensors: computed in f32, rounded once per op.
#include "Accumulation.h"
#include "Definition.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/PatternMatch.h"
#include "mlir/Transforms/DialectConversion.h"

using namespace mlir;

namespace bpt {

static bool isNarrow(Type type) {
  auto element = dyn_cast<FloatType>(type);
  return element && element.getWidth() < 32;
}

/// Arithmetic on narrow floats only, which may as well be done on wider ones.
static bool isNarrowArithmetic(Operation *op) {
  auto narrowOrNoFloat = [](Type type) { return isNarrow(type) || !isa<FloatType>(type); };
  return isa<arith::ArithDialect, math::MathDialect>(op->getDialect()) && OpTrait::hasElementwiseMappableTraits(op) &&
         !isa<arith::TruncFOp, arith::ExtFOp, arith::BitcastOp>(op) && llvm::any_of(op->getOperandTypes(), isNarrow) &&
         llvm::all_of(op->getOperandTypes(), narrowOrNoFloat) && llvm::all_of(op->getResultTypes(), narrowOrNoFloat);
}

/// Copies the body of a linalg op with narrow arithmetic done in f32.
namespace {
class WideBody {
public:
  WideBody(OpBuilder &builder, Location loc) : builder(loc, builder) {}

  void copy(Block &from, ValueRange arguments, TypeRange yieldTypes) {
    for (auto [argument, value] : llvm::zip(from.getArguments(), arguments))
      wide.map(argument, extend(value));
    for (Operation &op : from.without_terminator())
      copy(op);
    SmallVector<Value> yielded;
    for (auto [value, type] : llvm::zip(from.getTerminator()->getOperands(), yieldTypes))
      yielded.push_back(isNarrow(type) ? truncate(lookup(value), type) : lookup(value));
    linalg::YieldOp::create(builder, yielded);
  }

private:
  Value extend(Value value) {
    return isNarrow(value.getType()) ? arith::ExtFOp::create(builder, builder.getF32Type(), value).getResult() : value;
  }
  Value truncate(Value value, Type type) {
    return value.getType() == type ? value : arith::TruncFOp::create(builder, type, value).getResult();
  }
  Value lookup(Value value) { return wide.contains(value) ? wide.lookup(value) : extend(value); }

  void copy(Operation &op) {
    if (auto extension = dyn_cast<arith::ExtFOp>(op); extension && isNarrow(extension.getIn().getType())) {
      Value value = lookup(extension.getIn());
      if (extension.getType() != value.getType())
        value = arith::ExtFOp::create(builder, extension.getType(), value);
      wide.map(extension.getOut(), value);
      return;
    }
    bool arithmetic = isNarrowArithmetic(&op);
    IRMapping operands;
    for (Value operand : op.getOperands()) {
      Value value = lookup(operand);
      operands.map(operand, arithmetic || !isNarrow(operand.getType()) ? value : truncate(value, operand.getType()));
    }
    Operation *copied = builder.clone(op, operands);
    for (auto [from, to] : llvm::zip(op.getResults(), copied->getResults())) {
      if (arithmetic && isNarrow(to.getType()))
        to.setType(builder.getF32Type());
      wide.map(from, extend(to));
    }
  }

  ImplicitLocOpBuilder builder;
  IRMapping wide;
};
} // namespace

/// Replaces `op`, on tensors, by one that computes in f32.
static void computeInWideType(RewriterBase &rewriter, linalg::GenericOp op) {
  rewriter.setInsertionPoint(op);
  definition::Definition tensors(rewriter, op.getLoc(), rewriter.getF32Type());
  bool reduces = op.getNumReductionLoops() > 0;
  SmallVector<Value> outs;
  for (Value out : op.getOutputs()) {
    bool carried = reduces && isNarrow(getElementTypeOrSelf(out.getType()));
    outs.push_back(carried ? tensors.store(out, tensors.empty(tensors.sizes(out))) : out);
  }
  SmallVector<Type> elements = llvm::map_to_vector(outs, [](Value out) { return getElementTypeOrSelf(out.getType()); });
  auto generic = linalg::GenericOp::create(rewriter, op.getLoc(), TypeRange(ValueRange(outs)), op.getInputs(), outs,
                                           op.getIndexingMapsArray(), op.getIteratorTypesArray(),
                                           [&](OpBuilder &builder, Location loc, ValueRange arguments) {
                                             WideBody(builder, loc).copy(*op.getBlock(), arguments, elements);
                                           });
  SmallVector<Value> results;
  for (auto [out, carried, result] : llvm::zip(op.getOutputs(), outs, generic.getResults()))
    results.push_back(out == carried ? Value(result) : tensors.store(result, out));
  rewriter.replaceOp(op, results);
}

/// Elementwise arith and math ops on tensors become linalg.generic, like `-convert-elementwise-to-linalg`.
static LogicalResult convertElementwise(Operation *root) {
  RewritePatternSet patterns(root->getContext());
  linalg::populateElementwiseToLinalgConversionPatterns(patterns);
  ConversionTarget target(*root->getContext());
  target.markUnknownOpDynamicallyLegal([](Operation *op) {
    return !OpTrait::hasElementwiseMappableTraits(op) ||
           llvm::none_of(op->getOperandTypes(), llvm::IsaPred<RankedTensorType>);
  });
  return applyPartialConversion(root, target, std::move(patterns));
}

LogicalResult accumulateInWideType(Operation *root) {
  if (failed(convertElementwise(root)))
    return failure();
  SmallVector<linalg::LinalgOp> ops;
  root->walk([&](linalg::LinalgOp op) {
    bool nested = false, arithmetic = false;
    for (Operation &inner : op.getBlock()->without_terminator()) {
      nested |= inner.getNumRegions() > 0;
      arithmetic |= isNarrowArithmetic(&inner);
    }
    if (op.hasPureTensorSemantics() && arithmetic && !nested)
      ops.push_back(op);
  });
  IRRewriter rewriter(root->getContext());
  for (linalg::LinalgOp op : ops) {
    auto generic = dyn_cast<linalg::GenericOp>(op.getOperation());
    if (!generic) {
      rewriter.setInsertionPoint(op);
      FailureOr<linalg::GenericOp> generalized = linalg::generalizeNamedOp(rewriter, op);
      if (failed(generalized))
        return op.emitOpError("expected a linalg op that has a generic form");
      generic = *generalized;
    }
    computeInWideType(rewriter, generic);
  }
  return success();
}

} // namespace bpt
