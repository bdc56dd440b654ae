// bpt.dropout: one Philox call for eight consecutive elements.
#include "Lowerings.h"
#include "Philox.h"
#include "RowWise.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

namespace {
struct Dropout {
  Emitter &e;
  Value input, out, offset, seed;
  double probability;
  int64_t stream;
  PhiloxKey key = {};

  /// Philox calls of one vector: 128 elements.
  static constexpr int64_t calls = 16;

  Value toI32(Value index) const { return arith::IndexCastUIOp::create(e, e.getI32Type(), index); }
  Value splatI32(Value scalar) const {
    return vector::BroadcastOp::create(e, VectorType::get(calls, e.getI32Type()), scalar);
  }
  Value streamWord() const { return arith::ConstantOp::create(e, e.getI32IntegerAttr(static_cast<int32_t>(stream))); }

  Value scaled(Value keep, Value x, Value zero, Value factor) const {
    return arith::SelectOp::create(e, keep, e.mulf(x, factor), zero);
  }

  /// Row `indices` of a multiple of eight elements, or the only one of its (b, s): `first` is the flattened index of
  /// its first.
  void emitRow(ArrayRef<Value> indices, Value b, Value s, Value first, Value columns) const {
    if (e.target.hasWarps)
      return emitLanes(indices, b, s, first, columns);
    Value row = splatI32(toI32(s)), batch = splatI32(toI32(b)), streams = splatI32(streamWord());
    Value firstCall = e.div(first, 8);
    Value steps = vector::StepOp::create(e, VectorType::get(calls, e.getIndexType()));
    steps = arith::IndexCastOp::create(e, VectorType::get(calls, e.getI32Type()), steps);
    e.loop(e.index(0), columns, 8 * calls, [&](Value column) {
      Value call = arith::AddIOp::create(e, splatI32(toI32(e.add(firstCall, e.div(column, 8)))), steps);
      Value keep =
          buildKeepInOrder(e, buildPhilox(e, {call, row, batch, streams}, key), getDropoutThreshold(probability));
      for (int64_t part = 0; part < 8 * calls; part += e.lanes) {
        Value here = vector::ExtractStridedSliceOp::create(e, keep, ArrayRef<int64_t>{part}, ArrayRef<int64_t>{e.lanes},
                                                           ArrayRef<int64_t>{1});
        Value position = e.add(column, part);
        auto emit = [&](Value mask) {
          Value x = e.load(input, at(indices, position), mask);
          e.store(scaled(here, x, e.splat(0), e.splat(1 / (1 - probability))), out, at(indices, position), mask);
        };
        e.ifThen(
            e.compare(arith::CmpIPredicate::sle, e.add(position, e.lanes), columns), [&] { emit(Value()); },
            [&] { e.ifThen(e.less(position, columns), [&] { emit(e.maskFirst(e.sub(columns, position))); }); });
      }
    });
  }

  /// The same, one call an element: lanes of a warp cannot share one cheaply.
  void emitLanes(ArrayRef<Value> indices, Value b, Value s, Value first, Value columns) const {
    Value row = e.broadcast(toI32(s)), batch = e.broadcast(toI32(b)), streams = e.broadcast(streamWord());
    Value steps = vector::StepOp::create(e, e.vectorOf(e.getIndexType()));
    auto splat = [&](int64_t value) -> Value { return e.broadcast(e.index(value)); };
    e.columns(columns, [&](Value column, Value mask) {
      Value element = e.add(e.broadcast(e.add(first, column)), steps), half = e.rem(element, splat(8));
      Value call = arith::IndexCastUIOp::create(e, e.vectorOf(e.getI32Type()), e.div(element, splat(8)));
      std::array<Value, 4> words = buildPhilox(e, {call, row, batch, streams}, key, /*asPairs=*/false);
      Value keep = buildKeep(e, words, 0, getDropoutThreshold(probability));
      for (unsigned k = 1; k < 8; ++k)
        keep = e.select(e.equal(half, splat(k)), buildKeep(e, words, k, getDropoutThreshold(probability)), keep);
      Value x = e.load(input, at(indices, column), mask);
      e.store(scaled(keep, x, e.splat(0), e.splat(1 / (1 - probability))), out, at(indices, column), mask);
    });
  }

  /// Any row, one call an element: where a row does not start at a multiple of eight.
  void emitElements(ArrayRef<Value> indices, Value b, function_ref<std::pair<Value, Value>(Value)> position,
                    Value columns) const {
    e.loop(e.index(0), columns, 1, [&](Value column) {
      auto [s, element] = position(column);
      std::array<Value, 4> words = buildPhilox(e, {toI32(e.div(element, 8)), toI32(s), toI32(b), streamWord()}, key);
      Value half = e.rem(element, e.index(8)), keep = buildKeep(e, words, 0, getDropoutThreshold(probability));
      for (unsigned k = 1; k < 8; ++k)
        keep = e.select(e.equal(half, e.index(k)), buildKeep(e, words, k, getDropoutThreshold(probability)), keep);
      Value x = e.loadScalar(input, at(indices, column));
      e.storeScalar(scaled(keep, x, e.scalar(0), e.scalar(1 / (1 - probability))), out, at(indices, column));
    });
  }

  void emit() {
    auto type = cast<MemRefType>(input.getType());
    int64_t rank = type.getRank();
    Value columns = e.dim(input, rank - 1);
    Value base = offset ? offset : e.index(0);
    parallelRows(e, e.rows(input), columns, [&](Value row) {
      key = loadPhiloxKey(e, seed);
      Emitter::Values indices = e.rowIndices(input, row);
      if (rank == 2) // one element for each (b, s)
        return emitElements(
            indices, indices[0], [&](Value column) { return std::make_pair(e.add(column, base), e.index(0)); },
            columns);
      Value b = indices[0], s = e.add(indices[1], base), first = e.index(0);
      for (int64_t dim = 2; dim < rank - 1; ++dim)
        first = e.add(e.mul(first, e.dim(input, dim)), indices[dim]);
      first = e.mul(first, columns);
      if (rank == 3 || (!type.isDynamicDim(rank - 1) && type.getDimSize(rank - 1) % 8 == 0))
        return emitRow(indices, b, s, first, columns);
      emitElements(indices, b, [&](Value column) { return std::make_pair(s, e.add(first, column)); }, columns);
    });
  }
};
} // namespace

LogicalResult lowerDropout(DropoutOp op, KernelCache &kernels) {
  auto type = cast<MemRefType>(op.getInput().getType());
  KernelOperand operands[] = {{op.getInput(), type.getRank() - 1},
                              {op.getSeed(), 0},
                              {op.getPositionOffset(), 0},
                              {op.getOuts()[0], type.getRank() - 1}};
  double probability = op.getProbability().convertToDouble();
  return kernels.replace(
      op, "dropout", getAccumulatorType(type.getElementType()), operands, [&](Emitter &e, ArrayRef<Value> args) {
        Dropout{e, args[0], args[3], args[2], args[1], probability, static_cast<int64_t>(op.getStream())}.emit();
        return success();
      });
}

} // namespace bpt
