// Statistics of rows before, dquery after the main kernel.
#include "AttentionGradientRows.h"

#include <limits>

using namespace mlir;

namespace bpt::hopper {

static constexpr double infinity = std::numeric_limits<double>::infinity();
static constexpr double log2e = 1.44269504088896340736;

namespace {
/// The row of this warp.
struct Row {
  Value batchIndex, head, query, plane;
  Value exists; ///< i1: query < S
};
} // namespace

/// body(row) for the warps that have a row of [B, H, `rowsOfPlane`].
static void visitRow(KernelBuilder &e, const RowSizes &sizes, Value rowsOfPlane, function_ref<void(const Row &)> body) {
  Value batch = e.getArgument(sizes.batch), queries = e.getArgument(sizes.queries);
  Value number = e.add(e.mul(e.getBlock(KernelBuilder::Dim::X), rowKernelThreads / warpThreads), e.getWarp());
  Value count = e.mul(e.mul(batch, sizes.heads), rowsOfPlane);
  e.ifThen(e.less(number, count), [&] {
    Value plane = e.div(number, rowsOfPlane), query = e.rem(number, rowsOfPlane);
    body({e.div(plane, sizes.heads), e.rem(plane, sizes.heads), query, plane, e.less(query, queries)});
  });
}

/// Eight elements of 16 bits as f32.
static Fragment loadEight(KernelBuilder &e, Value address, Type element) {
  Value words = e.load(address, VectorType::get(4, e.getI32Type()));
  Fragment values;
  for (int64_t i = 0; i < 4; ++i)
    for (Value value : e.unpack(LLVM::ExtractElementOp::create(e, words, e.i32(i)), element))
      values.push_back(value);
  return values;
}

static Value joinFour(KernelBuilder &e, ValueRange values) {
  Value vector = LLVM::UndefOp::create(e, VectorType::get(4, values[0].getType()));
  for (int64_t i = 0; i < 4; ++i)
    vector = LLVM::InsertElementOp::create(e, vector, values[i], e.i32(i));
  return vector;
}

/// sum over D of dout * out in all lanes: each lane takes eight columns.
static Value sumProducts(KernelBuilder &e, const RowSizes &sizes, const PrepareArguments &arguments, Type element,
                         const Row &row) {
  GlobalView dout(e, arguments.dout, element), out(e, arguments.out, element);
  Value column = e.mul(e.getLane(), 8);
  Value sum = e.choose(
      e.less(column, sizes.headDim),
      [&] {
        Fragment left = loadEight(e, dout.getAddress({row.batchIndex, row.query, row.head, column}), element);
        Fragment right = loadEight(e, out.getAddress({row.batchIndex, row.query, row.head, column}), element);
        Value total = e.mulf(left[0], right[0]);
        for (int64_t i = 1; i < 8; ++i)
          total = e.fma(left[i], right[i], total);
        return Fragment{total};
      },
      [&] { return Fragment{e.f32(0)}; })[0];
  for (int64_t mask = warpThreads / 2; mask; mask /= 2)
    sum = e.addf(sum, e.shuffleXor(sum, mask));
  return sum;
}

void emitPrepareRows(KernelBuilder &e, const RowSizes &sizes, const PrepareArguments &arguments, Type element) {
  Value queries = e.getArgument(sizes.queries);
  Value rowsOfPlane = e.mul(e.ceilDiv(queries, sizes.queryBlock), sizes.queryBlock);
  visitRow(e, sizes, rowsOfPlane, [&](const Row &row) {
    Fragment statistics = e.choose(
        row.exists,
        [&] {
          Value at[] = {row.batchIndex, row.head, row.query};
          Value sum = sumProducts(e, sizes, arguments, element, row), none = e.f32(-infinity);
          Value lse = GlobalView(e, arguments.lse, e.getF32Type()).load(at);
          Value delta =
              arguments.dlse ? e.subf(GlobalView(e, *arguments.dlse, e.getF32Type()).load(at), sum) : e.negf(sum);
          Value isNone = e.compareFloat(arith::CmpFPredicate::OEQ, lse, none);
          return Fragment{e.select(isNone, none, e.mulf(lse, e.f32(-log2e))), e.select(isNone, e.f32(0), delta)};
        },
        [&] { return Fragment{e.f32(-infinity), e.f32(0)}; });
    Value number = e.add(e.mul(row.plane, rowsOfPlane), row.query);
    e.ifThen(e.equal(e.getLane(), 0), [&] {
      for (auto [argument, value] :
           llvm::zip_equal(std::array<unsigned, 2>{arguments.negatedLse, arguments.negatedDelta}, statistics))
        e.store(value, e.getElement(e.getArgument(argument), number, e.getF32Type()));
    });
    e.ifThen(row.exists, [&] {
      Value zeros = joinFour(e, Fragment(4, e.f32(0)));
      Value first = e.mul(e.toI64(e.add(e.mul(row.plane, queries), row.query)), sizes.paddedDim);
      e.loop(e.mul(e.getLane(), 4), e.i32(sizes.paddedDim), e.i32(4 * warpThreads), [&](Value column) {
        Value element = e.add(first, e.toI64(column));
        e.store(zeros, e.getElement(e.getArgument(arguments.querySums), element, e.getF32Type()));
      });
    });
  });
}

void emitFinishQuery(KernelBuilder &e, const RowSizes &sizes, unsigned querySums, const StridedArgument &dquery,
                     Type element, double scale) {
  Value queries = e.getArgument(sizes.queries), factor = e.f32(scale);
  GlobalView out(e, dquery, element);
  visitRow(e, sizes, queries, [&](const Row &row) {
    Value first = e.mul(e.toI64(e.add(e.mul(row.plane, queries), row.query)), sizes.paddedDim);
    e.loop(e.mul(e.getLane(), 4), e.i32(sizes.headDim), e.i32(4 * warpThreads), [&](Value column) {
      Value address = e.getElement(e.getArgument(querySums), e.add(first, e.toI64(column)), e.getF32Type());
      Value sums = e.load(address, VectorType::get(4, e.getF32Type()));
      Value target = out.getAddress({row.batchIndex, row.query, row.head, column});
      Fragment scaled;
      for (int64_t i = 0; i < 4; ++i)
        scaled.push_back(e.mulf(LLVM::ExtractElementOp::create(e, sums, e.i32(i)), factor));
      if (element.isF32()) {
        Value before = e.load(target, VectorType::get(4, element));
        for (int64_t i = 0; i < 4; ++i)
          scaled[i] = e.addf(LLVM::ExtractElementOp::create(e, before, e.i32(i)), scaled[i]);
        return e.store(joinFour(e, scaled), target);
      }
      for (int64_t i = 0; i < 4; i += 2) {
        Value pointer = e.advance(target, i * 2);
        std::array<Value, 2> before = e.unpack(e.load(pointer, e.getI32Type()), element);
        e.store(e.pack(e.addf(before[0], scaled[i]), e.addf(before[1], scaled[i + 1]), element), pointer);
      }
    });
  });
}

/// body(element) for i = this thread, + all threads of the grid, .. below `count`.
static void visitElements(KernelBuilder &e, Value count, function_ref<void(Value)> body) {
  Value threads = e.mul(e.getGridSize(KernelBuilder::Dim::X), elementThreads);
  Value first = e.add(e.mul(e.getBlock(KernelBuilder::Dim::X), elementThreads), e.getThread());
  e.loop(first, count, threads, body);
}

void emitFillZero(KernelBuilder &e, unsigned pointer, unsigned count) {
  visitElements(e, e.getArgument(count),
                [&](Value number) { e.store(e.f32(0), e.getElement(e.getArgument(pointer), number, e.getF32Type())); });
}

void emitAddSums(KernelBuilder &e, unsigned sums, const StridedArgument &out, std::array<unsigned, 4> sizes,
                 Type element) {
  Value count = e.i32(1);
  for (unsigned size : sizes)
    count = e.mul(count, e.getArgument(size));
  GlobalView view(e, out, element);
  visitElements(e, count, [&](Value number) {
    std::array<Value, 4> indices;
    Value rest = number;
    for (int64_t dim = 3; dim > 0; --dim) {
      indices[dim] = e.rem(rest, e.getArgument(sizes[dim]));
      rest = e.div(rest, e.getArgument(sizes[dim]));
    }
    indices[0] = rest;
    Value sum = e.load(e.getElement(e.getArgument(sums), number, e.getF32Type()), e.getF32Type());
    Value address = view.getAddress(indices);
    e.store(e.round(e.addf(e.expand(e.load(address, element)), sum), element), address);
  });
}

} // namespace bpt::hopper
