// Arithmetic, control flow and memory of GPU kernels.
#include "KernelBuilder.h"
#include "bpt/Conversion/KernelModule.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace bpt::hopper {

static constexpr auto fastMath = arith::FastMathFlags::nsz | arith::FastMathFlags::contract | arith::FastMathFlags::afn;
static constexpr auto fastMathLLVM =
    LLVM::FastmathFlags::nsz | LLVM::FastmathFlags::contract | LLVM::FastmathFlags::afn;

LLVM::LLVMFuncOp createKernel(gpu::GPUModuleOp module, Location loc, StringRef name, ArrayRef<Argument> arguments,
                              int64_t threads) {
  MLIRContext *context = module.getContext();
  OpBuilder builder(context);
  builder.setInsertionPointToEnd(module.getBody());
  auto pointer = LLVM::LLVMPointerType::get(context);
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> attributes;
  for (Argument argument : arguments) {
    SmallVector<NamedAttribute> entries;
    switch (argument) {
    case Argument::TensorMap:
      // 128 bytes in the parameter space, read by the TMA unit where they are.
      entries = {builder.getNamedAttr("llvm.byval", TypeAttr::get(LLVM::LLVMArrayType::get(builder.getI64Type(), 16))),
                 builder.getNamedAttr("llvm.align", builder.getI64IntegerAttr(64)),
                 builder.getNamedAttr("nvvm.grid_constant", builder.getUnitAttr())};
      [[fallthrough]];
    case Argument::Pointer:
      types.push_back(pointer);
      break;
    case Argument::I32:
      types.push_back(builder.getI32Type());
      break;
    case Argument::I64:
      types.push_back(builder.getI64Type());
      break;
    case Argument::F32:
      types.push_back(builder.getF32Type());
      break;
    }
    attributes.push_back(builder.getDictionaryAttr(entries));
  }
  auto type = LLVM::LLVMFunctionType::get(LLVM::LLVMVoidType::get(context), types);
  auto function = LLVM::LLVMFuncOp::create(builder, loc, name, type, LLVM::Linkage::External, /*dsoLocal=*/false,
                                           LLVM::CConv::C, /*comdat=*/{}, /*attrs=*/{}, attributes);
  setKernelAttributes(function, threads);
  Block *entry = function.addEntryBlock(builder);
  builder.setInsertionPointToEnd(entry);
  LLVM::ReturnOp::create(builder, loc, ValueRange());
  return function;
}

KernelBuilder::KernelBuilder(LLVM::LLVMFuncOp function)
    : ImplicitLocOpBuilder(function.getLoc(), OpBuilder(function.getBody().front().getTerminator())),
      function(function) {}

Type KernelBuilder::pointerType(unsigned addressSpace) {
  return LLVM::LLVMPointerType::get(getContext(), addressSpace);
}

//===-- Values of the entry block -------------------------------------------------------------------------------===//

Value KernelBuilder::createAtEntry(function_ref<Value()> create) {
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPointToStart(&function.getBody().front());
  if (lastOfEntry)
    setInsertionPointAfter(lastOfEntry);
  Value value = create();
  lastOfEntry = value.getDefiningOp();
  return value;
}

Value KernelBuilder::constant(TypedAttr value) {
  Value &known = constants[value];
  return known ? known : known = createAtEntry([&] { return arith::ConstantOp::create(*this, value).getResult(); });
}

Value KernelBuilder::atEntry(StringRef key, function_ref<Value()> create) {
  if (Value known = entryValues.lookup(key))
    return known;
  Value value = createAtEntry(create);
  return entryValues[key] = value;
}

Value KernelBuilder::i32(int64_t value) { return constant(getI32IntegerAttr(static_cast<int32_t>(value))); }
Value KernelBuilder::i64(int64_t value) { return constant(getI64IntegerAttr(value)); }
Value KernelBuilder::f32(double value) { return constant(getF32FloatAttr(static_cast<float>(value))); }
Value KernelBuilder::constantLike(Value a, int64_t value) {
  return a.getType().isInteger(64) ? i64(value) : i32(value);
}

//===-- Integers ------------------------------------------------------------------------------------------------===//

Value KernelBuilder::add(Value a, Value b) { return createOrFold<arith::AddIOp>(a, b); }
Value KernelBuilder::sub(Value a, Value b) { return createOrFold<arith::SubIOp>(a, b); }
Value KernelBuilder::mul(Value a, Value b) { return createOrFold<arith::MulIOp>(a, b); }
Value KernelBuilder::div(Value a, Value b) { return createOrFold<arith::DivUIOp>(a, b); }
Value KernelBuilder::rem(Value a, Value b) { return createOrFold<arith::RemUIOp>(a, b); }
Value KernelBuilder::min(Value a, Value b) { return createOrFold<arith::MinSIOp>(a, b); }
Value KernelBuilder::max(Value a, Value b) { return createOrFold<arith::MaxSIOp>(a, b); }
Value KernelBuilder::bitAnd(Value a, Value b) { return createOrFold<arith::AndIOp>(a, b); }
Value KernelBuilder::bitOr(Value a, Value b) { return createOrFold<arith::OrIOp>(a, b); }
Value KernelBuilder::bitXor(Value a, Value b) { return createOrFold<arith::XOrIOp>(a, b); }
Value KernelBuilder::shiftLeft(Value a, int64_t bits) { return createOrFold<arith::ShLIOp>(a, constantLike(a, bits)); }
Value KernelBuilder::shiftRight(Value a, int64_t bits) {
  return createOrFold<arith::ShRUIOp>(a, constantLike(a, bits));
}
Value KernelBuilder::compare(arith::CmpIPredicate predicate, Value a, Value b) {
  return createOrFold<arith::CmpIOp>(predicate, a, b);
}
Value KernelBuilder::select(Value condition, Value a, Value b) {
  return createOrFold<arith::SelectOp>(condition, a, b);
}
Value KernelBuilder::toI64(Value a) {
  return a.getType().isInteger(64) ? a : createOrFold<arith::ExtSIOp>(getI64Type(), a);
}

//===-- Floats --------------------------------------------------------------------------------------------------===//

Value KernelBuilder::addf(Value a, Value b) { return arith::AddFOp::create(*this, a, b, fastMath); }
Value KernelBuilder::subf(Value a, Value b) { return arith::SubFOp::create(*this, a, b, fastMath); }
Value KernelBuilder::mulf(Value a, Value b) { return arith::MulFOp::create(*this, a, b, fastMath); }
Value KernelBuilder::negf(Value a) { return arith::NegFOp::create(*this, a, fastMath); }
Value KernelBuilder::fma(Value a, Value b, Value c) { return LLVM::FMAOp::create(*this, a, b, c, fastMathLLVM); }
Value KernelBuilder::maxf(Value a, Value b) { return arith::MaxNumFOp::create(*this, a, b, fastMath); }
Value KernelBuilder::reciprocal(Value a) { return arith::DivFOp::create(*this, f32(1), a, fastMath); }
Value KernelBuilder::exp2(Value a) { return LLVM::Exp2Op::create(*this, a, fastMathLLVM); }
Value KernelBuilder::log2(Value a) {
  // llvm.intr.log2 aborts the NVPTX backend.
  return LLVM::CallIntrinsicOp::create(*this, getF32Type(), getStringAttr("llvm.nvvm.lg2.approx.f"), ValueRange(a))
      .getResult(0);
}
Value KernelBuilder::compareFloat(arith::CmpFPredicate predicate, Value a, Value b) {
  return arith::CmpFOp::create(*this, predicate, a, b);
}

Value KernelBuilder::reduceTree(ValueRange values, function_ref<Value(Value, Value)> combine) {
  Fragment level(values);
  while (level.size() > 1) {
    Fragment next;
    for (size_t i = 0; i < level.size(); i += 2)
      next.push_back(i + 1 < level.size() ? combine(level[i], level[i + 1]) : level[i]);
    level = next;
  }
  return level.front();
}

Value KernelBuilder::pack(Value low, Value high, Type storage) {
  auto pair = VectorType::get(2, storage);
  auto nearest = NVVM::FPRoundingMode::RN;
  Value both = storage.isBF16() ? Value(NVVM::ConvertF32x2ToBF16x2Op::create(*this, pair, high, low, Value(), nearest))
                                : Value(NVVM::ConvertF32x2ToF16x2Op::create(*this, pair, high, low, Value(), nearest));
  return LLVM::BitcastOp::create(*this, getI32Type(), both);
}

std::array<Value, 2> KernelBuilder::unpack(Value packed, Type storage) {
  if (storage.isBF16()) {
    Value low = arith::BitcastOp::create(*this, getF32Type(), shiftLeft(packed, 16));
    Value high = arith::BitcastOp::create(*this, getF32Type(), bitAnd(packed, 0xFFFF0000));
    return {low, high};
  }
  Value pair = LLVM::BitcastOp::create(*this, VectorType::get(2, storage), packed);
  auto extract = [&](int64_t i) { return expand(LLVM::ExtractElementOp::create(*this, pair, i32(i))); };
  return {extract(0), extract(1)};
}

Value KernelBuilder::expand(Value stored) {
  if (stored.getType().isF32())
    return stored;
  return arith::ExtFOp::create(*this, getF32Type(), stored);
}

Value KernelBuilder::round(Value value, Type storage) {
  if (value.getType() == storage)
    return value;
  // The packed conversion also where one is wanted: CPUs of the emulator may lack one of their own.
  Value low = arith::TruncIOp::create(*this, getI16Type(), pack(value, f32(0), storage));
  return arith::BitcastOp::create(*this, storage, low);
}

//===-- Control flow --------------------------------------------------------------------------------------------===//

void KernelBuilder::loop(Value begin, Value end, Value step, function_ref<void(Value)> body) {
  (void)loop(begin, end, step, {}, [&](Value i, ValueRange) {
    body(i);
    return Fragment();
  });
}

Fragment KernelBuilder::loop(Value begin, Value end, Value step, ValueRange init,
                             function_ref<Fragment(Value, ValueRange)> body) {
  auto loop = scf::ForOp::create(*this, begin, end, step, init);
  OpBuilder::InsertionGuard guard(*this);
  // Without carried values the loop has its terminator already.
  if (init.empty())
    setInsertionPoint(loop.getBody()->getTerminator());
  else
    setInsertionPointToEnd(loop.getBody());
  Fragment results = body(loop.getInductionVar(), loop.getRegionIterArgs());
  if (!init.empty())
    scf::YieldOp::create(*this, results);
  return Fragment(loop.getResults());
}

void KernelBuilder::ifThen(Value condition, function_ref<void()> then, function_ref<void()> otherwise) {
  auto branch = scf::IfOp::create(*this, condition, /*withElseRegion=*/static_cast<bool>(otherwise));
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPoint(branch.thenBlock()->getTerminator());
  then();
  if (!otherwise)
    return;
  setInsertionPoint(branch.elseBlock()->getTerminator());
  otherwise();
}

Fragment KernelBuilder::choose(Value condition, function_ref<Fragment()> then, function_ref<Fragment()> otherwise) {
  // The types of the results are known when `then` has been emitted.
  OpBuilder::InsertionGuard guard(*this);
  auto fill = [&](Block &block, function_ref<Fragment()> body) {
    setInsertionPointToEnd(&block);
    Fragment results = body();
    scf::YieldOp::create(*this, results);
    return results;
  };
  OpBuilder::InsertPoint here = saveInsertionPoint();
  Region thenRegion, elseRegion;
  SmallVector<Type> types(ValueRange(fill(thenRegion.emplaceBlock(), then)).getTypes());
  fill(elseRegion.emplaceBlock(), otherwise);
  restoreInsertionPoint(here);
  auto branch = scf::IfOp::create(*this, types, condition, /*addThenBlock=*/false, /*addElseBlock=*/false);
  branch.getThenRegion().takeBody(thenRegion);
  branch.getElseRegion().takeBody(elseRegion);
  return Fragment(branch.getResults());
}

//===-- Memory --------------------------------------------------------------------------------------------------===//

Value KernelBuilder::getShared(Value offset) {
  Value base =
      atEntry("shared", [&]() -> Value { return LLVM::AddressOfOp::create(*this, pointerType(3), sharedMemoryName); });
  if (std::optional<int64_t> constant = getConstantIntValue(offset))
    return advance(base, *constant);
  return getElement(base, offset, getI8Type());
}

Value KernelBuilder::advance(Value pointer, int64_t bytes) {
  if (bytes == 0)
    return pointer;
  return LLVM::GEPOp::create(*this, pointer.getType(), getI8Type(), pointer,
                             ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(bytes)});
}

Value KernelBuilder::getElement(Value pointer, Value index, Type type) {
  return LLVM::GEPOp::create(*this, pointer.getType(), type, pointer, ValueRange(index));
}

Value KernelBuilder::load(Value address, Type type) { return LLVM::LoadOp::create(*this, type, address); }
void KernelBuilder::store(Value value, Value address) { LLVM::StoreOp::create(*this, value, address); }

} // namespace bpt::hopper
