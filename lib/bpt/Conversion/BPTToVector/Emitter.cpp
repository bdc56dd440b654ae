// Emits the body of a CPU kernel: index arithmetic, loops, scratch.
#include "Emitter.h"
#include "bpt/IR/BPT.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Utils/StaticValueUtils.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace bpt {

//===--- index arithmetic ----------------------------------------------------------------------------------------------===//

Value Emitter::index(int64_t value) { return arith::ConstantIndexOp::create(*this, value); }
Value Emitter::add(Value a, Value b) { return createOrFold<arith::AddIOp>(a, b); }
Value Emitter::sub(Value a, Value b) { return createOrFold<arith::SubIOp>(a, b); }
Value Emitter::mul(Value a, Value b) { return createOrFold<arith::MulIOp>(a, b); }
Value Emitter::div(Value a, Value b) { return createOrFold<arith::DivUIOp>(a, b); }
Value Emitter::rem(Value a, Value b) { return createOrFold<arith::RemUIOp>(a, b); }
Value Emitter::ceilDiv(Value a, Value b) { return div(add(a, sub(b, 1)), b); }
Value Emitter::min(Value a, Value b) { return createOrFold<arith::MinSIOp>(a, b); }
Value Emitter::max(Value a, Value b) { return createOrFold<arith::MaxSIOp>(a, b); }
Value Emitter::select(Value condition, Value a, Value b) { return createOrFold<arith::SelectOp>(condition, a, b); }
Value Emitter::compare(arith::CmpIPredicate predicate, Value a, Value b) {
  return createOrFold<arith::CmpIOp>(predicate, a, b);
}

//===--- memrefs -------------------------------------------------------------------------------------------------------===//

Value Emitter::dim(Value memref, int64_t dim) {
  auto type = cast<MemRefType>(memref.getType());
  if (!type.isDynamicDim(dim))
    return index(type.getDimSize(dim));
  return memref::DimOp::create(*this, memref, dim);
}

Value Emitter::rows(Value memref, int64_t inner) {
  Value product = index(1);
  for (int64_t i = 0, rank = cast<MemRefType>(memref.getType()).getRank(); i < rank - inner; ++i)
    product = mul(product, dim(memref, i));
  return product;
}

Emitter::Values Emitter::rowIndices(Value memref, Value row, int64_t inner) {
  auto type = cast<MemRefType>(memref.getType());
  int64_t leading = type.getRank() - inner;
  Values indices(leading);
  // From the fastest dim outwards; the outermost dim that is not 1 takes what is left.
  int64_t outermost = 0;
  while (outermost + 1 < leading && type.getDimSize(outermost) == 1)
    ++outermost;
  for (int64_t i = leading - 1; i >= 0; --i) {
    if (i < outermost || type.getDimSize(i) == 1) {
      indices[i] = index(0);
    } else if (i == outermost) {
      indices[i] = row;
    } else {
      Value size = dim(memref, i);
      indices[i] = rem(row, size);
      row = div(row, size);
    }
  }
  return indices;
}

Value Emitter::slice(Value matrix, ArrayRef<Value> from, ArrayRef<Value> sizes) {
  SmallVector<OpFoldResult> strides(from.size(), getIndexAttr(1));
  return memref::SubViewOp::create(*this, matrix, getAsOpFoldResult(from), getAsOpFoldResult(sizes), strides);
}

//===--- control flow --------------------------------------------------------------------------------------------------===//

void Emitter::loop(Value begin, Value end, int64_t step, function_ref<void(Value)> body) {
  loop(begin, end, step, {}, [&](Value i, ValueRange) {
    body(i);
    return Values();
  });
}

Emitter::Values Emitter::loop(Value begin, Value end, int64_t step, ValueRange init,
                              function_ref<Values(Value, ValueRange)> body) {
  auto first = getConstantIntValue(begin), last = getConstantIntValue(end);
  if (first && last && *first >= *last)
    return Values(init);
  if (first && last && *last - *first <= step)
    return body(begin, init);
  auto op = scf::ForOp::create(*this, begin, end, index(step), init);
  OpBuilder::InsertionGuard guard(*this);
  // Without carried values the op comes with its terminator.
  Block *block = op.getBody();
  if (init.empty()) {
    setInsertionPoint(block->getTerminator());
    body(op.getInductionVar(), {});
    return {};
  }
  setInsertionPointToStart(block);
  Values next = body(op.getInductionVar(), op.getRegionIterArgs());
  scf::YieldOp::create(*this, next);
  return Values(op.getResults());
}

void Emitter::ifThen(Value condition, function_ref<void()> then, function_ref<void()> otherwise) {
  if (auto constant = getConstantIntValue(condition)) {
    if (*constant)
      then();
    else if (otherwise)
      otherwise();
    return;
  }
  auto op = scf::IfOp::create(*this, condition, static_cast<bool>(otherwise));
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPoint(op.thenYield());
  then();
  if (otherwise) {
    setInsertionPoint(op.elseYield());
    otherwise();
  }
}

Emitter::Values Emitter::choose(Value condition, function_ref<Values()> then, function_ref<Values()> otherwise) {
  if (auto constant = getConstantIntValue(condition))
    return *constant ? then() : otherwise();
  // The types are known only once a branch is emitted.
  InsertPoint here = saveInsertionPoint();
  Region thenRegion, elseRegion;
  Values results;
  for (auto [region, branch] : {std::make_pair(&thenRegion, then), std::make_pair(&elseRegion, otherwise)}) {
    createBlock(region);
    results = branch();
    scf::YieldOp::create(*this, results);
  }
  restoreInsertionPoint(here);
  auto op = scf::IfOp::create(*this, ValueRange(results).getTypes(), condition, /*withElse=*/true);
  op.getThenRegion().takeBody(thenRegion);
  op.getElseRegion().takeBody(elseRegion);
  return Values(op.getResults());
}

void Emitter::switchCase(Value value, int64_t count, function_ref<void(int64_t)> body) {
  SmallVector<int64_t> cases = llvm::to_vector(llvm::seq<int64_t>(0, count));
  auto op = scf::IndexSwitchOp::create(*this, TypeRange(), value, cases, count);
  OpBuilder::InsertionGuard guard(*this);
  createBlock(&op.getDefaultRegion());
  scf::YieldOp::create(*this);
  for (int64_t i = 0; i < count; ++i) {
    createBlock(&op.getCaseRegions()[i]);
    body(i);
    scf::YieldOp::create(*this);
  }
}

void Emitter::parallel(Value n, function_ref<void(Value)> body) {
  auto op = scf::ForallOp::create(*this, ArrayRef<OpFoldResult>{getAsOpFoldResult(n)}, ValueRange(),
                                  getArrayAttr(WorkersAttr::get(getContext())));
  OpBuilder::InsertionGuard guard(*this);
  setInsertionPoint(op.getTerminator());
  beginScratch();
  body(op.getInductionVar(0));
  scratchBase = {};
}

//===--- scratch -------------------------------------------------------------------------------------------------------===//

void Emitter::beginScratch() {
  scratchBase = ThreadScratchOp::create(*this, MemRefType::get({ShapedType::kDynamic}, getI8Type()));
  scratchOffset = 0;
}

Value Emitter::scratch(ArrayRef<int64_t> shape, Type element) {
  int64_t bytes = element.getIntOrFloatBitWidth() / 8;
  for (int64_t size : shape)
    bytes *= size;
  Value result = view(scratchBase, index(scratchOffset), shape, {}, element);
  scratchOffset += llvm::alignTo(bytes, 64);
  scratchBytesUsed = std::max(scratchBytesUsed, scratchOffset);
  return result;
}

Value Emitter::view(Value bytes, Value offset, ArrayRef<int64_t> shape, ValueRange dynamic, Type element) {
  return memref::ViewOp::create(*this, MemRefType::get(shape, element), bytes, offset, dynamic);
}

} // namespace bpt
