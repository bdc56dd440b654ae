// Kernels that visit their rows in chunks: the workspace, sums over the chunks, products that are added.
#include "Chunks.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"

using namespace mlir;

namespace bpt {

void ChunkSum::add(Emitter &e, Value sum, ValueRange indices, Value mask, ValueRange betweenIndices) const {
  if (!between) {
    e.store(e.addf(e.load(out, indices, mask), sum), out, indices, mask);
    return;
  }
  using Values = SmallVector<Value>;
  if (betweenIndices.empty())
    betweenIndices = indices;
  Value before = e.choose(first, [&] { return Values{e.load(out, indices, mask)}; },
                          [&] { return Values{e.load(between, betweenIndices, mask)}; })[0];
  sum = e.addf(before, sum);
  e.ifThen(last, [&] { e.store(sum, out, indices, mask); }, [&] { e.store(sum, between, betweenIndices, mask); });
}

Value WorkspaceSections::take(Value rows, Value columns, Type element) {
  SmallVector<int64_t> shape{ShapedType::kDynamic, ShapedType::kDynamic};
  SmallVector<Value> dynamic{rows};
  if (std::optional<int64_t> constant = getConstantIntValue(columns))
    shape[1] = *constant;
  else
    dynamic.push_back(columns);
  Value result = e.view(bytes, offset, shape, dynamic, element);
  Value size = e.mul(e.mul(rows, columns), element.getIntOrFloatBitWidth() / 8);
  offset = e.add(offset, e.roundUp(size, 64));
  return result;
}

Value WorkspaceSections::takeLike(Value like, Type element) {
  if (cast<MemRefType>(like.getType()).getRank() == 2)
    return take(e.dim(like, 0), e.dim(like, 1), element);
  Value matrix = take(e.index(1), e.dim(like, 0), element);
  return memref::CollapseShapeOp::create(e, matrix, SmallVector<ReassociationIndices>{{0, 1}});
}

void emitChunks(Emitter &e, Value all, int64_t most, function_ref<void(Value, Value)> body) {
  constexpr int64_t unit = 48; // whole register tiles of every target
  Value chunks = e.max(e.ceilDiv(all, most), 1);
  Value size = e.max(e.min(e.roundUp(e.ceilDiv(all, chunks), unit), most), 1);
  e.loop(e.index(0), e.ceilDiv(all, size), 1, [&](Value chunk) {
    Value start = e.mul(chunk, size);
    body(start, e.min(e.sub(all, start), size));
  });
}

void emitAddedProduct(Gemm &gemm, ArrayRef<std::pair<Matrix, Matrix>> factors, Value start, Value m, Value n, Value k,
                      const ChunkSum &dest) {
  Emitter &e = gemm.e;
  auto addPart = [&](Value first, Value depth) {
    SmallVector<Gemm::Product> products;
    for (const auto &[a, b] : factors)
      products.push_back({0, a.dropColumns(e, first), b.dropRows(e, first), depth});
    if (!dest.between && gemm.canGrowIn(dest.out, n)) {
      Gemm::Destination destination{dest.out, start, e.bit(false)};
      return gemm.parallelProducts(
          m, n, 1, products, [](Gemm::Block, ArrayRef<Value>) {}, Gemm::ProductOptions::growing(destination));
    }
    auto body = [&](Gemm::Block block, ArrayRef<Value> blocks) {
      e.loop(e.index(0), block.rows, 1, [&](Value row) {
        Value position = e.add(start, e.add(block.row, row));
        SmallVector<Value> to = e.rowIndices(dest.out, position);
        to.emplace_back();
        e.columns(block.columns, [&](Value offset, Value mask) {
          to.back() = e.add(block.column, offset);
          dest.add(e, e.load(blocks[0], {row, offset}), to, mask, {position, to.back()});
        });
      });
    };
    gemm.parallelProducts(m, n, 1, products, body,
                          Gemm::ProductOptions::writing({dest.between ? dest.between : dest.out, false, start}));
  };
  if (dest.between)
    return addPart(e.index(0), k);
  gemm.visitDepthParts(k, addPart);
}

void emitAddedColumnSums(Emitter &e, Value matrix, Value first, Value count, const ChunkSum &dest) {
  Value columns = e.dim(dest.out, 0);
  int64_t together = 4 * e.lanes;
  e.parallel(e.ceilDiv(columns, together), [&](Value item) {
    Value start = e.mul(item, together), own = e.min(e.sub(columns, start), together);
    auto sumColumns = [&](ArrayRef<Value> positions, ArrayRef<Value> masks) {
      SmallVector<Value> zeros(positions.size(), e.splat(0));
      SmallVector<Value> sums = e.loop(e.index(0), count, 1, zeros, [&](Value row, ValueRange carried) {
        SmallVector<Value> from = e.rowIndices(matrix, e.add(first, row)), next;
        from.emplace_back();
        for (auto [position, mask, sum] : llvm::zip_equal(positions, masks, carried)) {
          from.back() = position;
          next.push_back(e.addf(sum, e.load(matrix, from, mask)));
        }
        return next;
      });
      for (auto [position, mask, sum] : llvm::zip_equal(positions, masks, sums))
        dest.add(e, sum, {position}, mask);
    };
    auto whole = [&] {
      SmallVector<Value> positions;
      for (int64_t i = 0; i < together; i += e.lanes)
        positions.push_back(e.add(start, i));
      sumColumns(positions, SmallVector<Value>(positions.size()));
    };
    auto parts = [&] {
      e.columns(own, [&](Value column, Value mask) { sumColumns({e.add(start, column)}, {mask}); });
    };
    e.ifThen(e.equal(own, e.index(together)), whole, parts);
  });
}

} // namespace bpt
