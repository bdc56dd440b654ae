// What the model builders share: parameters by name, and the layers that models are made of. Private to lib/bpt/Models.
#pragma once

#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringMap.h"

namespace bpt {
/// Builds `@loss(parameters.., tokens, targets[, seed])`. Declare the parameters, call `begin`, then build in order.
/// Ops are located under the name of their parameters, with which they are printed (Models.h: printModel) and planned.
class GraphBuilder {
public:
  struct Sizes {
    int64_t batch, context, embed, heads, kvHeads, vocab;
  };
  GraphBuilder(mlir::MLIRContext *context, llvm::StringRef dtype, const Sizes &sizes);

  //===-- Declarations ------------------------------------------------------------------------------------------===//

  void declareNormal(const llvm::Twine &name, llvm::ArrayRef<int64_t> shape, double std);
  void declareOnes(const llvm::Twine &name, llvm::ArrayRef<int64_t> shape);
  void declareZeros(const llvm::Twine &name, llvm::ArrayRef<int64_t> shape);
  /// Creates the function. `dropout` > 0 adds the argument `seed`.
  void begin(double dropout);
  /// Ends the function with `loss` and gives the module away.
  mlir::OwningOpRef<mlir::ModuleOp> finish(mlir::Value loss);

  //===-- Layers ------------------------------------------------------------------------------------------------===//
  // `name` is that of the parameters: `<name>.weight` and, where it was declared, `<name>.bias`.

  /// [B,S] tokens -> [B,S,E]
  mlir::Value embedding(llvm::StringRef name);
  /// [B,S,E] + the table [S,E]
  mlir::Value addPositions(mlir::Value x, llvm::StringRef name);
  mlir::Value layerNorm(mlir::Value x, llvm::StringRef name, double eps);
  mlir::Value rmsNorm(mlir::Value x, llvm::StringRef name, double eps);
  /// [B,S,K] . weight, [K,N] or [N,K] when `transposed`, + bias
  mlir::Value linear(mlir::Value x, llvm::StringRef name, bool transposed);
  /// Columns [from, from + size) of the last dim.
  mlir::Value slice(mlir::Value x, int64_t from, int64_t size, llvm::StringRef name);
  /// [B,S,heads * D] -> [B,S,heads,D]
  mlir::Value splitHeads(mlir::Value x, int64_t heads, llvm::StringRef name);
  /// [B,S,H,D] -> [B,S,H * D]
  mlir::Value mergeHeads(mlir::Value x, llvm::StringRef name);
  mlir::Value rotary(mlir::Value x, double theta, llvm::StringRef name);
  /// Causal, scale 1/sqrt(D), dropout of the probabilities as in `begin`.
  mlir::Value attention(mlir::Value q, mlir::Value k, mlir::Value v, llvm::StringRef name);
  /// `gate` empty: none. Takes `<up>.weight` and so on.
  mlir::Value feedForward(mlir::Value x, llvm::StringRef up, llvm::StringRef gate, llvm::StringRef down,
                          Activation activation, bool transposed, llvm::StringRef name);
  /// x itself without dropout.
  mlir::Value dropout(mlir::Value x, llvm::StringRef name);
  mlir::Value add(mlir::Value a, mlir::Value b, llvm::StringRef name);
  /// Mean cross-entropy of x . table^T
  mlir::Value crossEntropy(mlir::Value x, llvm::StringRef name);

private:
  struct Parameter {
    std::string name;
    mlir::RankedTensorType type;
    mlir::Attribute init;
  };
  void declare(const llvm::Twine &name, llvm::ArrayRef<int64_t> shape, mlir::Attribute init);
  mlir::RankedTensorType typeOf(llvm::ArrayRef<int64_t> shape) const;
  /// The parameter `<name>.<part>`, null when it was not declared.
  mlir::Value find(llvm::StringRef name, llvm::StringRef part) const;
  mlir::Location at(const llvm::Twine &name) const;
  /// An uninitialised destination of an op named `name`.
  mlir::Value empty(mlir::RankedTensorType type, llvm::StringRef name);
  /// a + b with b broadcast along the leading dims.
  mlir::Value addBroadcast(mlir::Value a, mlir::Value b, llvm::StringRef name);

  mlir::OpBuilder builder;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp function;
  Sizes sizes;
  mlir::FloatType element;
  mlir::Type accumulator;
  llvm::SmallVector<Parameter, 0> parameters;
  llvm::StringMap<mlir::Value> values;
  mlir::Value tokens, targets, seed, zero;
  double dropoutProbability = 0;
  /// The next dropout's counter space: no two ops of a graph drop with the same bits.
  int64_t stream = 0;
};
} // namespace bpt
