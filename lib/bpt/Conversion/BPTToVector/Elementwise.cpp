// Elementwise, broadcasting and reducing linalg ops on memrefs: loops over vectors along a contiguous dim, scalars where there
// is none. Parallel only over dims of the result; every sum runs in the order of the loops.
#include "Body.h"
#include "Lowerings.h"
#include "mlir/Analysis/SliceAnalysis.h"
#include "mlir/Dialect/Affine/Utils.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;

namespace bpt {

/// Iterations of one work item: below that, a second thread costs more than it brings.
static constexpr int64_t iterationsPerItem = 16384, mostItems = 256;
/// Vectors whose sums over an outer dim advance together, so that rows are read a few cache lines at a time.
static constexpr int64_t vectorsTogether = 4;

namespace {

/// Which loop dim runs along the lanes.
enum class Lanes { None, Parallel, Reduction };

struct Nest {
  linalg::LinalgOp op;
  SmallVector<AffineMap> maps;
  SmallVector<MemRefType> types; ///< null for scalar operands
  SmallVector<unsigned> parallel, reduction;
  Lanes lanes = Lanes::None;
  unsigned vectorDim = 0;
  /// Combiners of the results when lanes run along a reduction.
  SmallVector<Operation *> combiners;

  bool usesDim(unsigned operand, unsigned dim) const { return maps[operand].isFunctionOfDim(dim); }
  /// Whether the lanes along `dim` are consecutive in memory, or all the same element.
  bool isVectorizable(unsigned operand, unsigned dim) const;
  void chooseLanes();
};

/// Emits the loops of a nest.
class NestEmitter {
public:
  NestEmitter(Emitter &e, const Nest &nest, ArrayRef<Value> operands, ArrayRef<std::pair<Value, Value>> outside)
      : e(e), nest(nest), op(nest.op), operands(operands), outside(outside), indices(nest.maps[0].getNumDims()) {}
  void emit();

private:
  Value getSize(unsigned dim);
  SmallVector<Value> getIndices(unsigned operand);
  Value load(unsigned operand, bool vector, Value mask);
  /// The body at the current indices: inputs are loaded, outs have the values given.
  SmallVector<Value> evaluate(ValueRange outs, bool vector, Value mask);
  /// The loops over `dims`, outermost first, around one evaluation.
  SmallVector<Value> reduce(ArrayRef<unsigned> dims, ValueRange outs, function_ref<SmallVector<Value>(ValueRange)> inner);
  /// Everything for one position of the outer parallel dims, columns [begin, end) of the vector dim if that is parallel.
  void emitRow(Value begin, Value end);
  void emitVectors(Value column, ArrayRef<Value> masks);
  void emitLaneReduction();
  void emitScalar();
  unsigned numInputs() { return op.getNumDpsInputs(); }
  unsigned numOuts() { return op.getNumDpsInits(); }

  Emitter &e;
  const Nest &nest;
  linalg::LinalgOp op;
  ArrayRef<Value> operands;
  ArrayRef<std::pair<Value, Value>> outside;
  SmallVector<Value> indices;
};

} // namespace

//===--- the nest ------------------------------------------------------------------------------------------------------===//

bool Nest::isVectorizable(unsigned operand, unsigned dim) const {
  MemRefType type = types[operand];
  if (!type || !usesDim(operand, dim))
    return true;
  AffineMap map = maps[operand];
  auto last = dyn_cast<AffineDimExpr>(map.getResults().back());
  if (!last || last.getPosition() != dim || map.dropResults(map.getNumResults() - 1).isFunctionOfDim(dim))
    return false;
  return type.isLastDimUnitStride() && (!type.getElementType().isIntOrFloat() || type.getElementTypeBitWidth() % 8 == 0);
}

void Nest::chooseLanes() {
  auto fits = [&](unsigned dim) {
    return llvm::all_of(llvm::seq<unsigned>(0, maps.size()), [&](unsigned i) { return isVectorizable(i, dim); });
  };
  // Scalars for booleans, which are packed in vectors, and for narrow integers: LLVM 22 makes a masked store of one truncated lane a
  // store of all its bits.
  for (MemRefType type : types)
    if (type && type.getElementType().isInteger() && type.getElementTypeBitWidth() < 32)
      return;
  for (unsigned dim : llvm::reverse(parallel)) {
    bool inAllOuts = llvm::all_of(llvm::seq<unsigned>(op.getNumDpsInputs(), maps.size()),
                                  [&](unsigned i) { return usesDim(i, dim); });
    if (inAllOuts && fits(dim)) {
      lanes = Lanes::Parallel;
      vectorDim = dim;
      return;
    }
  }
  // Sums along the lanes: only for combiners with a neutral element.
  for (unsigned i = 0; i < op.getNumDpsInits(); ++i) {
    SmallVector<Operation *> chain;
    Value reduced = matchReduction(op.getRegionOutputArgs(), i, chain);
    if (!reduced || chain.size() != 1 || !arith::getNeutralElement(chain[0]))
      return;
    combiners.push_back(chain[0]);
  }
  for (unsigned dim : llvm::reverse(reduction))
    if (fits(dim) && !op.hasIndexSemantics()) {
      lanes = Lanes::Reduction;
      vectorDim = dim;
      return;
    }
}

//===--- emission ------------------------------------------------------------------------------------------------------===//

Value NestEmitter::getSize(unsigned dim) {
  for (auto [operand, map] : llvm::zip_equal(operands, nest.maps))
    for (auto [position, expr] : llvm::enumerate(map.getResults()))
      if (auto own = dyn_cast<AffineDimExpr>(expr); own && own.getPosition() == dim)
        return e.dim(operand, position);
  llvm_unreachable("checked before: every loop dim is a dim of an operand");
}

SmallVector<Value> NestEmitter::getIndices(unsigned operand) {
  SmallVector<Value> result;
  for (AffineExpr expr : nest.maps[operand].getResults()) {
    if (auto dim = dyn_cast<AffineDimExpr>(expr))
      result.push_back(indices[dim.getPosition()]);
    else if (auto constant = dyn_cast<AffineConstantExpr>(expr))
      result.push_back(e.index(constant.getValue()));
    else
      result.push_back(affine::expandAffineExpr(e, e.getLoc(), expr, indices, {}));
  }
  return result;
}

Value NestEmitter::load(unsigned operand, bool vector, Value mask) {
  if (!nest.types[operand])
    return e.expand(operands[operand]);
  if (vector && nest.usesDim(operand, nest.vectorDim))
    return e.load(operands[operand], getIndices(operand), mask);
  return e.loadScalar(operands[operand], getIndices(operand));
}

SmallVector<Value> NestEmitter::evaluate(ValueRange outs, bool vector, Value mask) {
  Body body(e, op, vector);
  body.setIndices(indices, vector ? nest.vectorDim : -1);
  for (auto [from, to] : outside)
    body.setOutside(from, to);
  SmallVector<Value> arguments;
  for (unsigned i = 0; i < numInputs(); ++i) {
    bool used = !op.getBlock()->getArgument(i).use_empty();
    arguments.push_back(used ? load(i, vector, mask) : Value());
  }
  llvm::append_range(arguments, outs);
  SmallVector<Value> results = body.evaluate(arguments);
  for (Value &result : results)
    if (vector && !isa<VectorType>(result.getType()))
      result = e.broadcast(result);
  return results;
}

SmallVector<Value> NestEmitter::reduce(ArrayRef<unsigned> dims, ValueRange outs,
                                       function_ref<SmallVector<Value>(ValueRange)> inner) {
  if (dims.empty())
    return inner(outs);
  return e.loop(e.index(0), getSize(dims[0]), 1, outs, [&](Value i, ValueRange carried) {
    indices[dims[0]] = i;
    return reduce(dims.drop_front(), carried, inner);
  });
}

/// Vectors from `column` on, one for each mask (null: full); the outs advance through the reduction together.
void NestEmitter::emitVectors(Value column, ArrayRef<Value> masks) {
  SmallVector<Value> columns, outs;
  for (unsigned v = 0; v < masks.size(); ++v)
    columns.push_back(e.add(column, v * e.lanes));
  for (auto [position, mask] : llvm::zip_equal(columns, masks)) {
    indices[nest.vectorDim] = position;
    for (unsigned i = 0; i < numOuts(); ++i) {
      bool used = !op.getRegionOutputArgs()[i].use_empty();
      Type element = nest.types[numInputs() + i].getElementType();
      Type type = isa<FloatType>(element) ? e.accumulator : element;
      if (used)
        outs.push_back(load(numInputs() + i, true, mask));
      else
        outs.push_back(arith::ConstantOp::create(e, e.getZeroAttr(e.vectorOf(type))));
    }
  }
  outs = reduce(nest.reduction, outs, [&](ValueRange carried) {
    SmallVector<Value> next;
    for (unsigned v = 0; v < masks.size(); ++v) {
      indices[nest.vectorDim] = columns[v];
      llvm::append_range(next, evaluate(carried.slice(v * numOuts(), numOuts()), true, masks[v]));
    }
    return next;
  });
  for (unsigned v = 0; v < masks.size(); ++v) {
    indices[nest.vectorDim] = columns[v];
    for (unsigned i = 0; i < numOuts(); ++i)
      e.store(outs[v * numOuts() + i], operands[numInputs() + i], getIndices(numInputs() + i), masks[v]);
  }
}

void NestEmitter::emitLaneReduction() {
  SmallVector<unsigned> outer = llvm::to_vector(
      llvm::make_filter_range(nest.reduction, [&](unsigned dim) { return dim != nest.vectorDim; }));
  // Accumulators in the type of registers; lanes beyond the end keep what they have.
  SmallVector<Value> sums;
  for (Operation *combiner : nest.combiners) {
    TypedAttr neutral = *arith::getNeutralElement(combiner);
    Value scalar;
    if (auto value = dyn_cast<FloatAttr>(neutral))
      scalar = e.scalar(value.getValue().isInfinity()
                            ? (value.getValue().isNegative() ? -1 : 1) * std::numeric_limits<double>::infinity()
                            : value.getValueAsDouble());
    else
      scalar = arith::ConstantOp::create(e, neutral);
    sums.push_back(e.broadcast(scalar));
  }
  sums = reduce(outer, sums, [&](ValueRange carried) {
    return e.columns(getSize(nest.vectorDim), carried, [&](Value column, Value mask, ValueRange before) {
      indices[nest.vectorDim] = column;
      SmallVector<Value> next = evaluate(before, true, mask);
      if (mask)
        for (auto [value, old] : llvm::zip_equal(next, before))
          value = arith::SelectOp::create(e, mask, value, old);
      return next;
    });
  });
  Body body(e, op, false);
  for (unsigned i = 0; i < numOuts(); ++i) {
    // Halves of the vector are combined until one lane is left, then what the out held before.
    Value vector = sums[i];
    auto combine = [&](Value a, Value b) {
      OperationState state(e.getLoc(), nest.combiners[i]->getName(), {a, b}, {a.getType()}, nest.combiners[i]->getAttrs());
      return e.create(state)->getResult(0);
    };
    for (int64_t n = e.lanes / 2; n > 0; n /= 2) {
      auto slice = [&](int64_t from) -> Value {
        return vector::ExtractStridedSliceOp::create(e, vector, ArrayRef<int64_t>{from}, ArrayRef<int64_t>{n}, ArrayRef<int64_t>{1});
      };
      vector = combine(slice(0), slice(n));
    }
    Value sum = vector::ExtractOp::create(e, vector, ArrayRef<int64_t>{0});
    unsigned out = numInputs() + i;
    e.storeScalar(combine(load(out, false, {}), sum), operands[out], getIndices(out));
  }
}

void NestEmitter::emitScalar() {
  SmallVector<Value> outs;
  for (unsigned i = 0; i < numOuts(); ++i)
    outs.push_back(load(numInputs() + i, false, {}));
  outs = reduce(nest.reduction, outs, [&](ValueRange carried) { return evaluate(carried, false, {}); });
  for (unsigned i = 0; i < numOuts(); ++i)
    e.storeScalar(outs[i], operands[numInputs() + i], getIndices(numInputs() + i));
}

void NestEmitter::emitRow(Value begin, Value end) {
  if (nest.lanes == Lanes::Reduction)
    return emitLaneReduction();
  if (nest.lanes == Lanes::None)
    return emitScalar();
  if (!nest.reduction.empty()) {
    Value step = e.index(vectorsTogether * e.lanes), start = begin;
    Value together = e.add(start, e.mul(e.div(e.sub(end, start), step), step));
    e.loop(start, together, vectorsTogether * e.lanes,
           [&](Value column) { emitVectors(column, SmallVector<Value>(vectorsTogether)); });
    begin = together;
  }
  e.columns(e.sub(end, begin), [&](Value column, Value mask) { emitVectors(e.add(begin, column), {mask}); });
}

void NestEmitter::emit() {
  SmallVector<unsigned> outer;
  for (unsigned dim : nest.parallel)
    if (nest.lanes != Lanes::Parallel || dim != nest.vectorDim)
      outer.push_back(dim);
  Value rows = e.index(1), inner = e.index(1), columns = e.index(1);
  for (unsigned dim : outer)
    rows = e.mul(rows, getSize(dim));
  for (unsigned dim : nest.reduction)
    inner = e.mul(inner, getSize(dim));
  if (nest.lanes == Lanes::Parallel)
    columns = getSize(nest.vectorDim);

  // Items: a share of the rows, or of the columns where there are few rows.
  Value work = e.mul(e.mul(rows, columns), inner);
  Value wanted = e.max(e.min(e.div(work, iterationsPerItem), mostItems), 1);
  Value perRow = e.max(e.div(wanted, e.max(rows, 1)), 1);
  Value width = e.roundUp(e.ceilDiv(columns, perRow), nest.lanes == Lanes::Parallel ? vectorsTogether * e.lanes : 1);
  width = e.max(width, 1);
  Value parts = e.ceilDiv(columns, width);
  Value rowsPerItem = e.max(e.ceilDiv(e.mul(rows, parts), wanted), 1);
  rowsPerItem = e.select(e.less(e.index(1), parts), e.index(1), rowsPerItem);
  Value shares = e.ceilDiv(rows, rowsPerItem);
  e.parallel(e.mul(shares, parts), [&](Value item) {
    Value first = e.mul(e.div(item, parts), rowsPerItem);
    Value begin = e.mul(e.rem(item, parts), width), end = e.min(e.add(begin, width), columns);
    e.loop(first, e.min(e.add(first, rowsPerItem), rows), 1, [&](Value row) {
      for (unsigned dim : llvm::reverse(outer)) {
        indices[dim] = dim == outer.front() ? row : e.rem(row, getSize(dim));
        if (dim != outer.front())
          row = e.div(row, getSize(dim));
      }
      emitRow(begin, end);
    });
  });
}

//===--- ops -----------------------------------------------------------------------------------------------------------===//

/// All operands are whole memrefs of one shape, addressed alike: one long row.
static bool isFlat(Nest &nest) {
  for (auto [type, map] : llvm::zip_equal(nest.types, nest.maps)) {
    if (!type)
      continue;
    if (!map.isIdentity() || !type.getLayout().isIdentity())
      return false;
  }
  return nest.reduction.empty() && nest.parallel.size() > 1 && !nest.op.hasIndexSemantics();
}

static Type getNestAccumulator(linalg::LinalgOp op) {
  auto isWide = [](Type type) { return getElementTypeOrSelf(type).isF64(); };
  bool wide = llvm::any_of(op->getOperandTypes(), isWide);
  op.getBlock()->walk([&](Operation *inner) { wide |= llvm::any_of(inner->getResultTypes(), isWide); });
  return wide ? Type(Float64Type::get(op.getContext())) : Type(Float32Type::get(op.getContext()));
}

static LogicalResult fillNest(Nest &nest) {
  linalg::LinalgOp op = nest.op;
  op.getParallelDims(nest.parallel);
  op.getReductionDims(nest.reduction);
  if (nest.parallel.size() + nest.reduction.size() != op.getNumLoops())
    return op->emitError("expected parallel and reduction loops only");
  llvm::SmallBitVector sized(op.getNumLoops());
  for (AffineMap map : nest.maps)
    for (AffineExpr expr : map.getResults())
      if (auto dim = dyn_cast<AffineDimExpr>(expr))
        sized.set(dim.getPosition());
  if (!sized.all())
    return op->emitError("expected every loop dim to be a dim of an operand");
  return Body::check(op);
}

LogicalResult lowerElementwise(linalg::LinalgOp op, KernelCache &kernels) {
  Nest nest;
  nest.op = op;
  SmallVector<KernelOperand> operands;
  for (OpOperand &operand : op->getOpOperands()) {
    nest.maps.push_back(op.getMatchingIndexingMap(&operand));
    auto type = dyn_cast<MemRefType>(operand.get().getType());
    if (!type && isa<ShapedType>(operand.get().getType()))
      return op->emitError("expected operands to be memrefs or scalars; bufferize first");
    operands.push_back({operand.get(), type ? type.getRank() - 1 : 0});
    nest.types.push_back(type);
  }
  if (failed(fillNest(nest)))
    return failure();
  bool flat = isFlat(nest);
  if (flat) {
    OpBuilder builder(op);
    unsigned rank = op.getNumLoops();
    ReassociationIndices all = llvm::to_vector(llvm::seq<int64_t>(0, rank));
    for (auto [operand, type, map] : llvm::zip_equal(operands, nest.types, nest.maps)) {
      if (!type)
        continue;
      operand.value = memref::CollapseShapeOp::create(builder, op->getLoc(), operand.value, SmallVector<ReassociationIndices>{all});
      operand.dynamicDims = 1;
      map = AffineMap::getMultiDimIdentityMap(1, op.getContext());
    }
    for (auto &map : nest.maps)
      if (map.getNumResults() == 0)
        map = AffineMap::get(1, 0, op.getContext());
    nest.parallel = {0};
  }
  for (auto [operand, type] : llvm::zip_equal(operands, nest.types))
    if (type)
      type = cast<MemRefType>(getKernelType(operand.value.getType(), operand.dynamicDims));
  nest.chooseLanes();

  SmallVector<Value> outside;
  std::string key = Body::print(op, outside);
  llvm::raw_string_ostream stream(key);
  for (AffineMap map : nest.maps)
    stream << map;
  for (utils::IteratorType type : op.getIteratorTypesArray())
    stream << utils::stringifyEnum(type);
  unsigned count = operands.size();
  for (Value value : outside)
    operands.push_back({value});
  auto body = [&](Emitter &e, ArrayRef<Value> args) {
    SmallVector<std::pair<Value, Value>> inside;
    for (auto [from, to] : llvm::zip_equal(outside, args.drop_front(count)))
      inside.push_back({from, e.expand(to)});
    NestEmitter(e, nest, args.take_front(count), inside).emit();
    return success();
  };
  return kernels.replace(op, "bpt_elementwise", getNestAccumulator(op), operands, body, key);
}

LogicalResult lowerCopy(memref::CopyOp op, KernelCache &kernels) {
  auto type = cast<MemRefType>(op.getTarget().getType());
  OpBuilder builder(op);
  AffineMap identity = builder.getMultiDimIdentityMap(type.getRank());
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  auto copy = linalg::GenericOp::create(builder, op.getLoc(), ValueRange{op.getSource()}, ValueRange{op.getTarget()},
                                        ArrayRef<AffineMap>{identity, identity}, iterators,
                                        [](OpBuilder &b, Location loc, ValueRange arguments) {
                                          linalg::YieldOp::create(b, loc, arguments[0]);
                                        });
  op.erase();
  return lowerElementwise(cast<linalg::LinalgOp>(copy.getOperation()), kernels);
}

} // namespace bpt
