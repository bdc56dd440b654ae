// The GPU kernels of a module: one for each distinct signature, in gpu.module @bpt_kernels, launched from where the op
// was.
#pragma once

#include "KernelBuilder.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

namespace bpt::hopper {

/// A memref as kernels see it without a tensor map: its address, and the strides (i64, elements) of all dims but the
/// last.
struct StridedArgument {
  unsigned pointer = 0;
  unsigned strides = 0; ///< number of the first stride's argument
  unsigned rank = 0;
};

/// The operands of a launch as the host makes them, before the op. Every method adds kernel arguments and returns the
/// number of (the first of) them.
class LaunchArguments {
public:
  using Value = mlir::Value;
  explicit LaunchArguments(mlir::Operation *op) : b(op->getLoc(), mlir::OpBuilder(op)) {}
  /// The same where `b` stands.
  explicit LaunchArguments(const mlir::ImplicitLocOpBuilder &b) : b(b) {}

  /// Address of the first element.
  unsigned addPointer(Value memref);
  StridedArgument addStrided(Value memref);
  /// A tensor map of a memref of rank 5 at most with boxes of these sizes (outermost dim first, as in the memref),
  /// 128-byte swizzle.
  unsigned addTensorMap(Value memref, llvm::ArrayRef<int64_t> box);
  /// An index value as i32.
  unsigned addI32(Value index);

  mlir::ImplicitLocOpBuilder b;
  llvm::ArrayRef<Argument> getKinds() const { return kinds; }
  mlir::ValueRange getValues() const { return values; }

  // Index arithmetic for grids.
  Value index(int64_t value) { return mlir::arith::ConstantIndexOp::create(b, value); }
  Value dim(Value memref, int64_t dim) { return b.createOrFold<mlir::memref::DimOp>(memref, dim); }
  Value mul(Value x, Value y) { return b.createOrFold<mlir::arith::MulIOp>(x, y); }
  Value ceilDiv(Value x, int64_t y);
  Value min(Value x, Value y) { return b.createOrFold<mlir::arith::MinUIOp>(x, y); }

private:
  unsigned add(Argument kind, Value value);
  Value getAddress(Value memref);
  llvm::SmallVector<Argument> kinds;
  llvm::SmallVector<Value> values;
};

/// How a kernel is launched.
struct LaunchShape {
  std::array<mlir::Value, 3> grid; ///< index
  int64_t threads;
  int64_t sharedBytes;
};

class KernelLibrary {
public:
  explicit KernelLibrary(mlir::ModuleOp module) : module(module) {}

  /// Launches the kernel `name` at `arguments.b`. `body` emits it the first time a signature is seen: the name, `key`,
  /// threads and kinds of arguments. Attributes and types that a body depends on belong into the key.
  void launch(llvm::StringRef name, llvm::StringRef key, LaunchArguments &arguments, const LaunchShape &shape,
              llvm::function_ref<void(KernelBuilder &e)> body);

private:
  mlir::ModuleOp module;
  llvm::StringMap<mlir::LLVM::LLVMFuncOp> known;
  llvm::StringMap<unsigned> names;
};

/// A strided argument inside the kernel.
class GlobalView {
public:
  using Value = mlir::Value;
  GlobalView(KernelBuilder &e, const StridedArgument &argument, mlir::Type element)
      : e(e), argument(argument), element(element) {}
  /// Address of the element at `indices` (i32, rank of them).
  Value getAddress(llvm::ArrayRef<Value> indices);
  Value load(llvm::ArrayRef<Value> indices) { return e.load(getAddress(indices), element); }
  void store(Value value, llvm::ArrayRef<Value> indices) { e.store(value, getAddress(indices)); }
  mlir::Type getElementType() const { return element; }

private:
  KernelBuilder &e;
  StridedArgument argument;
  mlir::Type element;
};

} // namespace bpt::hopper
