// bpt-differentiate: adds the gradient function @f.grad.
#include "bpt/Analysis/ModelFlops.h"
#include "bpt/Transforms/Differentiate.h"
#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/ReverseMode.h"
#include "bpt/Transforms/EntryInfo.h"
#include "bpt/Transforms/Passes.h"
#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

namespace bpt {
#define GEN_PASS_DEF_DIFFERENTIATEPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace bpt {

std::string suggestName(StringRef wanted, ArrayRef<std::string> names) {
  const std::string *nearest = nullptr;
  unsigned least = std::max<unsigned>(2, wanted.size() / 2) + 1;
  for (const std::string &name : names) {
    unsigned distance = wanted.edit_distance(name, /*AllowReplacements=*/true, least);
    if (distance < least) {
      least = distance;
      nearest = &name;
    }
  }
  return nearest ? " (did you mean '" + *nearest + "'?)" : std::string();
}

FailureOr<func::FuncOp> findFunction(ModuleOp module, StringRef name) {
  if (auto function = module.lookupSymbol<func::FuncOp>(name))
    return function;
  SmallVector<std::string> names;
  for (auto function : module.getOps<func::FuncOp>())
    names.push_back(function.getName().str());
  return module.emitError("expected the name of a function, but got '") << name << "'" << suggestName(name, names);
}

/// Which arguments get a gradient.
static FailureOr<llvm::BitVector> chooseArguments(func::FuncOp function, ArrayRef<std::string> wrt) {
  llvm::BitVector chosen(function.getNumArguments());
  SmallVector<std::string> names;
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    names.push_back(getArgumentName(function, i));
    if (wrt.empty() && isFloatValue(function.getArgument(i)))
      chosen.set(i);
  }
  for (const std::string &name : wrt) {
    auto *found = llvm::find(names, name);
    if (found == names.end())
      return function.emitError("expected the name of an argument in wrt, but got '") << name << "'" << suggestName(name, names);
    unsigned i = found - names.begin();
    if (!isFloatValue(function.getArgument(i)))
      return function.emitError("expected a floating-point argument in wrt, but got '")
             << name << "' of type " << function.getArgument(i).getType();
    chosen.set(i);
  }
  return chosen;
}

static LogicalResult checkFunction(func::FuncOp function, StringRef gradName) {
  if (function.isExternal() || !function.getBody().hasOneBlock())
    return function.emitError("expected a function of one block to differentiate, but got ")
           << (function.isExternal() ? "a declaration" : "control flow between blocks");
  if (auto other = cast<ModuleOp>(function->getParentOp()).lookupSymbol(gradName)) {
    InFlightDiagnostic error = function.emitError("expected no function @") << gradName << " yet; remove it or rename it";
    error.attachNote(other->getLoc()) << "it is here";
    return error;
  }
  for (Type type : llvm::concat<const Type>(function.getArgumentTypes(), function.getResultTypes()))
    if (isa<BaseMemRefType, UnrankedTensorType>(type))
      return function.emitError("expected arguments and results that are ranked tensors or scalars, but got ") << type;
  return success();
}

static bool isScalar(Type type) {
  auto shaped = dyn_cast<RankedTensorType>(type);
  return !shaped || shaped.getRank() == 0;
}

/// Cotangents of the results: new arguments, or 1.
static SmallVector<Value> createCotangents(func::FuncOp function, func::FuncOp grad, OpBuilder &builder) {
  SmallVector<Value> cotangents;
  auto isFloat = [](Type type) { return isa<FloatType>(getElementTypeOrSelf(type)); };
  bool isLoss = llvm::count_if(function.getResultTypes(), isFloat) == 1 &&
                isScalar(*llvm::find_if(function.getResultTypes(), isFloat));
  for (auto [i, type] : llvm::enumerate(function.getResultTypes())) {
    if (!isFloat(type)) {
      cotangents.push_back({});
    } else if (!isLoss) {
      auto name = builder.getStringAttr(getResultName(function, i) + ".cotangent");
      (void)grad.insertArgument(grad.getNumArguments(), type,
                                builder.getDictionaryAttr(builder.getNamedAttr("bpt.name", name)), function.getLoc());
      cotangents.push_back(grad.getArguments().back());
    } else {
      Value one = arith::ConstantOp::create(builder, function.getLoc(), builder.getFloatAttr(getElementTypeOrSelf(type), 1));
      if (isa<RankedTensorType>(type)) {
        Value empty = tensor::EmptyOp::create(builder, function.getLoc(), ArrayRef<int64_t>{}, getElementTypeOrSelf(type));
        one = linalg::FillOp::create(builder, function.getLoc(), one, empty).getResult(0);
      }
      cotangents.push_back(one);
    }
  }
  return cotangents;
}

FailureOr<func::FuncOp> differentiate(func::FuncOp function, ArrayRef<std::string> wrt) {
  std::string name = (function.getName() + ".grad").str();
  if (failed(checkFunction(function, name)))
    return failure();
  FailureOr<llvm::BitVector> chosen = chooseArguments(function, wrt);
  if (failed(chosen))
    return failure();

  Location loc = function.getLoc();
  auto grad = func::FuncOp::create(loc, name, function.getFunctionType());
  DerivedFunctions functions(cast<ModuleOp>(function->getParentOp()));
  functions.symbols.insert(grad, std::next(Block::iterator(function)));
  Block *block = grad.addEntryBlock();
  OpBuilder builder = OpBuilder::atBlockEnd(block);
  for (unsigned i = 0; i < function.getNumArguments(); ++i)
    grad.setArgAttrs(i, function.getArgAttrDict(i));
  SmallVector<Attribute> resultAttributes;
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    resultAttributes.push_back(function.getResultAttrDict(i) ? function.getResultAttrDict(i) : builder.getDictionaryAttr({}));

  IRMapping mapping;
  mapping.map(function.getArguments(), grad.getArguments());
  VJPContext context(functions, std::nullopt);
  Backward backward(context, builder, function.front(), mapping);
  SmallVector<Value> cotangents = createCotangents(function, grad, builder), sources;
  for (unsigned i : chosen->set_bits())
    sources.push_back(grad.getArgument(i));
  if (failed(backward.analyze(sources, cotangents)) || failed(backward.build(builder, cotangents)))
    return failure();

  SmallVector<Value> results(backward.getResults());
  for (unsigned i : chosen->set_bits()) {
    Value argument = grad.getArgument(i), gradient = context.getCotangent(argument);
    results.push_back(gradient ? gradient : VJPContext::createZero(builder, loc, argument));
    auto gradientName = builder.getStringAttr(getArgumentName(function, i) + ".grad");
    resultAttributes.push_back(builder.getDictionaryAttr(builder.getNamedAttr("bpt.name", gradientName)));
  }
  func::ReturnOp::create(builder, loc, results);
  grad.setFunctionType(builder.getFunctionType(grad.getArgumentTypes(), TypeRange(ValueRange(results))));
  grad.setResAttrsAttr(builder.getArrayAttr(resultAttributes));
  if (std::optional<ModelFlops> flops = countModelFlops(function))
    setRunFlops(grad, flops->forward + flops->backward);
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(*block)))
    if (isOpTriviallyDead(&op))
      op.erase();
  return grad;
}

namespace {
struct Differentiate : impl::DifferentiatePassBase<Differentiate> {
  using Base::Base;

  void runOnOperation() override {
    FailureOr<func::FuncOp> found = findFunction(getOperation(), function);
    SmallVector<std::string> names(wrt.begin(), wrt.end());
    if (failed(found) || failed(differentiate(*found, names)))
      signalPassFailure();
  }
};
} // namespace

} // namespace bpt
