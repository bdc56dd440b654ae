// What the two kernels of bpt.attention_grad share: arguments, the producer, probabilities and their gradients, and how
// gradients get out.
#pragma once

#include "AttentionScores.h"
#include "Barriers.h"
#include "TensorMemory.h"

namespace bpt::hopper {

/// Arguments of the main kernel by number.
struct GradientArguments {
  unsigned query, key, value, dout; ///< tensor maps
  unsigned querySums;               ///< tensor map of the sums of dquery, [B * H, S, paddedDim] f32
  unsigned firstRow, rows;          ///< i32: blocks of keys of this launch, in every plane
  unsigned lse, delta;              ///< rows of the workspace, [B * H, S'] f32, both negated, lse in base 2
  StridedArgument dkey, dvalue;
  std::optional<StridedArgument> biasSums; ///< of the workspace, f32
  mlir::Type dkeyElement, dvalueElement;
  AttentionArguments scores;
};

/// A block owns `keyBlock` keys of one head of keys, and walks the blocks of queries of all query heads of its group:
/// so dkey and dvalue are sums in registers, in one order. dquery is added up in the workspace, by TMA reductions.
class AttentionGradient {
public:
  using Value = mlir::Value;
  AttentionGradient(KernelBuilder &e, const AttentionSpec &spec, const HopperAttentionTiles &tiles,
                    const GradientArguments &arguments);
  virtual ~AttentionGradient() = default;
  void emit();

protected:
  /// The consumers' part: `group` is set.
  virtual void consume() = 0;

  /// One block of queries of one query head.
  struct Step {
    Value head;       ///< query head
    Value firstQuery; ///< local row
    RingSlot slot;
  };
  Step getStep(Value number);
  /// for each step: body(step, carried) -> carried.
  Fragment visitSteps(mlir::ValueRange init, llvm::function_ref<Fragment(const Step &, mlir::ValueRange)> body);

  int64_t getQueryBytes() const { return tiles.queryBlock * tiles.paddedDim * 2; }
  /// The stage of a ring as an operand whose `rows` begin at row 0 or, with `sumsRows`, whose columns begin at box
  /// `firstBox`.
  SharedMatrix getStage(llvm::StringRef region, const RingSlot &slot, bool sumsRows, Value byteOffset = {});
  /// A part of a region that is not staged; `rows` of its boxes.
  SharedMatrix getMatrix(llvm::StringRef region, Value byteOffset, int64_t rows, bool sumsRows);

  /// Reads statistics of the queries of this thread's columns, a pair of columns at a time: element `number` of a
  /// fragment of queries from column `firstColumn` of the step.
  class Statistics {
  public:
    Statistics(AttentionGradient &gradient, llvm::StringRef region, const RingSlot &slot, Value firstColumn);
    /// Calls come in ascending order.
    Value get(int64_t number);

  private:
    KernelBuilder &e;
    Value first;
    std::array<Value, 2> pair;
    int64_t loaded = -1;
  };
  /// Products of query and key become probabilities; with a softcap, `slopes` are its derivatives, rounded and packed
  /// as ds will be.
  Fragment getProbabilities(Fragment products, const Step &step, const ScorePlace &place, Value firstColumn,
                            Fragment &slopes);
  /// What the next products take, packed.
  struct Packed {
    Fragment probabilities; ///< after dropout
    Fragment gradients;     ///< of scores
  };
  /// Gradients of scores from probabilities and dP.
  Packed getScoreGradients(const Fragment &probabilities, const Fragment &products, const Fragment &slopes,
                           const Step &step, const ScorePlace &place, Value firstColumn);

  /// Adds a fragment of 64 queries x `columns` of D to the sums of dquery: through the warpgroup's staging area, by its
  /// first warp.
  void addQueryGradient(const Fragment &fragment, int64_t columns, Value firstQuery, Value firstColumn, Value plane);
  /// Adds a fragment of 64 keys x `columns`, times `factor`, to dkey or dvalue.
  void addOut(const Fragment &fragment, const StridedArgument &out, mlir::Type element, int64_t columns, Value firstKey,
              Value firstColumn, double factor);
  Value isLeader() { return e.bitAnd(e.equal(e.getWarpInGroup(), 0), e.getElected()); }
  Value getPlane(Value head) { return e.add(e.mul(batchIndex, spec.heads), head); }
  /// Bytes of the staging area of one warpgroup.
  int64_t getStagingBytes() const { return 64 * (tiles.splitsDim ? tiles.paddedDim / 2 : 64) * 4; }

  KernelBuilder &e;
  const AttentionSpec &spec;
  const HopperAttentionTiles &tiles;
  const GradientArguments &arguments;
  BarrierTable barriers;
  int64_t keysFull;
  Ring queries, douts;
  TensorMemory memory;
  WarpGroupMatrix matrix;
  AttentionScores scores;
  FragmentPosition position;
  /// The block: its batch element, head of keys, first key; the blocks of queries that see it; a consumer's number.
  Value batchIndex, keyHead, firstKey, group;
  BlockLoop queryBlocks;

private:
  void addBiasGradient(Value gradient, const ScorePlace &place, int64_t number);
  void produce();
  void loadTile(Value map, int64_t rows, Value shared, Value head, Value row, Value barrier);
  Value stagedOffset(llvm::StringRef region, const RingSlot &slot, int64_t bytes);
};

/// Head dims up to 128: each of two warpgroups owns 64 keys.
std::unique_ptr<AttentionGradient> createNarrowGradient(KernelBuilder &e, const AttentionSpec &spec,
                                                        const HopperAttentionTiles &tiles,
                                                        const GradientArguments &arguments);
/// Two warpgroups own half of the columns of D each, of 64 keys.
std::unique_ptr<AttentionGradient> createSplitGradient(KernelBuilder &e, const AttentionSpec &spec,
                                                       const HopperAttentionTiles &tiles,
                                                       const GradientArguments &arguments);

/// Named barriers of the consumers: 1 and 2 of all of them, 3 and 4 of one warpgroup each.
constexpr int64_t scoresFree = 1, scoresWritten = 2, firstOfWarpGroup = 3;

} // namespace bpt::hopper
