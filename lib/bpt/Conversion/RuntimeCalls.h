// Calls of the runtime (RuntimeABI.def) from compiled code, and the context they all take first.
#pragma once

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

namespace bpt {

/// A call of the runtime's function `name` with the context of the function around the builder's position, then `arguments`.
mlir::func::CallOp callRuntime(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef name,
                               mlir::ValueRange arguments, mlir::TypeRange results = {});

/// The argument `bpt.context` of a function; null when it has none.
mlir::Value getContextArgument(mlir::func::FuncOp function);

/// Every function with an op that `needsContext`, or that calls one, gets the runtime's context as first argument.
void addContextArguments(mlir::ModuleOp module, llvm::function_ref<bool(mlir::Operation *)> needsContext);

/// `value` as `type`: an unrealized cast where they differ.
mlir::Value castTo(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value value, mlir::Type type);

} // namespace bpt
