// What attention and its gradient share on the GPU: the work, the mask's blocks, and what happens to a fragment of
// scores between query . key and the exponential.
#pragma once

#include "Kernels.h"
#include "WarpGroupMatrix.h"
#include "bpt/Analysis/AttentionTiles.h"
#include "bpt/Analysis/HopperTiles.h"
#include "bpt/IR/BPT.h"

namespace bpt::hopper {

/// The static part of bpt.attention or bpt.attention_grad.
struct AttentionSpec {
  mlir::Type element; ///< bf16 or f16
  int64_t heads, groups, headDim;
  double scale, softcap, dropout;
  int64_t stream;
  BlockMaskAttrInterface mask;
  std::array<bool, 4> biasIsOne = {}; ///< dims of the bias that are broadcast
  AttentionFeatures features;
  std::string key; ///< of the kernels, see KernelLibrary

  template <typename Op> static AttentionSpec get(Op op);
};

/// The kernel arguments that describe scores; optional ones only where the op has them.
struct AttentionArguments {
  unsigned batch, queries, keys;
  std::optional<unsigned> offset, seed;
  std::optional<StridedArgument> bias, querySegments, keySegments;

  template <typename Op> static AttentionArguments add(LaunchArguments &arguments, Op op);
};

/// Where a 64-row fragment of scores begins: local row of its first query, first key.
struct ScorePlace {
  mlir::Value query, key;
};

/// The block of keys (or queries) a loop visits: [begin, end) in units of blocks.
struct BlockLoop {
  mlir::Value begin, end;
};

class AttentionScores {
public:
  using Value = mlir::Value;
  /// `transposed`: rows of fragments are keys, as in the gradient.
  AttentionScores(KernelBuilder &e, const AttentionSpec &spec, const AttentionArguments &arguments, bool transposed);

  /// Sizes, i32.
  Value batch, queries, keys, offset;

  /// Blocks of `keyBlock` keys that any of the queries [first, first + count) may see: at least one block, so that
  /// loops can be peeled; what nobody sees is masked in it.
  BlockLoop getKeyBlocks(Value first, int64_t count, int64_t keyBlock);
  /// Blocks of `queryBlock` queries that see any of the keys [first, first + count); may be empty.
  BlockLoop getQueryBlocks(Value first, int64_t count, int64_t queryBlock);

  /// The head whose scores follow.
  void setHead(Value batchIndex, Value head);
  /// exponents are `getUnit() * score`, in base 2, for the scores that `modify` gives.
  double getUnit() const;
  /// Scores from products: softcap and bias, then -inf where the key is not visible or does not exist. `queryCount` x
  /// `keyCount`: the extent of the fragment. With a softcap, `ratios` (if not null) receives tanh of the scaled scores.
  void modify(Fragment &scores, const ScorePlace &place, int64_t queryCount, int64_t keyCount,
              Fragment *ratios = nullptr);
  bool hasDropout() const { return spec.dropout > 0; }
  /// i1 each: dropout keeps elements [8 `group`, 8 `group` + 8) of a fragment. Emitted where it is used: all decisions
  /// of a fragment at once would take many registers.
  std::array<Value, 8> drawKept(const ScorePlace &place, int64_t group);
  /// The factor of kept elements.
  double getKeptFactor() const { return 1 / (1 - spec.dropout); }

  /// Local query and key of element `number` of a fragment at `place`.
  Value getQuery(const ScorePlace &place, int64_t number);
  Value getKey(const ScorePlace &place, int64_t number);

  /// Indices into the bias, or something of its shape; rows and columns that do not exist get those of the last.
  std::array<Value, 4> getBiasIndices(const ScorePlace &place, int64_t number);

private:
  Value cap(Value product);
  void addBias(Fragment &scores, const ScorePlace &place);
  void maskSegments(Fragment &scores, const ScorePlace &place);
  Fragment mask(const Fragment &scores, const ScorePlace &place);
  Value needsMask(const ScorePlace &place, int64_t queryCount, int64_t keyCount);
  void startDraws();
  std::array<Value, 8> drawRows(const ScorePlace &place, int64_t group);
  std::array<Value, 8> drawColumns(const ScorePlace &place, int64_t group);
  std::array<Value, 4> draw(Value keyGroup, Value query);

  KernelBuilder &e;
  const AttentionSpec &spec;
  const AttentionArguments &arguments;
  bool transposed;
  FragmentPosition position;
  Value batchIndex, head;
  Value lane, seedLow, seedHigh; ///< of the draws of a fragment
};

} // namespace bpt::hopper
