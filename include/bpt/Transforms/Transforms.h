// What the structural passes do, as functions: each with what it asks for and what it leaves behind.
#pragma once

#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"
#include <optional>

namespace bpt {
/// The stages of compilation, in order (DESIGN 2).
enum class Stage { Graph, Blocks, Step, Tiles, Buffers, Kernels, LLVM };

/// Emits an error at every op that may not be there at `stage`, and fails if there is one. Changes nothing.
mlir::LogicalResult verifyStage(mlir::ModuleOp module, Stage stage);

/// graph: dropout of `function` becomes the identity.
void removeDropout(mlir::func::FuncOp function);
/// Drops arguments nothing uses, but for parameters.
void eraseUnusedData(mlir::func::FuncOp function);

/// The three systems the paper compares.
enum class Strategy {
  Vanilla,         ///< scores are materialised
  MemoryEfficient, ///< attention never materialises scores; everything else is whole
  Blockwise        ///< attention, residual, norm and feed-forward block by block (BPT)
};
struct FormBlocksOptions {
  Strategy strategy = Strategy::Blockwise;
  int64_t block = 512;       ///< rows of a block; larger than the sequence means one block
  std::optional<Keep> keep;  ///< default: input for blockwise, else all
  /// Consecutive layers of a segment: its backward computes them again from the segment's input, the only one kept. 1: none.
  int64_t segment = 1;
  /// The last so many layers keep `lastKeep` instead, and stand in no segment.
  int64_t lastLayers = 0;
  Keep lastKeep = Keep::All;
  /// Key heads whose attention exists at a time, each such group in a checkpoint of its own; 0: all. For Strategy::Blockwise that
  /// keeps the input.
  int64_t heads = 0;
};
/// blocks: every transformer layer of `function`, recognised by data flow, becomes a bpt.checkpoint; with Strategy::Blockwise
/// its body is bpt.blockwise ops. Asks for stage graph. A layer that cannot be formed stays as it is, or whole in its
/// checkpoint, and a remark says why.
mlir::LogicalResult formBlocks(mlir::func::FuncOp function, const FormBlocksOptions &options);

/// blocks: of every two or more bpt.checkpoint with equal bodies, the body becomes one private function `layer`, `layer_1`, ..
/// (`segment`, `heads`) that they name. Streams of random numbers may differ by one number throughout; it goes into the layer's seed.
void outlineLayers(mlir::ModuleOp module);

/// tiles: every bpt.checkpoint is inlined, or becomes a func.call of its callee; every bpt.blockwise becomes a loop over whole
/// blocks and a peeled tail. Asks for verified ops of stage graph, blocks or step. Fails with an error on a result of a
/// blockwise op whose dynamic size its operands do not tell.
mlir::LogicalResult lowerStructure(mlir::ModuleOp module);

/// Clones the ops of `body` but its terminator to the builder's insertion point, `arguments` in place of the block's arguments.
/// Their shapes may be more static than the arguments'; what follows from that is carried through the ops (an op nobody knows
/// here sees its operands cast back). Returns the clones of what the terminator takes.
llvm::SmallVector<mlir::Value> cloneWithStaticShapes(mlir::OpBuilder &builder, mlir::Block &body,
                                                     mlir::ValueRange arguments);
} // namespace bpt
