// The parts of bpt-form-blocks: finding layers, splitting fused projections, cutting a layer into blocks. Private.
#pragma once

#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Remarks.h"
#include "llvm/ADT/DenseSet.h"
#include "llvm/ADT/SmallBitVector.h"

namespace bpt {
/// Category of the remarks.
inline constexpr llvm::StringLiteral formBlocksName = "bpt-form-blocks";

/// Calls `visit` with every value `op` uses: its operands and what its regions capture.
void forEachUsedValue(mlir::Operation *op, llvm::function_ref<void(mlir::Value)> visit);
/// Whether `op` only makes a destination or a constant: it is copied to where it is used, never kept or passed on.
bool isCheapToCopy(mlir::Operation *op);
/// Whether `op` computes sizes or positions only: scalars of index or integer type.
bool isShapeComputation(mlir::Operation *op);

/// A layer of a function: the ops between two points where nothing but one activation is alive.
struct FoundLayer {
  mlir::Operation *attention = nullptr;     ///< its first attention
  mlir::SmallVector<mlir::Operation *> ops; ///< in an order that depends on data flow only, operands before users
  mlir::SmallVector<mlir::Value> inputs;    ///< what the ops use from outside, in order of first use
  llvm::SmallBitVector activations;         ///< which of `inputs` depend on the data, not on parameters alone
  mlir::SmallVector<mlir::Value> results;   ///< what is used outside; first the layer's output
};

/// Fills in ops, inputs and activations of `layer`: all that its first result is computed from, up to values that are
/// inputs, depth first. The order follows data flow alone, so that layers that are equal but for the order of their
/// text come out equal.
void collectOps(FoundLayer &layer, llvm::function_ref<bool(mlir::Value)> isInput,
                llvm::function_ref<bool(mlir::Value)> isActivation);

/// Finds the layers of `function` by data flow; names and textual order play no part. Remarks say where none was found
/// and why.
mlir::SmallVector<FoundLayer> findLayers(mlir::func::FuncOp function);

/// A part of a tensor: static where it is not the whole dim. Strides are 1.
struct Part {
  mlir::SmallVector<int64_t> offsets, sizes;

  static Part whole(mlir::Value value);
  bool isWhole(mlir::Value value, int64_t dim) const;
  bool isWhole(mlir::Value value) const;
};

/// A value equal to `part` of `value`, computed from parts of what `value` is computed from as far up as ops allow.
mlir::Value takePart(mlir::OpBuilder &builder, mlir::Value value, const Part &part);

/// Moves slices of projections that attention uses (a fused q-k-v projection) before the projection: to slices of its
/// weight and bias. Afterwards the parts are computed by themselves and none of them needs the others to exist.
void splitFusedProjections(mlir::Block &body);

/// The values of `body` that carry activations when its `arguments` of that number do.
mlir::DenseSet<mlir::Value> findActivations(mlir::Block &body, const llvm::SmallBitVector &arguments);

/// Puts the ops of `layer` into the body of a new checkpoint in place of its output's op.
CheckpointOp createCheckpoint(const FoundLayer &layer, Keep keep);

/// Attention of some heads, with its share of the product behind it, added to the groups before.
struct HeadGroup {
  CheckpointOp checkpoint;
  llvm::SmallBitVector activations; ///< which of its inputs carry activations
};

/// Makes every attention of `layer`, and the product that sums over its heads, a chain of checkpoints over `heads` key
/// heads, which `groups` gets. Fails with a reason in `why` where nothing sums over the heads; that attention is then
/// unchanged.
mlir::LogicalResult splitHeads(CheckpointOp layer, const llvm::SmallBitVector &activations, int64_t heads,
                               mlir::SmallVectorImpl<HeadGroup> &groups, std::string &why);

/// Replaces the body of `layer` by bpt.blockwise ops over `block` rows: one for what attention needs whole (keys,
/// values), one for everything else. `activations` says which inputs carry activations. Fails with a reason in `why`
/// when the layer cannot be computed block by block; it is then unchanged but for splitting.
mlir::LogicalResult cutLayer(CheckpointOp layer, const llvm::SmallBitVector &activations, int64_t block,
                             std::string &why);

/// Puts a checkpoint that keeps its inputs around every `size` checkpoints of `block` that follow on each other, but
/// for the last `alone`.
void formSegments(mlir::Block &block, int64_t size, int64_t alone);

/// Orders the ops of `body` depth first from its terminator, so that each stands right before its first use and the
/// order depends on data flow alone; erases the ops nobody uses. All ops are free of side effects.
void sortByDataFlow(mlir::Block &body);
} // namespace bpt
