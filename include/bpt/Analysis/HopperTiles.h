// Tiles, pipelines and warp roles of the kernels for Hopper GPUs (sm_90a), with the shared memory and registers they
// need: known before kernels exist, from shapes and attributes only.
#pragma once

#include "bpt/IR/BPT.h"
#include "bpt/Interfaces/SizeFormula.h"
#include <optional>
#include <string>

namespace bpt {
/// What a block may use on an SM of compute capability 9.0 (CUDA programming guide, table of technical specifications).
struct HopperLimits {
  static constexpr int64_t sharedBytes = 227 << 10;
  static constexpr int64_t registers = 64 << 10;
  /// SMs of H100 SXM and H200: how many blocks of a persistent kernel are launched.
  static constexpr int64_t multiprocessors = 132;
  /// The part of the 50 MiB L2 cache that keys and values of heads in flight may fill.
  static constexpr int64_t l2Bytes = 32 << 20;
};

/// Shared memory of a kernel: named regions behind each other, at compile time.
class SharedLayout {
public:
  /// Reserves `bytes` and returns the offset of the first. Tiles with the 128-byte swizzle begin at multiples of 1024.
  int64_t add(llvm::StringRef name, int64_t bytes, int64_t alignment = 1024);
  /// Offset of a region that was added.
  int64_t getOffset(llvm::StringRef name) const;
  int64_t getBytes() const { return bytes; }
  /// "q 32768 + k 65536 + ..": for remarks.
  std::string getText() const;

private:
  struct Region {
    std::string name;
    int64_t offset, bytes;
  };
  llvm::SmallVector<Region> regions;
  int64_t bytes = 0;
};

/// One producer warpgroup and two or three consumers, and the registers each thread of them gets by setmaxnreg:
/// together no more than the register file.
struct WarpRoles {
  int64_t consumers, producerRegisters, consumerRegisters;
  /// What `producerRegisters` (24 or 40) leave: 2 consumers have 240 or 232, 3 have 160 (and their producer 32).
  static WarpRoles get(int64_t consumers, int64_t producerRegisters = 40);
  int64_t getThreads() const { return 128 * (consumers + 1); }
  /// Registers of fragments a consumer thread can hold next to addresses, statistics and temporaries (FlashAttention-3
  /// keeps to the same: 216 and 128).
  int64_t getFragmentRegisters() const { return consumers == 2 ? 216 : 128; }
};

/// Tiles of bpt.attention and bpt.attention_grad.
struct HopperAttentionTiles {
  int64_t headDim;   ///< D
  int64_t paddedDim; ///< D in boxes of 64 columns; columns beyond D are zeros in shared memory
  int64_t queryBlock, keyBlock;
  int64_t stages; ///< of the rings of K and V (forward), of Q and dO (gradient)
  WarpRoles roles;
  /// Gradient: consumers own half of the columns of D each, of 64 keys; otherwise 64 keys each.
  bool splitsDim = false;
  /// Gradient, `deterministic = 1` in the schedule: sums of dquery are added up in one order, a block of keys after the
  /// other. Costs idle SMs where batch x heads are fewer. (Sums of dbias over broadcast dims have no order.)
  bool isDeterministic = false;
  int64_t fragmentRegisters; ///< of a consumer thread, at the point where most are alive
  SharedLayout layout;
  std::string why; ///< the choice and what was refused, for remarks

  int64_t getBoxes() const { return paddedDim / 64; }
  /// Steps of 16 over D.
  int64_t getDimSteps() const { return (headDim + 15) / 16; }

  /// The tiles of an op that has no refusal (below). An override (`q_block`, `kv_block`, `stages`, `warpgroups` of the
  /// op's schedule) that does not fit is an error at the op with the numbers.
  static mlir::FailureOr<HopperAttentionTiles> get(AttentionOp op);
  static mlir::FailureOr<HopperAttentionTiles> get(AttentionGradOp op);
};

/// Why the op has no Hopper kernel (element type, head dim, strides the TMA unit cannot walk); empty when it has one.
/// Ops on tensors and memrefs give the same answer, but for strides.
std::string getHopperRefusal(AttentionOp op);
std::string getHopperRefusal(AttentionGradOp op);

/// Bytes of workspace the Hopper kernels of `op` need, in the numbering of dims of getWorkspaceBytes (TileSizes.h); 0
/// for none.
SizeFormula getHopperWorkspaceBytes(mlir::Operation *op);

/// Sections of the workspace of bpt.attention_grad in order, all f32: statistics of rows (lse in base 2 and delta, both
/// negated, `[B,H,S']` with S' = S in whole query blocks), sums of dquery `[B,H,S,paddedDim]`, and with a bias sums of
/// dbias.
struct HopperAttentionGradWorkspace {
  SizeFormula lse, delta, query, bias;
  static HopperAttentionGradWorkspace get(AttentionGradOp op, const HopperAttentionTiles &tiles);
};

/// What a kernel of matrix products must have room for.
struct HopperGemmShape {
  std::optional<int64_t> rows, columns; ///< of C; nothing where they are dynamic
  int64_t products = 1;                 ///< right operands of one left operand: an accumulator each (a gate: 2)
  int64_t stagedOuts = 1;               ///< 16-bit matrices of the shape of C that leave through shared memory
};

/// Tiles of a matrix product: a block owns `rows` x `columns` of C and sums over `depth` at a time.
struct HopperGemmTiles {
  int64_t rows, columns, depth, stages;
  WarpRoles roles;
  int64_t fragmentRegisters;
  /// Bytes of a stage: A and all B, 16-bit elements.
  int64_t stageBytes;
  /// Pieces of 64 x 64 that a warpgroup may have on their way out at a time.
  int64_t stagingSlots;
  /// "stages", "staging", "barriers".
  SharedLayout layout;
  std::string why;

  /// Bytes of A in a stage; behind it B after B, `columns * depth * 2` bytes each.
  int64_t getLeftBytes() const { return rows * depth * 2; }
  int64_t getRightBytes() const { return columns * depth * 2; }
  static constexpr int64_t pieceBytes = 64 * 64 * 2;

  static HopperGemmTiles get(const HopperGemmShape &shape);
};
} // namespace bpt
