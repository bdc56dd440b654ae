// What attention and its gradient share: blocks of queries and keys in scratch, transposed scores of a block, and
// everything that changes scores (softcap, bias, segments, mask, dropout).
//
// Scores are computed transposed, [keys][queries]: a row of keys is the broadcast operand as it lies in memory,
// transposed queries are packed once a block, the softmax of a query stays in its lane, one Philox call gives eight
// rows of a lane, and the products over keys read probabilities by columns, which the register tile does equally fast
// (prototype/cpu/attention).
#pragma once

#include "Gemm.h"
#include "Kernels.h"
#include "Philox.h"
#include "bpt/Analysis/AttentionTiles.h"

namespace bpt {

/// Attributes of the op.
struct AttentionAttributes {
  BlockMaskAttrInterface mask;
  double scale, softcap, dropout;
  int64_t stream;
  int64_t headOffset, headCount; ///< of dropout; a count of 0 means the op's heads
};

/// Operands of the op as arguments of the kernel; null where absent.
struct AttentionOperands {
  mlir::Value query, key, value, bias, querySegments, keySegments, offset, seed;
};

/// Rows [begin, end) of a block.
struct BlockRange {
  mlir::Value begin, end;
};

class AttentionScores {
public:
  using Value = mlir::Value;

  AttentionScores(Emitter &e, KernelCache &kernels, const AttentionAttributes &attributes,
                  const AttentionOperands &operands);

  Emitter &e;
  KernelCache &kernels;
  const AttentionAttributes attributes;
  const AttentionOperands o;
  Value batch, queries, keys, heads, groups; ///< B, S, T, H, G

  //===--- one phase ----------------------------------------------------------------------------------------------===//
  /// Takes the scratch of a work item; inside Emitter::parallel.
  void takeScratch(const AttentionTiles &tiles, const AttentionFeatures &features, const AttentionScratch &layout);
  AttentionTiles tiles;
  AttentionFeatures features;

  Value scores, gradient, keep, softcap, bias, sum; ///< [keyBlock][scoreLength]
  Value key, value;                                 ///< [keyBlock][rowLength]
  Value queryRows, doutRows;                        ///< [queryBlock][rowLength]
  Value keyColumns, products;                       ///< with AMX, see AttentionScratch
  Value accumulator, dkey, dvalue;                  ///< [..][paddedDim]; with AMX the accumulator is [paddedDim][..]
  Value maximum, total, factor;                     ///< [queryBlock]

  //===--- the current blocks -------------------------------------------------------------------------------------===//
  Value b, h, g;        ///< batch, query head, key head
  Value q0, queryCount; ///< queries [q0, q0 + queryCount)
  Value k0, keyCount;   ///< keys [k0, k0 + keyCount)

  /// Sets b, h and g.
  void setHead(Value batchIndex, Value head);
  /// Sets the queries of block number `block`.
  void setQueries(Value block);
  void setKeys(Value begin);
  Value getPanelCount() { return e.ceilDiv(queryCount, tiles.getPanel()); }
  /// Number of blocks of queries / keys of the whole sequence.
  Value getQueryBlocks() { return e.ceilDiv(queries, tiles.queryBlock); }
  Value getKeyBlocks() { return e.ceilDiv(keys, tiles.keyBlock); }
  /// Global row of the local query `q`.
  Value globalRow(Value q) { return o.offset ? e.add(q, o.offset) : q; }

  /// [S or T, D] of batch b and head `head` of a [B, length, heads, D] memref.
  Value getHead(Value memref, Value head);
  /// All panels of the transposed rows of `memref` at the queries, times `scale`, to scratch at `offset`.
  void packQueries(Value memref, int64_t offset, double scale);
  Value getPanel(int64_t offset, Value panel);
  /// Where packed queries (and cotangents) lie in scratch.
  int64_t getQueryOffset() const { return layout.query; }
  int64_t getDoutOffset() const { return layout.dout; }
  /// The current keys and values of head g, in the order of the products they take part in: with probabilities, or in the
  /// gradient.
  void packKeys(bool forGradient);
  /// Rows of the current queries of head h, as the right operand of products over queries, to `block`.
  void packQueryRows(Value memref, Value block);

  /// Those of `count` rows of a head from `begin` on that exist, for tiles to fetch: rows of a head lie far apart, and
  /// many at once would wait for each other.
  Fetch getFetch(Value memref, Value head, Value begin, int64_t count);
  /// What a tile that begins at this row fetches.
  using TileFetches = llvm::function_ref<llvm::SmallVector<TileFetch>(Value row)>;

  /// The factor of q.k that packed queries carry, so that scores come out in base 2 (or as the argument of the
  /// softcap's tanh).
  double getQueryFactor() const;

  /// All keys some query of the block may see, from a multiple of the key block: blocks of keys lie at the same places
  /// for every query, whatever the blocks of queries are.
  BlockRange getKeysOfQueries();
  BlockRange getKeysOfAllQueries();
  /// All queries that may see some key of the block, from a multiple of the query block.
  BlockRange getQueriesOfKeys();

  //===--- scores of one panel of queries -------------------------------------------------------------------------===//
  /// Rows of the block of keys that some query of the panel may see, in whole register tiles where the block allows.
  BlockRange getVisibleKeys(Value panel);
  /// What is done with a register tile: its first row, rows x vectors vectors in row-major order, and what is carried
  /// from tile to tile; returns what is carried on.
  using TileBody = llvm::function_ref<Emitter::Values(Value row, mlir::ValueRange tile, mlir::ValueRange carried)>;
  /// Rows of `left` . panel by register tiles. The last tile may go beyond the range. Sums begin at 0, not at what will
  /// be subtracted from them: large scores would lose bits.
  Emitter::Values emitProducts(Value left, Value packed, BlockRange range, mlir::ValueRange carried, TileBody body,
                               TileFetches fetches = {});
  /// Scores of the panel in base 2: products with softcap and bias, -inf where invisible or beyond the block.
  Emitter::Values emitScores(Value panel, BlockRange range, mlir::ValueRange carried, TileBody body,
                             TileFetches fetches = {});
  /// body(position in the tile, vector, indices into blocks of scores)
  void visitTile(Value panel, Value row, llvm::function_ref<void(int64_t i, int64_t vector, mlir::ValueRange at)> body);
  /// Loads the block of bias, and draws the dropout factors: whole blocks, before the panels.
  void loadBias();
  void drawDropout(Value panel, BlockRange range);
  /// target[rows outside the range] = 0 for the panel.
  void clearOutside(Value target, Value panel, BlockRange range);

  //===--- products over keys or queries --------------------------------------------------------------------------===//
  /// accumulator += left^T . right over the keys that each query sees; `left`: a block of scores, `right`: keys or values as
  /// packKeys left them. `overwrite`: accumulator = the product.
  void addKeyProducts(Value left, Value right, bool overwrite = false);
  /// out += left . right over the queries that see each key, for each pair of right operands (packQueryRows) and outs.
  /// Each tile of rows fetches its share of `fetches`.
  struct QueryProduct {
    Value left, right, out;
  };
  void addQueryProducts(llvm::ArrayRef<QueryProduct> products, llvm::ArrayRef<Fetch> fetches);
  void clearAccumulator();
  /// Rows of the accumulator that belong to the queries of a panel times `factor`, one for each query.
  void scaleAccumulator(Value panel);
  /// body(query, first column, vector, mask) for the first headDim columns of the current queries.
  void visitAccumulator(llvm::function_ref<void(Value query, Value d, Value vector, Value mask)> body);

  //===--- pieces -------------------------------------------------------------------------------------------------===//
  int64_t getVectors() const { return tiles.vectors; }
  /// Lane of vector `v` of `panel` in rows of scores.
  Value lane(Value panel, int64_t v) { return e.add(e.mul(panel, tiles.getPanel()), v * tiles.lanes); }
  /// Loads target[queries of rows i0.., columns j0..] transposed from a [.., rows, columns] memref; columns beyond
  /// `columns` are zero, rows beyond `rows` repeat the last.
  void loadTransposed(Value matrix, Value i0, Value rows, Value j0, Value columns, Value target);
  /// The reverse: body(row of the memref, column, vector, mask) for each vector of a row.
  void visitTransposed(Value source, Value rows, Value columns,
                       llvm::function_ref<void(Value row, Value column, Value vector, Value mask)> body);

private:
  Value scratchBytes;
  AttentionScratch layout;
  BlockRange getKeysOfQueries(Value first, Value last);
  Value getBlock(int64_t offset, int64_t rows, int64_t columns, mlir::Type element = {});
  /// Rows [begin, begin + count) of a head to a block of scratch.
  void copyRows(Value memref, Value head, Value begin, Value count, Value block);
  /// out[row..row + 6, :] += sum over steps in [begin, end) of left(row, step) * right[step, :]. `byStep`: left is
  /// stored [step][row], otherwise [row][step]. `overwrite`: out[..] = the sum. `fetches` are fetched meanwhile.
  void emitRowProduct(Value left, bool byStep, Value right, Value out, Value row, Value begin, Value end,
                      bool overwrite = false, llvm::ArrayRef<TileFetch> fetches = {});
  /// The steps over keys of the queries of the tile at `row`, and over queries of the `count` keys from `row`: what the mask
  /// leaves.
  BlockRange getKeysOfRows(Value row);
  BlockRange getQueriesOfRows(Value row, int64_t count);
  /// The same by AMX (AttentionMatrix.cpp).
  GemmTiles getMatrixTiles(int64_t depth);
  /// Panel `number` of what packQueryRows left, and the pairs of rows of scores of a panel of queries.
  Value getRowPanel(Value block, int64_t number);
  Value getPairs(Value panel);
  void packMatrixQueries(Matrix rows, int64_t offset);
  void packMatrixKeys(bool forGradient);
  Emitter::Values emitMatrixProducts(Value left, Value packed, BlockRange range, mlir::ValueRange carried,
                                     TileBody body, TileFetches fetches);
  void addMatrixKeyProducts(Value left, Value right, bool overwrite);
  void addMatrixQueryProduct(const QueryProduct &product, Value row);
  /// Whether the tile at `row` needs the mask, or is cut by the end of the block.
  Value isMixed(Value panel, Value row);
  void emitSegments(Value panel, Value row, llvm::MutableArrayRef<Value> z);
  Emitter::Values emitMask(Value panel, Value row, mlir::ValueRange z);
};

/// memref[.., :] of the leading indices: a strided [rows, columns] view of the dims `first` and `last` (the last one).
mlir::Value getMatrix(Emitter &e, mlir::Value memref, llvm::ArrayRef<mlir::Value> leading, int64_t rowDim);

template <typename OpTy> AttentionAttributes getAttentionAttributes(OpTy op) {
  return {op.getMask(), op.getScale().convertToDouble(), op.getSoftcap().convertToDouble(),
          op.getDropout().convertToDouble(), static_cast<int64_t>(op.getStream()),
          static_cast<int64_t>(op.getHeadOffset()), static_cast<int64_t>(op.getHeadCount())};
}
/// What distinguishes kernels of ops of equal types: their blocks.
std::string getAttentionKey(llvm::ArrayRef<AttentionTiles> tiles);
} // namespace bpt
