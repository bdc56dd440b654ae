// Kernels by signature: keys, argument types, calls.
#include "Kernels.h"
#include "bpt/Analysis/ModelFlops.h"
#include "bpt/Analysis/TileSizes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "llvm/Support/raw_ostream.h"

using namespace mlir;

namespace bpt {

Type getKernelType(Type type, int64_t dynamicDims) {
  auto memref = dyn_cast<MemRefType>(type);
  if (!memref)
    return type;
  SmallVector<int64_t> shape(memref.getShape());
  for (int64_t i = 0; i < std::min<int64_t>(dynamicDims, shape.size()); ++i)
    if (shape[i] != 1) // a dim of one row needs no address arithmetic
      shape[i] = ShapedType::kDynamic;
  if (memref.getLayout().isIdentity())
    return MemRefType::get(shape, memref.getElementType());
  SmallVector<int64_t> strides;
  int64_t offset;
  if (failed(memref.getStridesAndOffset(strides, offset)))
    return type;
  for (int64_t i = 0, last = strides.size() - 1; i < std::min<int64_t>(dynamicDims, last); ++i)
    strides[i] = ShapedType::kDynamic;
  auto layout = StridedLayoutAttr::get(type.getContext(), ShapedType::kDynamic, strides);
  return MemRefType::get(shape, memref.getElementType(), layout);
}

/// Narrow floats are passed as their bits: LLVM's x86 calling convention would convert them by library functions.
static Type getArgumentType(Type type) { return type.isF16() || type.isBF16() ? IntegerType::get(type.getContext(), 16) : type; }

static Value castTo(OpBuilder &builder, Location loc, Value value, Type type) {
  if (value.getType() == type)
    return value;
  if (isa<MemRefType>(type))
    return memref::CastOp::create(builder, loc, type, value);
  return arith::BitcastOp::create(builder, loc, type, value);
}

/// The argument as the kernel wants it.
static Value castBack(Emitter &e, Value argument, Type type) {
  return isa<MemRefType>(type) ? argument : castTo(e, e.getLoc(), argument, type);
}

func::FuncOp KernelCache::createFunction(StringRef name, Location loc, TypeRange arguments, TypeRange results) {
  OpBuilder builder(module.getBodyRegion());
  builder.setInsertionPointToEnd(module.getBody());
  std::string symbol;
  do
    symbol = (Twine(name) + "_" + Twine(names[name]++)).str();
  while (module.lookupSymbol(symbol));
  auto function = func::FuncOp::create(builder, loc, symbol, builder.getFunctionType(arguments, results));
  function.setPrivate();
  function.addEntryBlock();
  return function;
}

LogicalResult KernelCache::replace(Operation *op, StringRef name, Type accumulator, ArrayRef<KernelOperand> operands,
                                   Body body, StringRef key) {
  SmallVector<Type> types;
  std::string signature;
  llvm::raw_string_ostream stream(signature);
  stream << name << " " << op->getAttrDictionary() << " " << key;
  for (const KernelOperand &operand : operands) {
    if (!operand.value) {
      stream << " none";
      continue;
    }
    Type type = getKernelType(operand.value.getType(), operand.dynamicDims);
    stream << " " << type;
    types.push_back(getArgumentType(type));
  }

  func::FuncOp &function = functions[signature];
  if (!function) {
    function = createFunction(name, op->getLoc(), types, {});
    OpBuilder builder = OpBuilder::atBlockBegin(&function.getBody().front());
    Emitter e(op->getLoc(), builder, target, accumulator);
    SmallVector<Value> arguments;
    unsigned next = 0;
    for (const KernelOperand &operand : operands)
      arguments.push_back(operand.value ? castBack(e, function.getArgument(next++), operand.value.getType()) : Value());
    if (failed(body(e, arguments)))
      return failure();
    func::ReturnOp::create(e);
    int64_t announced = getThreadScratchBytes(op, target);
    if (e.getScratchBytes() > announced)
      return op->emitError("kernel '") << name << "' takes " << e.getScratchBytes() << " bytes of scratch per thread, but "
                                       << announced << " were announced to the memory plan";
    scratchBytes = std::max(scratchBytes, e.getScratchBytes());
  }

  OpBuilder builder(op);
  SmallVector<Value> values;
  for (const KernelOperand &operand : operands)
    if (operand.value)
      values.push_back(castTo(builder, op->getLoc(), operand.value, types[values.size()]));
  auto call = func::CallOp::create(builder, op->getLoc(), function, values);
  if (profile)
    markRegion(call, op);
  op->erase();
  return success();
}

KernelCache::KernelCache(ModuleOp module, const TargetInfo &target, bool profile)
    : module(module), target(target), profile(profile) {
  if (auto planned = module->getAttrOfType<IntegerAttr>("bpt.shared_scratch"))
    sharedScratchBytes = planned.getInt();
}

/// Bytes of all operands; 0 where a size is dynamic.
static int64_t countBytes(Operation *op) {
  int64_t bytes = 0;
  for (Value operand : op->getOperands())
    if (auto type = dyn_cast<MemRefType>(operand.getType())) {
      if (!type.hasStaticShape())
        return 0;
      bytes += type.getNumElements() * type.getElementTypeBitWidth() / 8;
    }
  return bytes;
}

void KernelCache::markRegion(func::CallOp call, Operation *op) {
  Builder builder(module.getContext());
  std::string place;
  if (auto line = op->getLoc()->findInstanceOf<FileLineColLoc>())
    place = line.getFilename().str() + ":" + std::to_string(line.getLine());
  call->setAttr("bpt.region", builder.getI64IntegerAttr(regions.size()));
  regions.push_back(builder.getDictionaryAttr(
      {builder.getNamedAttr("op", builder.getStringAttr(op->getName().getStringRef())),
       builder.getNamedAttr("function", builder.getStringAttr(op->getParentOfType<func::FuncOp>().getName())),
       builder.getNamedAttr("place", builder.getStringAttr(place)),
       builder.getNamedAttr("flops", builder.getI64IntegerAttr(countOpFlops(op).value_or(0))),
       builder.getNamedAttr("bytes", builder.getI64IntegerAttr(countBytes(op)))}));
}

void KernelCache::attachRegions() {
  if (profile)
    module->setAttr("bpt.regions", ArrayAttr::get(module.getContext(), regions));
}

func::FuncOp KernelCache::getHelper(StringRef name, Type accumulator, TypeRange arguments, TypeRange results,
                                    HelperBody body) {
  std::string signature;
  llvm::raw_string_ostream stream(signature);
  stream << "helper " << name << " " << accumulator;
  for (Type type : arguments)
    stream << " " << type;
  if (func::FuncOp function = functions.lookup(signature))
    return function;
  Location loc = NameLoc::get(StringAttr::get(module.getContext(), name));
  func::FuncOp function = createFunction(name, loc, arguments, results);
  functions[signature] = function;
  function.setNoInline(true);
  Emitter e(loc, OpBuilder::atBlockBegin(&function.getBody().front()), target, accumulator);
  func::ReturnOp::create(e, body(e, function.getArguments()));
  return function;
}

ValueRange KernelCache::callHelper(Emitter &e, StringRef name, ValueRange arguments, TypeRange argumentTypes,
                                   TypeRange results, HelperBody body) {
  func::FuncOp function = getHelper(name, e.accumulator, argumentTypes, results, body);
  SmallVector<Value> values;
  for (auto [value, type] : llvm::zip_equal(arguments, argumentTypes))
    values.push_back(castTo(e, e.getLoc(), value, type));
  return func::CallOp::create(e, function, values).getResults();
}

LogicalResult checkOperands(Operation *op, Value workspace, bool needsWorkspace) {
  for (auto [number, operand] : llvm::enumerate(op->getOperands())) {
    auto type = dyn_cast<MemRefType>(operand.getType());
    if (isa<TensorType>(operand.getType()))
      return op->emitOpError("expected operand #") << number << " to be a memref, but got " << operand.getType()
                                                   << "; bufferize first";
    if (type && type.getRank() > 0 && !type.isLastDimUnitStride())
      return op->emitOpError("expected operand #") << number << " to have contiguous rows, but got " << type;
  }
  if (needsWorkspace && !workspace)
    return op->emitOpError("expected a workspace; run bpt-tile-blocks before bufferization");
  return success();
}

Value collapseRows(Emitter &e, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t rank = type.getRank();
  if (rank <= 2 || !type.getLayout().isIdentity())
    return memref;
  SmallVector<ReassociationIndices> groups(2);
  groups[0] = llvm::to_vector(llvm::seq<int64_t>(0, rank - 1));
  groups[1] = {rank - 1};
  return memref::CollapseShapeOp::create(e, memref, groups);
}

} // namespace bpt
