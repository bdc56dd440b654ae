// Writes the body of a GPU kernel: llvm, nvvm, arith and scf ops inside an llvm.func of a gpu.module.
#pragma once

#include "bpt/Analysis/HopperTiles.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"
#include "llvm/ADT/StringMap.h"
#include <array>

namespace bpt::hopper {

/// Registers of one thread, e.g. its share of an accumulator tile; one SSA value each, so that nothing is ever shuffled
/// into vectors or structs on the way through loops.
using Fragment = llvm::SmallVector<mlir::Value>;

/// What a kernel argument is.
enum class Argument { Pointer, TensorMap, I32, I64, F32 };

constexpr int64_t warpThreads = 32, warpGroupThreads = 128;

/// Creates `llvm.func @name` in `module` with the attributes of a kernel of `threads` threads in one block per SM: a
/// known block size (setmaxnreg needs it) and denormals flushed (ex2.approx needs no scaling code then). The body is an
/// entry block that ends in llvm.return.
mlir::LLVM::LLVMFuncOp createKernel(mlir::gpu::GPUModuleOp module, mlir::Location loc, llvm::StringRef name,
                                    llvm::ArrayRef<Argument> arguments, int64_t threads);

/// A builder for one kernel. Integers are i32 (i64 where an offset may be large) and fold where they are constant;
/// floats are f32 with the flags nsz, contract and afn, never ninf or nnan: scores of masked columns are -inf.
class KernelBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;

  /// Inserts before the return of `function`.
  explicit KernelBuilder(mlir::LLVM::LLVMFuncOp function);

  Value getArgument(unsigned number) { return function.getArgument(number); }

  //===--- constants (kept in the entry block, one of each)
  //----------------------------------------------------------===//
  Value i32(int64_t value);
  Value i64(int64_t value);
  Value f32(double value);

  //===--- integers
  //--------------------------------------------------------------------------------------------------===//
  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  /// Quotient and remainder of non-negative values.
  Value div(Value a, Value b);
  Value rem(Value a, Value b);
  Value ceilDiv(Value a, int64_t b) { return div(add(a, b - 1), b); }
  Value min(Value a, Value b);
  Value max(Value a, Value b);
  Value bitAnd(Value a, Value b);
  Value bitOr(Value a, Value b);
  Value bitXor(Value a, Value b);
  Value shiftLeft(Value a, int64_t bits);
  Value shiftRight(Value a, int64_t bits);
  Value add(Value a, int64_t b) { return add(a, constantLike(a, b)); }
  Value sub(Value a, int64_t b) { return sub(a, constantLike(a, b)); }
  Value mul(Value a, int64_t b) { return mul(a, constantLike(a, b)); }
  Value div(Value a, int64_t b) { return div(a, constantLike(a, b)); }
  Value rem(Value a, int64_t b) { return rem(a, constantLike(a, b)); }
  Value min(Value a, int64_t b) { return min(a, constantLike(a, b)); }
  Value max(Value a, int64_t b) { return max(a, constantLike(a, b)); }
  Value bitAnd(Value a, int64_t b) { return bitAnd(a, constantLike(a, b)); }
  Value bitXor(Value a, int64_t b) { return bitXor(a, constantLike(a, b)); }
  /// i1 of two integers; predicates are arith's.
  Value compare(mlir::arith::CmpIPredicate predicate, Value a, Value b);
  Value equal(Value a, int64_t b) { return compare(mlir::arith::CmpIPredicate::eq, a, constantLike(a, b)); }
  Value less(Value a, Value b) { return compare(mlir::arith::CmpIPredicate::slt, a, b); }
  Value less(Value a, int64_t b) { return less(a, constantLike(a, b)); }
  Value select(Value condition, Value a, Value b);
  /// i32 to i64 (sign extension); an i64 stays what it is.
  Value toI64(Value a);

  //===--- floats
  //----------------------------------------------------------------------------------------------------===//
  Value addf(Value a, Value b);
  Value subf(Value a, Value b);
  Value mulf(Value a, Value b);
  Value negf(Value a);
  Value fma(Value a, Value b, Value c);
  Value maxf(Value a, Value b);
  /// 1 / a, one approximation instruction.
  Value reciprocal(Value a);
  /// 2^a and log2(a), one approximation instruction each.
  Value exp2(Value a);
  Value log2(Value a);
  Value compareFloat(mlir::arith::CmpFPredicate predicate, Value a, Value b);
  /// The reduction of `values` by `combine` as a balanced tree.
  Value reduceTree(ValueRange values, llvm::function_ref<Value(Value, Value)> combine);
  /// Two f32 rounded to the storage type (bf16 or f16) in one i32, `low` in the low half; and back.
  Value pack(Value low, Value high, mlir::Type storage);
  std::array<Value, 2> unpack(Value packed, mlir::Type storage);
  /// Conversion of one element between f32 and a storage type (bf16, f16, f32).
  Value expand(Value stored);
  Value round(Value value, mlir::Type storage);

  //===--- control flow
  //----------------------------------------------------------------------------------------------===//
  /// for (i = begin; i < end; i += step) body(i), i32.
  void loop(Value begin, Value end, Value step, llvm::function_ref<void(Value i)> body);
  /// The same with values carried from iteration to iteration; returns the last ones.
  Fragment loop(Value begin, Value end, Value step, ValueRange init,
                llvm::function_ref<Fragment(Value i, ValueRange carried)> body);
  void ifThen(Value condition, llvm::function_ref<void()> then, llvm::function_ref<void()> otherwise = {});
  /// The same with results, as many from both.
  Fragment choose(Value condition, llvm::function_ref<Fragment()> then, llvm::function_ref<Fragment()> otherwise);

  //===--- threads
  //---------------------------------------------------------------------------------------------------===//
  Value getThread();
  Value getLane();
  /// Number of the warp, the same register for all its threads (through shfl): branches on it are uniform.
  Value getWarp();
  Value getWarpGroup() { return shiftRight(getWarp(), 2); }
  Value getWarpInGroup() { return bitAnd(getWarp(), 3); }
  /// i1: true for one thread of each warp. Computed once; use where the whole warp arrives.
  Value getElected();
  enum class Dim { X, Y, Z };
  Value getBlock(Dim dim);
  Value getGridSize(Dim dim);
  /// A value of the lane whose number is this lane's xor `mask`; f32 or i32.
  Value shuffleXor(Value value, int64_t mask);
  /// The value of lane `lane` % 32; f32 or i32.
  Value shuffleFrom(Value value, Value lane);
  /// `value` combined over the four lanes that hold a row of an accumulator.
  Value reduceQuad(Value value, llvm::function_ref<Value(Value, Value)> combine);
  /// The first thread of the block does `setUp`, then all meet. Returns i1: true for that thread.
  Value setUpBlock(llvm::function_ref<void()> setUp);
  /// What the warpgroups do, with the registers of their roles: `produce` is run by one thread of the first
  /// (`isFirst`), `consume` by all of the others.
  void splitRoles(const WarpRoles &roles, Value isFirst, llvm::function_ref<void()> produce,
                  llvm::function_ref<void()> consume);
  /// Waits for all threads of the block.
  void synchronizeBlock();
  /// Named barriers: waits for `threads` arrivals, or only arrives. `id` 0 is synchronizeBlock's.
  void synchronize(Value id, int64_t threads);
  void arrive(Value id, int64_t threads);

  //===--- memory
  //----------------------------------------------------------------------------------------------------===//
  /// Address in the block's shared memory, bytes from its begin; !llvm.ptr<3>.
  Value getShared(Value offset);
  Value getShared(int64_t offset) { return getShared(i32(offset)); }
  /// `pointer` + a constant number of bytes; folds into the addressing mode.
  Value advance(Value pointer, int64_t bytes);
  /// Address of element `index` (i32 or i64) of `type` behind `pointer`.
  Value getElement(Value pointer, Value index, mlir::Type type);
  Value load(Value address, mlir::Type type);
  void store(Value value, Value address);

  mlir::Type pointerType(unsigned addressSpace = 0);

private:
  Value constantLike(Value a, int64_t value);
  Value constant(mlir::TypedAttr value);
  Value atEntry(llvm::StringRef key, llvm::function_ref<Value()> create);
  /// Has `create` make a value in the entry block, behind those that were made there before.
  Value createAtEntry(llvm::function_ref<Value()> create);
  Value convert(Value value, mlir::Type to);

  mlir::LLVM::LLVMFuncOp function;
  llvm::StringMap<Value> entryValues;
  llvm::DenseMap<mlir::Attribute, Value> constants;
  mlir::Operation *lastOfEntry = nullptr;
};

} // namespace bpt::hopper
