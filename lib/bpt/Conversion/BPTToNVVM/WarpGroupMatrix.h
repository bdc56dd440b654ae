// Matrix products of a warpgroup (wgmma): operands in shared memory or registers, accumulators in registers.
#pragma once

#include "KernelBuilder.h"

namespace bpt::hopper {

/// A matrix of 16-bit elements in shared memory as the TMA unit leaves it with the 128-byte swizzle: boxes of 64
/// columns (128 bytes) x `rows` rows, one box behind the other. Row-major as it lies, so it is K-major where its
/// columns are summed over and MN-major where its rows are.
struct SharedMatrix {
  /// i64 descriptor of the first box; see WarpGroupMatrix::describe.
  mlir::Value descriptor;
  /// Bytes from one box to the next.
  int64_t boxBytes = 0;
  /// The sum runs over rows: MN-major, the `trans` flag of the instruction.
  bool sumsRows = false;

  /// Bytes from the begin to what step `k` (16 of the summed dim) reads.
  int64_t getStep(int64_t k) const { return sumsRows ? k * 16 * 128 : k / 4 * boxBytes + k % 4 * 32; }
};

/// One operand of one instruction: a descriptor with a constant that is added inside the asm text (outside of it, LLVM
/// hoists one sum for each use out of the loop, 64 bits of vector registers each).
struct DescriptorOperand {
  mlir::Value descriptor;
  int64_t bytes = 0;
  bool sumsRows = false;
};

/// Emits wgmma of one warpgroup: m64 n`columns` k16, bf16 or f16 inputs, f32 sums. An accumulator of n columns is n / 2
/// registers of each thread; element 4 j + 2 i + c of a fragment is row 16 * warp + lane / 4 + 8 i, column 8 j + 2
/// (lane % 4) + c.
///
/// Discipline: `fence` before the first product after registers or shared memory changed; products; `commit`; other
/// work; `wait`. Fragments pass through fence and wait, which ties registers to these places; a fragment is not touched
/// between its product and its wait.
class WarpGroupMatrix {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;
  /// `input`: bf16 or f16.
  WarpGroupMatrix(KernelBuilder &e, mlir::Type input) : e(e), input(input) {}

  /// The matrix at `shared` (aligned to 1024 bytes but for whole rows of 8). `boxBytes` = rows * 128.
  SharedMatrix describe(Value shared, int64_t boxBytes, bool sumsRows = false);

  /// acc + a b over `steps` steps of 16; an empty `accumulator` stands for 0 and costs nothing. b has `columns`
  /// columns.
  Fragment multiply(ValueRange accumulator, const SharedMatrix &a, const SharedMatrix &b, int64_t columns,
                    int64_t steps);
  /// The same with a in registers: packed pairs, four of them a step (see `pack`).
  Fragment multiply(ValueRange accumulator, ValueRange a, const SharedMatrix &b, int64_t columns, int64_t steps);
  /// One instruction.
  Fragment multiplyStep(ValueRange accumulator, const DescriptorOperand &a, const DescriptorOperand &b,
                        int64_t columns);
  Fragment multiplyStep(ValueRange accumulator, ValueRange a, const DescriptorOperand &b, int64_t columns);

  /// wgmma.fence; the form with fragments passes them through.
  void fence();
  void fence(llvm::ArrayRef<Fragment *> fragments);
  void commit();
  /// Waits until at most `pending` groups are in flight; `fragments` are the results that become readable.
  void wait(int64_t pending, llvm::ArrayRef<Fragment *> fragments);
  /// The same where nothing becomes readable yet: shared memory that completed products have read may be written.
  void wait(int64_t pending);

  /// An accumulator rounded to the input type and packed: the A operand of a product over its columns.
  Fragment pack(ValueRange accumulator);

private:
  Fragment emit(ValueRange accumulator, ValueRange registersOfA, const DescriptorOperand *a, const DescriptorOperand &b,
                int64_t columns);
  void tie(const llvm::Twine &text, llvm::ArrayRef<Fragment *> fragments);
  Fragment emitAsm(llvm::StringRef text, llvm::StringRef constraints, ValueRange operands, mlir::TypeRange results);

  KernelBuilder &e;
  mlir::Type input;
};

/// The 16-byte pieces of 64 x 64 boxes (128-byte swizzle) a warp writes by stmatrix: fragment columns [16 c, 16 c + 16)
/// of its 16 rows. Addresses are one lane-dependent register, xor and add constants.
class FragmentStore {
public:
  using Value = mlir::Value;
  /// `base` (i32 bytes, a multiple of 1024): where row 0 of the warpgroup lies; `boxBytes`: from one box of 64 columns
  /// to the next; `firstByte` (0, 32, 64 or 96 at run time): where in the rows the fragment's columns begin.
  FragmentStore(KernelBuilder &e, Value base, int64_t boxBytes, Value firstByte = {});
  /// Stores four packed registers of fragment columns [16 c, 16 c + 16) at a constant `offset` (a multiple of 1024).
  void store(mlir::ValueRange packed, int64_t c, int64_t offset = 0);
  /// Stores a packed fragment of `columns` columns.
  void storeAll(mlir::ValueRange packed, int64_t columns, int64_t offset = 0);

private:
  KernelBuilder &e;
  Value address;
  int64_t boxBytes;
};

/// Which rows and columns of a 64-row accumulator tile a thread holds.
struct FragmentPosition {
  /// Row of elements with i = 0; those with i = 1 are 8 below. Column of elements with j = c = 0.
  mlir::Value row, column;
  static FragmentPosition get(KernelBuilder &e);
  /// Row half (0, 1) and column offset of element `number`.
  static int64_t getHalf(int64_t number) { return number / 2 % 2; }
  static int64_t getColumn(int64_t number) { return number / 4 * 8 + number % 2; }
};

} // namespace bpt::hopper
