// bpt.embedding gathers rows of the table; its gradient links the tokens of each id, then sums them in order.
#include "Lowerings.h"
#include "RowWise.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace bpt {

/// The id of token (b, s) as a row of a table of `count` rows, never out of bounds.
static Value loadId(Emitter &e, Value ids, ValueRange token, Value count) {
  Value id = arith::IndexCastOp::create(e, e.getIndexType(), memref::LoadOp::create(e, ids, token));
  return e.max(e.min(id, e.sub(count, 1)), 0);
}

static void emitEmbedding(Emitter &e, Value ids, Value table, Value out) {
  Value columns = e.dim(out, 2), count = e.dim(table, 0);
  // An empty table has no row to read.
  Value rows = e.select(e.equal(count, e.index(0)), e.index(0), e.rows(out));
  emitStreaming(e, out, [&](bool streams) {
    parallelRows(e, rows, columns, [&](Value row) {
      Emitter::Values token = e.rowIndices(out, row);
      Value id = loadId(e, ids, token, count);
      // The next token's row, which the processor cannot guess.
      Value next = loadId(e, ids, e.rowIndices(out, e.min(e.add(row, 1), e.sub(rows, 1))), count);
      e.columns(columns, [&](Value column, Value mask) {
        memref::PrefetchOp::create(e, table, ValueRange{next, column}, /*isWrite=*/false, /*localityHint=*/2,
                                   /*isDataCache=*/true);
        Value x = e.load(table, {id, column}, mask);
        streams && !mask ? e.stream(x, out, at(token, column)) : e.store(x, out, at(token, column), mask);
      });
    });
  });
}

namespace {
/// Tokens of one id form a list in ascending order. All i32; -1 ends a list.
struct TokenLists {
  Value last;  ///< [V] the last token of the id seen so far
  Value next;  ///< [N] the next token of the same id
  Value first; ///< [N] first tokens of the ids that occur
  Value count; ///< [1] how many
};

struct EmbeddingGradient {
  Emitter &e;
  Value dout, ids, dtable, workspace;

  Value asIndex(Value word) const { return arith::IndexCastOp::create(e, e.getIndexType(), word); }
  Value asWord(Value index) const { return arith::IndexCastOp::create(e, e.getI32Type(), index); }
  Value load(Value memref, Value at) const { return asIndex(memref::LoadOp::create(e, memref, at)); }
  void store(Value value, Value memref, Value at) const { memref::StoreOp::create(e, asWord(value), memref, at); }

  TokenLists getLists(Value tokens, Value rows) const {
    Value offset = e.index(0);
    auto take = [&](Value size) {
      Value piece = e.view(workspace, offset, {ShapedType::kDynamic}, size, e.getI32Type());
      offset = e.add(offset, e.mul(size, 4));
      return piece;
    };
    return {take(rows), take(tokens), take(tokens), take(e.index(1))};
  }

  void emitLists(const TokenLists &lists, Value tokens, Value rows) const {
    Value none = e.index(-1);
    e.parallel(e.index(1), [&](Value) {
      e.loop(e.index(0), rows, 1, [&](Value row) { store(none, lists.last, row); });
      Value found = e.loop(e.index(0), tokens, 1, ValueRange(e.index(0)), [&](Value token, ValueRange carried) {
        Value id = loadId(e, ids, e.rowIndices(dout, token), rows);
        Value previous = load(lists.last, id);
        store(none, lists.next, token);
        store(token, lists.last, id);
        Value isFirst = e.equal(previous, none);
        e.ifThen(isFirst, [&] { store(token, lists.first, carried[0]); }, [&] { store(token, lists.next, previous); });
        return Emitter::Values{e.add(carried[0], e.select(isFirst, e.index(1), e.index(0)))};
      })[0];
      store(found, lists.count, e.index(0));
    });
  }

  /// One vector of a row of the table: what is there, then the tokens of the id in order, rounded once.
  void emitSum(const TokenLists &lists, Value token, Value id, Value column, Value mask) const {
    auto loop = scf::WhileOp::create(
        e, TypeRange{e.getIndexType(), e.vectorType}, ValueRange{token, e.load(dtable, {id, column}, mask)},
        [&](OpBuilder &, Location, ValueRange args) {
          OpBuilder::InsertionGuard guard(e);
          e.setInsertionPointToEnd(args[0].getParentBlock());
          scf::ConditionOp::create(e, e.compare(arith::CmpIPredicate::ne, args[0], e.index(-1)), args);
        },
        [&](OpBuilder &, Location, ValueRange args) {
          OpBuilder::InsertionGuard guard(e);
          e.setInsertionPointToEnd(args[0].getParentBlock());
          Value term = e.load(dout, at(e.rowIndices(dout, args[0]), column), mask);
          scf::YieldOp::create(e, ValueRange{load(lists.next, args[0]), e.addf(args[1], term)});
        });
    e.store(loop.getResult(1), dtable, {id, column}, mask);
  }

  /// Fetches columns [begin, end) of the row of the table that the k-th list is added to: the processor cannot guess
  /// it.
  void emitFetch(const TokenLists &lists, Value k, Value rows, Value begin, Value end) const {
    int64_t line = getLineElements(getElementTypeOrSelf(dtable));
    Value id = loadId(e, ids, e.rowIndices(dout, load(lists.first, k)), rows);
    e.loop(begin, end, line, [&](Value column) {
      memref::PrefetchOp::create(e, dtable, ValueRange{id, column}, /*isWrite=*/true, /*localityHint=*/3,
                                 /*isDataCache=*/true);
    });
  }

  void emit() const {
    Value tokens = e.rows(dout), rows = e.dim(dtable, 0), columns = e.dim(dtable, 1);
    tokens = e.select(e.equal(rows, e.index(0)), e.index(0), tokens);
    TokenLists lists = getLists(tokens, rows);
    emitLists(lists, tokens, rows);
    constexpr int64_t columnsOfItem = 256;
    Value parts = e.ceilDiv(columns, columnsOfItem);
    e.parallel(e.mul(e.min(tokens, rows), parts), [&](Value item) {
      Value k = e.div(item, parts), begin = e.mul(e.rem(item, parts), columnsOfItem);
      Value end = e.min(e.add(begin, columnsOfItem), columns), count = load(lists.count, e.index(0));
      e.ifThen(e.less(k, count), [&] {
        emitFetch(lists, e.min(e.add(k, 1), e.sub(count, 1)), rows, begin, end);
        Value token = load(lists.first, k), id = loadId(e, ids, e.rowIndices(dout, token), rows);
        visitColumns(e, begin, end, [&](Value column, Value mask) { emitSum(lists, token, id, column, mask); });
      });
    });
  }
};
} // namespace

LogicalResult lowerEmbedding(EmbeddingOp op, KernelCache &kernels) {
  KernelOperand operands[] = {{op.getIds(), 2}, {op.getTable(), 1}, {op.getOuts()[0], 2}};
  Type element = cast<MemRefType>(op.getTable().getType()).getElementType();
  return kernels.replace(op, "embedding", getAccumulatorType(element), operands, [&](Emitter &e, ArrayRef<Value> args) {
    emitEmbedding(e, args[0], args[1], args[2]);
    return success();
  });
}

LogicalResult lowerEmbeddingGrad(EmbeddingGradOp op, KernelCache &kernels) {
  if (!op.getWorkspace())
    return op.emitOpError("expected a workspace; run bpt-tile-blocks first");
  KernelOperand operands[] = {{op.getDout(), 2}, {op.getIds(), 2}, {op.getOuts()[0], 1}, {op.getWorkspace(), 1}};
  Type element = cast<MemRefType>(op.getDout().getType()).getElementType();
  return kernels.replace(op, "embedding_grad", getAccumulatorType(element), operands,
                         [&](Emitter &e, ArrayRef<Value> args) {
                           EmbeddingGradient{e, args[0], args[1], args[2], args[3]}.emit();
                           return success();
                         });
}

} // namespace bpt
