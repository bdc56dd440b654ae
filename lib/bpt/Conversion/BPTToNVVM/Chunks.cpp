// Chunks of rows on the host.
#include "Chunks.h"

#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace bpt::hopper {

namespace {
/// Index arithmetic that folds.
struct Host {
  ImplicitLocOpBuilder &b;
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, value); }
  Value dim(Value memref, int64_t dim) { return b.createOrFold<memref::DimOp>(memref, dim); }
  Value add(Value x, Value y) { return b.createOrFold<arith::AddIOp>(x, y); }
  Value sub(Value x, Value y) { return b.createOrFold<arith::SubIOp>(x, y); }
  Value mul(Value x, Value y) { return b.createOrFold<arith::MulIOp>(x, y); }
  Value div(Value x, Value y) { return b.createOrFold<arith::DivUIOp>(x, y); }
  Value ceilDiv(Value x, Value y) { return div(add(x, sub(y, index(1))), y); }
  Value min(Value x, Value y) { return b.createOrFold<arith::MinUIOp>(x, y); }
  Value max(Value x, Value y) { return b.createOrFold<arith::MaxUIOp>(x, y); }
  Value isEqual(Value x, Value y) { return b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::eq, x, y); }
  Value toIndex(Value bit) { return b.createOrFold<arith::SelectOp>(bit, index(1), index(0)); }

  /// Sizes of a chunk: `inner` rows in about equal parts; whole outer rows together where they are short.
  std::pair<Value, Value> getChunkSizes(Value outer, Value inner, int64_t most) {
    Value parts = max(ceilDiv(inner, index(most)), index(1));
    Value size = mul(ceilDiv(ceilDiv(inner, parts), index(128)), index(128));
    size = max(min(size, inner), index(1));
    Value together = max(min(div(index(most), max(inner, index(1))), outer), index(1));
    return {together, size};
  }

  /// for (start = 0; start < total; start += step); no loop where one step is known to be enough.
  void loop(Value total, Value step, function_ref<void(Value start, Value count)> body) {
    std::optional<int64_t> knownTotal = getConstantIntValue(total), knownStep = getConstantIntValue(step);
    if (knownTotal && knownStep && *knownTotal <= *knownStep)
      return body(index(0), total);
    auto loop = scf::ForOp::create(b, index(0), total, step);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPoint(loop.getBody()->getTerminator());
    Value start = loop.getInductionVar();
    body(start, min(sub(total, start), step));
  }
};
} // namespace

void visitChunks(ImplicitLocOpBuilder &b, Value view, int64_t most, function_ref<void(const RowChunk &)> body) {
  Host h{b};
  Value outer = h.dim(view, 0), inner = h.dim(view, 1), zero = h.index(0);
  auto [outerStep, innerStep] = h.getChunkSizes(outer, inner, most);
  h.loop(outer, outerStep, [&, step = innerStep](Value outerStart, Value outerCount) {
    h.loop(inner, step, [&](Value innerStart, Value innerCount) {
      Value first = b.createOrFold<arith::AndIOp>(h.isEqual(outerStart, zero), h.isEqual(innerStart, zero));
      Value last = b.createOrFold<arith::AndIOp>(h.isEqual(h.add(outerStart, outerCount), outer),
                                                 h.isEqual(h.add(innerStart, innerCount), inner));
      body({outerStart, outerCount, innerStart, innerCount, h.toIndex(first), h.toIndex(last)});
    });
  });
}

Value getChunkCapacity(ImplicitLocOpBuilder &b, Value view, int64_t most) {
  Host h{b};
  return h.min(h.mul(h.dim(view, 0), h.dim(view, 1)), h.index(most));
}

Value haveSeveralChunks(ImplicitLocOpBuilder &b, Value view, int64_t most) {
  Host h{b};
  Value rows = h.mul(h.dim(view, 0), h.dim(view, 1));
  return h.toIndex(b.createOrFold<arith::CmpIOp>(arith::CmpIPredicate::ugt, rows, h.index(most)));
}

ChunkSum takeChunkSum(ImplicitLocOpBuilder &b, WorkspaceSections &sections, Value out, Value severalChunks) {
  Host h{b};
  auto type = cast<MemRefType>(out.getType());
  if (type.getElementType().isF32())
    return {out, Value()};
  Value count = severalChunks;
  SmallVector<Value> sizes;
  for (int64_t i = 0; i < type.getRank(); ++i) {
    sizes.push_back(h.dim(out, i));
    count = h.mul(count, sizes.back());
  }
  return {out, sections.view(sections.take(count, b.getF32Type()), sizes, b.getF32Type())};
}

void launchSum(KernelLibrary &kernels, ImplicitLocOpBuilder &b, StringRef name, const GemmProblem &problem,
               const ChunkSum &dest, const RowChunk &chunk) {
  LaunchArguments arguments(b);
  if (!dest.between) {
    WideStoreEpilogue epilogue(addPairMatrix(arguments, dest.out), /*adds=*/true);
    return launchGemm(kernels, arguments, name, problem, epilogue, {}, "wide add");
  }
  PairMatrix out = addPairMatrix(arguments, dest.out), between = addPairMatrix(arguments, dest.between);
  unsigned first = arguments.addI32(chunk.isFirst), last = arguments.addI32(chunk.isLast);
  ChunkSumEpilogue epilogue(out, between, first, last);
  launchGemm(kernels, arguments, name, problem, epilogue, {}, "chunk sum");
}

void launchAdded(KernelLibrary &kernels, ImplicitLocOpBuilder &b, const GemmProblem &problem, Value to) {
  LaunchArguments arguments(b);
  PairMatrix added = addPairMatrix(arguments, to);
  if (cast<MemRefType>(to.getType()).getElementType().isF32()) {
    WideStoreEpilogue epilogue(added, /*adds=*/true);
    return launchGemm(kernels, arguments, "product", problem, epilogue, {}, "wide add");
  }
  StoreEpilogue epilogue({}, added);
  launchGemm(kernels, arguments, "product", problem, epilogue, to, "add");
}

} // namespace bpt::hopper
