// wgmma as inline PTX: the nvvm op takes descriptors only, and does not tie registers to fences and waits.
#include "WarpGroupMatrix.h"

using namespace mlir;

namespace bpt::hopper {

SharedMatrix WarpGroupMatrix::describe(Value shared, int64_t boxBytes, bool sumsRows) {
  // Bits 0-13 address / 16, 16-29 leading and 32-45 stride byte offsets / 16, 62-63 = 1 for the 128-byte swizzle.
  // K-major: the stride goes from 8 rows to the next 8. MN-major: the leading offset goes to the next 64 columns.
  int64_t leading = sumsRows ? boxBytes : 16, stride = 8 * 128;
  int64_t constant = (int64_t(1) << 62) | (stride >> 4) << 32 | (leading >> 4) << 16;
  Value address = LLVM::PtrToIntOp::create(e, e.getI64Type(), shared);
  address = e.shiftRight(e.bitAnd(address, 0x3FFFF), 4);
  return {e.bitOr(address, e.i64(constant)), boxBytes, sumsRows};
}

Fragment WarpGroupMatrix::multiply(ValueRange accumulator, const SharedMatrix &a, const SharedMatrix &b,
                                   int64_t columns, int64_t steps) {
  Fragment sum(accumulator);
  for (int64_t k = 0; k < steps; ++k)
    sum = multiplyStep(sum, DescriptorOperand{a.descriptor, a.getStep(k), a.sumsRows},
                       DescriptorOperand{b.descriptor, b.getStep(k), b.sumsRows}, columns);
  return sum;
}

Fragment WarpGroupMatrix::multiply(ValueRange accumulator, ValueRange a, const SharedMatrix &b, int64_t columns,
                                   int64_t steps) {
  Fragment sum(accumulator);
  for (int64_t k = 0; k < steps; ++k)
    sum = multiplyStep(sum, a.slice(4 * k, 4), DescriptorOperand{b.descriptor, b.getStep(k), b.sumsRows}, columns);
  return sum;
}

Fragment WarpGroupMatrix::multiplyStep(ValueRange accumulator, const DescriptorOperand &a, const DescriptorOperand &b,
                                       int64_t columns) {
  return emit(accumulator, {}, &a, b, columns);
}

Fragment WarpGroupMatrix::multiplyStep(ValueRange accumulator, ValueRange a, const DescriptorOperand &b,
                                       int64_t columns) {
  return emit(accumulator, a, nullptr, b, columns);
}

Fragment WarpGroupMatrix::emitAsm(StringRef text, StringRef constraints, ValueRange operands, TypeRange results) {
  Type result = results.size() == 1 ? results.front()
                                    : LLVM::LLVMStructType::getLiteral(e.getContext(), llvm::to_vector(results));
  auto dialect = LLVM::AsmDialectAttr::get(e.getContext(), LLVM::AsmDialect::AD_ATT);
  auto op =
      LLVM::InlineAsmOp::create(e, result, operands, text, constraints, /*has_side_effects=*/true,
                                /*is_align_stack=*/false, LLVM::tailcallkind::TailCallKind::None, dialect, ArrayAttr());
  if (results.size() == 1)
    return {op.getResult(0)};
  Fragment values;
  for (size_t i = 0; i < results.size(); ++i)
    values.push_back(LLVM::ExtractValueOp::create(e, op.getResult(0), ArrayRef<int64_t>{static_cast<int64_t>(i)}));
  return values;
}

/// "first, first + 1, .." as asm operands, or as tied constraints with an empty `prefix`.
static std::string listNumbers(int64_t first, int64_t count, StringRef prefix) {
  std::string list;
  for (int64_t i = 0; i < count; ++i)
    list += (i ? "," : "") + prefix.str() + std::to_string(first + i);
  return list;
}

static std::string repeat(StringRef constraint, int64_t count) {
  std::string list;
  for (int64_t i = 0; i < count; ++i)
    list += (i ? "," : "") + constraint.str();
  return list;
}

Fragment WarpGroupMatrix::emit(ValueRange accumulator, ValueRange registersOfA, const DescriptorOperand *a,
                               const DescriptorOperand &b, int64_t columns) {
  int64_t registers = columns / 2, next = registers + static_cast<int64_t>(accumulator.size());
  std::string constraints = repeat("=f", registers);
  SmallVector<Value> operands(accumulator);
  if (!accumulator.empty())
    constraints += "," + listNumbers(0, registers, "");

  std::string prologue = "{ .reg .b64 da, db; ", left;
  auto describe = [&](const DescriptorOperand &operand, StringRef name) {
    operands.push_back(operand.descriptor);
    constraints += ",l";
    std::string text = "$" + std::to_string(next++);
    if (operand.bytes == 0)
      return text;
    prologue += "add.s64 " + name.str() + ", " + text + ", " + std::to_string(operand.bytes >> 4) + "; ";
    return name.str();
  };
  if (a) {
    left = describe(*a, "da");
  } else {
    left = "{" + listNumbers(next, 4, "$") + "}";
    next += 4;
    operands.append(registersOfA.begin(), registersOfA.end());
    constraints += "," + repeat("r", 4);
  }
  std::string right = describe(b, "db"), type = input.isBF16() ? "bf16" : "f16";
  // scale-d, negate a, negate b, transpose a (descriptors only), transpose b
  std::string flags = accumulator.empty() ? "0, 1, 1, " : "1, 1, 1, ";
  if (a)
    flags += a->sumsRows ? "1, " : "0, ";
  flags += b.sumsRows ? "1" : "0";
  std::string text = prologue + "wgmma.mma_async.sync.aligned.m64n" + std::to_string(columns) + "k16.f32." + type +
                     "." + type + " {" + listNumbers(0, registers, "$") + "}, " + left + ", " + right + ", " + flags +
                     "; }";
  return emitAsm(text, constraints, operands, SmallVector<Type>(registers, e.getF32Type()));
}

void WarpGroupMatrix::fence() { NVVM::WgmmaFenceAlignedOp::create(e); }
void WarpGroupMatrix::fence(ArrayRef<Fragment *> fragments) { tie("wgmma.fence.sync.aligned;", fragments); }
void WarpGroupMatrix::commit() { NVVM::WgmmaGroupSyncAlignedOp::create(e); }
void WarpGroupMatrix::wait(int64_t pending, ArrayRef<Fragment *> fragments) {
  tie("wgmma.wait_group.sync.aligned " + Twine(pending) + ";", fragments);
}

void WarpGroupMatrix::wait(int64_t pending) { NVVM::WgmmaWaitGroupSyncOp::create(e, static_cast<uint64_t>(pending)); }

void WarpGroupMatrix::tie(const Twine &text, ArrayRef<Fragment *> fragments) {
  SmallVector<Value> operands;
  std::string constraints;
  for (Fragment *fragment : fragments)
    for (Value value : *fragment) {
      constraints += value.getType().isF32() ? "=f," : "=r,";
      operands.push_back(value);
    }
  constraints += listNumbers(0, operands.size(), "");
  Fragment results = emitAsm(text.str(), constraints, operands, ValueRange(operands).getTypes());
  size_t next = 0;
  for (Fragment *fragment : fragments)
    for (Value &value : *fragment)
      value = results[next++];
}

Fragment WarpGroupMatrix::pack(ValueRange accumulator) {
  Fragment packed;
  for (size_t i = 0; i < accumulator.size(); i += 2)
    packed.push_back(e.pack(accumulator[i], accumulator[i + 1], input));
  return packed;
}

FragmentStore::FragmentStore(KernelBuilder &e, Value base, int64_t boxBytes, Value firstByte)
    : e(e), boxBytes(boxBytes) {
  // Lanes 0-7 and 8-15 address the rows of the left two 8 x 8 matrices, 16-31 those of the right two.
  Value lane = e.getLane(), row = e.bitAnd(lane, 7), matrix = e.shiftRight(lane, 3);
  Value rowInWarp = e.add(row, e.shiftLeft(e.bitAnd(matrix, 1), 3));
  Value rowBytes = e.shiftLeft(e.add(e.shiftLeft(e.getWarpInGroup(), 4), rowInWarp), 7);
  Value piece = e.bitXor(e.shiftRight(matrix, 1), row);
  address = e.add(e.add(base, rowBytes), e.shiftLeft(piece, 4));
  if (firstByte)
    address = e.bitXor(address, firstByte);
}

void FragmentStore::store(ValueRange packed, int64_t c, int64_t offset) {
  Value pointer = e.advance(e.getShared(e.bitXor(address, c % 4 * 32)), c / 4 * boxBytes + offset);
  MLIRContext *context = e.getContext();
  NVVM::StMatrixOp::create(e, pointer, packed, NVVM::MMALayoutAttr::get(context, NVVM::MMALayout::row),
                           NVVM::LdStMatrixShapeAttr::get(context, 8, 8),
                           NVVM::LdStMatrixEltTypeAttr::get(context, NVVM::LdStMatrixEltType::B16));
}

void FragmentStore::storeAll(ValueRange packed, int64_t columns, int64_t offset) {
  for (int64_t c = 0; c < columns / 16; ++c)
    store(packed.slice(4 * c, 4), c, offset);
}

FragmentPosition FragmentPosition::get(KernelBuilder &e) {
  Value lane = e.getLane();
  return {e.add(e.shiftLeft(e.getWarpInGroup(), 4), e.shiftRight(lane, 2)), e.shiftLeft(e.bitAnd(lane, 3), 1)};
}

} // namespace bpt::hopper
