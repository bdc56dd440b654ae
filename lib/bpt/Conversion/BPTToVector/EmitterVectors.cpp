// Vectors of accumulators: storage conversions, masks, tails, sums of lanes.
#include "Emitter.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

Value Emitter::scalar(double value) { return arith::ConstantOp::create(*this, getFloatAttr(accumulator, value)); }
Value Emitter::splat(double value) {
  return arith::ConstantOp::create(*this,
                                   DenseElementsAttr::get(vectorType, getFloatAttr(accumulator, value).getValue()));
}
Value Emitter::splatInt(int64_t value) {
  unsigned bits = accumulator.getIntOrFloatBitWidth();
  VectorType type = vectorOf(getIntegerType(bits));
  return arith::ConstantOp::create(*this, DenseElementsAttr::get(type, APInt(bits, value, true, true)));
}
Value Emitter::broadcast(Value scalar) {
  return vector::BroadcastOp::create(*this, vectorOf(scalar.getType()), scalar);
}
Value Emitter::maskFirst(Value count) { return vector::CreateMaskOp::create(*this, vectorOf(getI1Type()), count); }

Value asBits(Emitter &e, Value memref) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.getElementType().isBF16() && !type.getElementType().isF16())
    return memref;
  // The same address: memrefs of equal layout differ in the types of their elements only.
  Type bits = MemRefType::get(type.getShape(), e.getI16Type(), type.getLayout(), type.getMemorySpace());
  return UnrealizedConversionCastOp::create(e, bits, memref).getResult(0);
}
/// `value` with the bits it has as elements of `type`.
static Value withElement(Emitter &e, Value value, Type element) {
  if (getElementTypeOrSelf(value.getType()) == element)
    return value;
  if (auto vector = dyn_cast<VectorType>(value.getType()))
    element = vector.clone(element);
  return arith::BitcastOp::create(e, element, value);
}

Value Emitter::load(Value memref, ValueRange indices, Value mask) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  memref = asBits(*this, memref);
  VectorType stored = vectorOf(cast<MemRefType>(memref.getType()).getElementType());
  Value value;
  if (mask) {
    Value zero = arith::ConstantOp::create(*this, getZeroAttr(stored));
    value = vector::MaskedLoadOp::create(*this, stored, memref, indices, mask, zero);
  } else {
    value = vector::LoadOp::create(*this, stored, memref, indices);
  }
  return expand(withElement(*this, value, element));
}
/// `value` rounded to the elements of `memref`, and both as the bits that are stored.
static void toStored(Emitter &e, Value &value, Value &memref) {
  value = e.round(value, cast<MemRefType>(memref.getType()).getElementType());
  memref = asBits(e, memref);
  value = withElement(e, value, cast<MemRefType>(memref.getType()).getElementType());
}

void Emitter::store(Value value, Value memref, ValueRange indices, Value mask) {
  toStored(*this, value, memref);
  if (mask)
    vector::MaskedStoreOp::create(*this, memref, indices, mask, value);
  else
    vector::StoreOp::create(*this, value, memref, indices);
}

void Emitter::stream(Value value, Value memref, ValueRange indices) {
  toStored(*this, value, memref);
  auto type = cast<VectorType>(value.getType());
  auto bytes = static_cast<uint64_t>(type.getNumElements() * type.getElementTypeBitWidth() / 8);
  vector::StoreOp::create(*this, value, memref, indices, /*nontemporal=*/true, llvm::MaybeAlign(bytes));
}

Value Emitter::loadScalar(Value memref, ValueRange indices) {
  Type element = cast<MemRefType>(memref.getType()).getElementType();
  Value value = memref::LoadOp::create(*this, asBits(*this, memref), indices);
  return expand(withElement(*this, value, element));
}
void Emitter::storeScalar(Value value, Value memref, ValueRange indices) {
  toStored(*this, value, memref);
  memref::StoreOp::create(*this, value, memref, indices);
}

//===--- storage types
//-------------------------------------------------------------------------------------------------===//

namespace {
/// Integer arithmetic on scalars or vectors of one shape, for the conversions that LLVM would turn into library calls.
struct Bits {
  Emitter &e;
  Type shape;

  Type of(Type element) const {
    if (auto vector = dyn_cast<VectorType>(shape))
      return vector.clone(element);
    return element;
  }
  Type i32() const { return of(e.getI32Type()); }
  Value constant(int64_t value) const {
    Type type = i32();
    IntegerAttr attr = e.getI32IntegerAttr(static_cast<int32_t>(value));
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(e, DenseElementsAttr::get(vector, attr.getValue()));
    return arith::ConstantOp::create(e, attr);
  }
  Value cast(Value value, Type element) const { return arith::BitcastOp::create(e, of(element), value); }
  Value shl(Value a, int64_t n) const { return arith::ShLIOp::create(e, a, constant(n)); }
  Value shr(Value a, int64_t n) const { return arith::ShRUIOp::create(e, a, constant(n)); }
  Value both(Value a, int64_t mask) const { return arith::AndIOp::create(e, a, constant(mask)); }
  Value either(Value a, Value b) const { return arith::OrIOp::create(e, a, b); }
  Value add(Value a, Value b) const { return arith::AddIOp::create(e, a, b); }
  Value below(Value a, int64_t b) const { return arith::CmpIOp::create(e, arith::CmpIPredicate::ult, a, constant(b)); }
  Value select(Value c, Value a, Value b) const { return arith::SelectOp::create(e, c, a, b); }
  Value from16(Value value) const { return arith::ExtUIOp::create(e, i32(), cast(value, e.getI16Type())); }
  Value to16(Value bits, Type element) const {
    return cast(arith::TruncIOp::create(e, of(e.getI16Type()), bits), element);
  }
};
} // namespace

/// binary16 to f32: exponents are moved by a multiplication, which also makes denormals right.
static Value expandHalf(const Bits &b, Value stored) {
  Value bits = b.from16(stored), magnitude = b.both(bits, 0x7fff);
  Value scale = b.cast(b.constant(0x77800000), b.e.getF32Type()); // 2^112
  Value scaled = b.e.mulf(b.cast(b.shl(magnitude, 13), b.e.getF32Type()), scale);
  Value value = b.cast(scaled, b.e.getI32Type());
  Value special = b.either(value, b.constant(0x7f800000));
  value = b.select(b.below(magnitude, 0x7c00), value, special);
  return b.cast(b.either(value, b.shl(b.both(bits, 0x8000), 16)), b.e.getF32Type());
}

/// f32 to binary16, to nearest even; NaN becomes the quiet NaN of that sign.
static Value roundHalf(const Bits &b, Value value, Type storage) {
  Value bits = b.cast(value, b.e.getI32Type()), magnitude = b.both(bits, 0x7fffffff);
  Value odd = b.both(b.shr(magnitude, 13), 1);
  Value normal = b.shr(b.add(b.add(magnitude, b.constant(0xc8000fff)), odd), 13);
  // Adding 1/2 leaves the denormal's bits, correctly rounded, at the end of the significand.
  Value half = b.cast(b.constant(0x3f000000), b.e.getF32Type());
  Value shifted = b.cast(b.e.addf(b.cast(magnitude, b.e.getF32Type()), half), b.e.getI32Type());
  Value tiny = b.add(shifted, b.constant(-0x3f000000LL));
  Value large = b.select(b.below(magnitude, 0x7f800001), b.constant(0x7c00), b.constant(0x7e00));
  Value result =
      b.select(b.below(magnitude, 0x38800000), tiny, b.select(b.below(magnitude, 0x47800000), normal, large));
  return b.to16(b.either(result, b.shr(b.both(bits, 0x80000000LL), 16)), storage);
}

/// f32 to bf16, to nearest even; NaN stays NaN (its quiet bit is set). The result is the upper half of each lane.
static Value roundBfloat(const Bits &b, Value value, Type storage) {
  Value bits = b.cast(value, b.e.getI32Type());
  Value odd = b.both(b.shr(bits, 16), 1);
  Value rounded = b.add(b.add(bits, b.constant(0x7fff)), odd);
  Value quiet = b.either(bits, b.constant(0x400000));
  Value isNumber = b.below(b.both(bits, 0x7fffffff), 0x7f800001);
  Value result = b.select(isNumber, rounded, quiet);
  auto vector = dyn_cast<VectorType>(b.shape);
  if (!vector)
    return b.to16(b.shr(result, 16), storage);
  // Not a truncation of lanes: LLVM 22 makes a masked store of one truncated lane a store of 32 bits.
  int64_t lanes = vector.getDimSize(0);
  Value halves = vector::BitCastOp::create(b.e, VectorType::get(2 * lanes, b.e.getI16Type()), result);
  SmallVector<int64_t> upper;
  for (int64_t i = 0; i < lanes; ++i)
    upper.push_back(2 * i + 1);
  return b.cast(vector::ShuffleOp::create(b.e, halves, halves, upper), storage);
}

Value Emitter::expand(Value stored) {
  Type element = getElementTypeOrSelf(stored.getType());
  if (!isa<FloatType>(element) || element == accumulator)
    return stored;
  Bits b{*this, stored.getType()};
  if (element.isBF16())
    stored = b.cast(b.shl(b.from16(stored), 16), getF32Type());
  else if (element.isF16() && !target.convertsHalf)
    stored = expandHalf(b, stored);
  element = getElementTypeOrSelf(stored.getType());
  if (element == accumulator)
    return stored;
  if (element.isF64())
    return arith::TruncFOp::create(*this, b.of(accumulator), stored);
  return arith::ExtFOp::create(*this, b.of(accumulator), stored);
}

Value Emitter::round(Value value, Type storage) {
  Type element = getElementTypeOrSelf(value.getType());
  if (!isa<FloatType>(element) || element == storage)
    return value;
  Bits b{*this, value.getType()};
  if (storage.isF64())
    return arith::ExtFOp::create(*this, b.of(storage), value);
  if (element.isF64())
    value = arith::TruncFOp::create(*this, b.of(getF32Type()), value);
  if (storage.isF32())
    return value;
  if (storage.isBF16() && target.hasAvx512 && target.roundsBfloat && value.getType() == vectorType)
    return LLVM::CallIntrinsicOp::create(*this, vectorOf(storage),
                                         getStringAttr("llvm.x86.avx512bf16.cvtneps2bf16.512"), value)
        .getResults();
  if (storage.isBF16() && (target.hasAvx512 || !target.roundsBfloat))
    return roundBfloat(b, value, storage);
  if (storage.isF16() && !target.convertsHalf)
    return roundHalf(b, value, storage);
  return arith::TruncFOp::create(*this, b.of(storage), value);
}

//===--- tails
//---------------------------------------------------------------------------------------------------------===//

void Emitter::columns(Value n, function_ref<void(Value, Value)> body) {
  columns(n, {}, [&](Value column, Value mask, ValueRange) {
    body(column, mask);
    return Values();
  });
}

Emitter::Values Emitter::columns(Value n, ValueRange init, function_ref<Values(Value, Value, ValueRange)> body) {
  Value full = mul(div(n, lanes), lanes);
  Values carried =
      loop(index(0), full, lanes, init, [&](Value column, ValueRange values) { return body(column, {}, values); });
  auto tail = [&] { return body(full, maskFirst(sub(n, full)), carried); };
  if (init.empty()) {
    ifThen(less(full, n), [&] { (void)tail(); });
    return {};
  }
  return choose(less(full, n), tail, [&] { return carried; });
}

//===--- arithmetic
//----------------------------------------------------------------------------------------------------===//

Value Emitter::fma(Value a, Value b, Value c) {
  if (!target.hasFma)
    return addf(mulf(a, b), c);
  if (isa<VectorType>(a.getType()))
    return vector::FMAOp::create(*this, a, b, c);
  return math::FmaOp::create(*this, a, b, c);
}
Value Emitter::maxf(Value a, Value b) {
  return arith::SelectOp::create(*this, compareFloat(arith::CmpFPredicate::OGT, a, b), a, b);
}
Value Emitter::minf(Value a, Value b) {
  return arith::SelectOp::create(*this, compareFloat(arith::CmpFPredicate::OLT, a, b), a, b);
}

Value Emitter::combineLanes(Value vector, function_ref<Value(Value, Value)> combine) {
  for (int64_t n = lanes / 2; n > 0; n /= 2) {
    Value low = vector::ExtractStridedSliceOp::create(*this, vector, ArrayRef<int64_t>{0}, ArrayRef<int64_t>{n},
                                                      ArrayRef<int64_t>{1});
    Value high = vector::ExtractStridedSliceOp::create(*this, vector, ArrayRef<int64_t>{n}, ArrayRef<int64_t>{n},
                                                       ArrayRef<int64_t>{1});
    vector = combine(low, high);
  }
  return vector::ExtractOp::create(*this, vector, ArrayRef<int64_t>{0});
}
Value Emitter::sumLanes(Value vector) {
  return combineLanes(vector, [&](Value a, Value b) { return addf(a, b); });
}
Value Emitter::maxLanes(Value vector) {
  return combineLanes(vector, [&](Value a, Value b) { return maxf(a, b); });
}

} // namespace bpt
