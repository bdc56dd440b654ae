// Sums over the rows of a matrix: pieces of rows first, each thread two columns, then the pieces in their order.
#include "Chunks.h"
#include "bpt/Analysis/HopperChunks.h"

using namespace mlir;

namespace bpt::hopper {

/// Threads of a block, two columns each; rows whose loads are in flight together.
static constexpr int64_t threads = 128, rowsAtOnce = 8;

namespace {
/// Where the sums of a piece go: row `piece` of an f32 matrix, or a ChunkSum.
struct ColumnSumTarget {
  std::optional<StridedArgument> pieces;
  unsigned out = 0, between = 0, first = 0, last = 0;
  Type element; ///< of out
};

/// Adds rows [begin, end) of a matrix `[outer, inner, columns]` in a block of columns.
class ColumnSums {
public:
  ColumnSums(KernelBuilder &e, const StridedArgument &matrix, Type element, const ColumnSumTarget &target,
             unsigned inner, unsigned rows, unsigned columns)
      : e(e), matrix(e, matrix, element), target(target), inner(e.getArgument(inner)), rows(e.getArgument(rows)),
        columns(e.getArgument(columns)) {}

  void emit() {
    Value piece = e.getBlock(KernelBuilder::Dim::Y);
    column = e.mul(e.add(e.mul(e.getBlock(KernelBuilder::Dim::X), threads), e.getThread()), 2);
    Value begin = target.pieces ? e.mul(piece, columnSumRows) : e.i32(0);
    Value end = target.pieces ? e.min(e.add(begin, columnSumRows), rows) : rows;
    e.ifThen(e.less(column, columns), [&] {
      Pair sums = sumUp(begin, end);
      if (target.pieces)
        storePair(e, GlobalView(e, *target.pieces, e.getF32Type()).getAddress({piece, column}), sums, e.getF32Type());
      else
        addToOut(sums);
    });
  }

private:
  Pair sumUp(Value begin, Value end) {
    Value zero = e.f32(0);
    Fragment sums = e.loop(begin, end, e.i32(rowsAtOnce), ValueRange{zero, zero}, [&](Value row, ValueRange carried) {
      std::array<Fragment, 2> terms;
      for (int64_t i = 0; i < rowsAtOnce; ++i) {
        Value mine = e.add(row, i), exists = e.less(mine, end), safe = e.min(mine, e.sub(end, 1));
        Value address = matrix.getAddress({e.div(safe, inner), e.rem(safe, inner), column});
        Pair pair = loadPair(e, address, matrix.getElementType());
        for (int64_t c : {0, 1})
          terms[c].push_back(e.select(exists, pair[c], zero));
      }
      auto add = [&](Value a, Value b) { return e.addf(a, b); };
      return Fragment{add(carried[0], e.reduceTree(terms[0], add)), add(carried[1], e.reduceTree(terms[1], add))};
    });
    return {sums[0], sums[1]};
  }

  void addToOut(const Pair &sums) {
    Type f32 = e.getF32Type();
    Value out = e.getElement(e.getArgument(target.out), column, target.element);
    auto plus = [&](const Pair &before) { return Pair{e.addf(before[0], sums[0]), e.addf(before[1], sums[1])}; };
    if (target.element.isF32())
      return storePair(e, out, plus(loadPair(e, out, f32)), f32);
    Value between = e.getElement(e.getArgument(target.between), column, f32);
    auto load = [&](Value address, Type element) {
      Pair pair = loadPair(e, address, element);
      return Fragment{pair[0], pair[1]};
    };
    Fragment before = e.choose(
        e.less(e.i32(0), e.getArgument(target.first)), [&] { return load(out, target.element); },
        [&] { return load(between, f32); });
    Pair sum = plus({before[0], before[1]});
    e.ifThen(
        e.less(e.i32(0), e.getArgument(target.last)), [&] { storePair(e, out, sum, target.element); },
        [&] { storePair(e, between, sum, f32); });
  }

  KernelBuilder &e;
  GlobalView matrix;
  const ColumnSumTarget &target;
  Value inner, rows, columns, column;
};
} // namespace

/// One launch; `pieces` null: the sums go to `dest`.
static void launch(KernelLibrary &kernels, ImplicitLocOpBuilder &b, Value matrix, Value pieces, const ChunkSum *dest,
                   const RowChunk &chunk) {
  LaunchArguments arguments(b);
  Type element = cast<MemRefType>(matrix.getType()).getElementType();
  StridedArgument from = arguments.addStrided(matrix);
  ColumnSumTarget target;
  if (pieces) {
    target.pieces = arguments.addStrided(pieces);
  } else {
    target.element = cast<MemRefType>(dest->out.getType()).getElementType();
    target.out = arguments.addPointer(dest->out);
    if (dest->between) {
      target.between = arguments.addPointer(dest->between);
      target.first = arguments.addI32(chunk.isFirst);
      target.last = arguments.addI32(chunk.isLast);
    }
  }
  Value innerSize = arguments.dim(matrix, 1), rowCount = arguments.mul(arguments.dim(matrix, 0), innerSize);
  Value columnCount = arguments.dim(matrix, 2), one = arguments.index(1);
  unsigned inner = arguments.addI32(innerSize), rows = arguments.addI32(rowCount),
           columns = arguments.addI32(columnCount);
  std::string key;
  llvm::raw_string_ostream stream(key);
  stream << element;
  if (!pieces)
    stream << " " << target.element;
  Value blocks = arguments.ceilDiv(columnCount, 2 * threads);
  kernels.launch("column_sums", key, arguments, {{blocks, pieces ? arguments.dim(pieces, 0) : one, one}, threads, 0},
                 [&](KernelBuilder &e) { ColumnSums(e, from, element, target, inner, rows, columns).emit(); });
}

void launchColumnSums(KernelLibrary &kernels, ImplicitLocOpBuilder &b, Value matrix, Value partial,
                      const ChunkSum &dest, const RowChunk &chunk) {
  launch(kernels, b, matrix, partial, nullptr, chunk);
  Value all = regroup(b, partial, {{}, {0}, {1}});
  launch(kernels, b, all, Value(), &dest, chunk);
}

} // namespace bpt::hopper
