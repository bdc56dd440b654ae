// How each op becomes a kernel: one function per op (group), called by the pass.
#pragma once

#include "Kernels.h"
#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace bpt {
// Each replaces the op by a call of its kernel, or emits an error and fails.
mlir::LogicalResult lowerContraction(mlir::linalg::LinalgOp op, KernelCache &kernels);
mlir::LogicalResult lowerElementwise(mlir::linalg::LinalgOp op, KernelCache &kernels);
mlir::LogicalResult lowerCopy(mlir::memref::CopyOp op, KernelCache &kernels);
mlir::LogicalResult lowerFeedForward(FeedForwardOp op, KernelCache &kernels);
mlir::LogicalResult lowerFeedForwardGrad(FeedForwardGradOp op, KernelCache &kernels);
mlir::LogicalResult lowerLinearCrossEntropy(LinearCrossEntropyOp op, KernelCache &kernels);
mlir::LogicalResult lowerLinearCrossEntropyGrad(LinearCrossEntropyGradOp op, KernelCache &kernels);

// Row-wise ops and attention.
mlir::LogicalResult lowerAttention(AttentionOp op, KernelCache &kernels);
mlir::LogicalResult lowerAttentionGrad(AttentionGradOp op, KernelCache &kernels);
mlir::LogicalResult lowerLayerNorm(LayerNormOp op, KernelCache &kernels);
mlir::LogicalResult lowerLayerNormGrad(LayerNormGradOp op, KernelCache &kernels);
mlir::LogicalResult lowerRMSNorm(RMSNormOp op, KernelCache &kernels);
mlir::LogicalResult lowerRMSNormGrad(RMSNormGradOp op, KernelCache &kernels);
mlir::LogicalResult lowerRotary(RotaryOp op, KernelCache &kernels);
mlir::LogicalResult lowerDropout(DropoutOp op, KernelCache &kernels);
mlir::LogicalResult lowerEmbedding(EmbeddingOp op, KernelCache &kernels);
mlir::LogicalResult lowerEmbeddingGrad(EmbeddingGradOp op, KernelCache &kernels);
mlir::LogicalResult lowerAdamW(AdamWOp op, KernelCache &kernels);
mlir::LogicalResult lowerGlobalNorm(GlobalNormOp op, KernelCache &kernels);
} // namespace bpt
