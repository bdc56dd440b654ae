// Contractions: any product of two operands with batch, row, column and reduction dims becomes matrix products on blocks.
#include "../Contractions.h"
#include "Gemm.h"
#include "Lowerings.h"
#include "mlir/Dialect/Linalg/IR/LinalgInterfaces.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace bpt {

namespace {

/// An operand and the loop dims that address it, in the order of its memory.
struct Operand {
  MemRefType type;
  SmallVector<unsigned> dims;

  bool has(unsigned dim) const { return llvm::is_contained(dims, dim); }
  bool isStatic1(unsigned dim) const {
    auto position = llvm::find(dims, dim);
    return position != dims.end() && type.getDimSize(position - dims.begin()) == 1;
  }
};

/// How a contraction becomes matrix products. Loop dims that no matrix takes are visited one by one: `parallel` ones by the
/// items, `sequential` ones (sums) within an item.
struct Plan {
  /// The left operand; C is [rows.., column] and the right operand the other one.
  unsigned left = 0;
  bool leftTransposed = false, rightTransposed = false;
  SmallVector<unsigned> rows, depth, parallel, sequential;
  std::optional<unsigned> column;
};

class Planner {
public:
  explicit Planner(SmallVector<Operand> operands) : operands(std::move(operands)) {}

  std::optional<Plan> get();

private:
  /// The loop dims of an operand that are not of static size 1, in the order of its memory.
  SmallVector<unsigned> getLongDims(const Operand &operand) const {
    SmallVector<unsigned> dims;
    for (unsigned dim : operand.dims)
      if (llvm::none_of(operands, [&](const Operand &other) { return other.isStatic1(dim); }))
        dims.push_back(dim);
    return dims;
  }
  bool isContiguous(const Operand &operand, std::optional<unsigned> dim) const {
    if (!dim)
      return true;
    SmallVector<int64_t> strides;
    int64_t offset;
    if (failed(operand.type.getStridesAndOffset(strides, offset)))
      return false;
    return strides[llvm::find(operand.dims, *dim) - operand.dims.begin()] == 1;
  }

  SmallVector<Operand> operands;
};

} // namespace

static std::optional<unsigned> getLast(ArrayRef<unsigned> dims) {
  return dims.empty() ? std::nullopt : std::optional<unsigned>(dims.back());
}
static SmallVector<unsigned> filter(ArrayRef<unsigned> dims, function_ref<bool(unsigned)> keep) {
  return llvm::to_vector(llvm::make_filter_range(dims, keep));
}

std::optional<Plan> Planner::get() {
  const Operand &out = operands[2];
  SmallVector<unsigned> outDims = getLongDims(out);
  Plan plan;
  plan.column = getLast(outDims);
  if (!isContiguous(out, plan.column))
    return std::nullopt;
  // The columns of C are columns of the right operand.
  if (plan.column)
    plan.left = operands[0].has(*plan.column);
  const Operand &left = operands[plan.left], &right = operands[1 - plan.left];
  if (plan.column && (left.has(*plan.column) || !right.has(*plan.column)))
    return std::nullopt;

  SmallVector<unsigned> leftDims = getLongDims(left), rightDims = getLongDims(right);
  auto isDepth = [&](unsigned dim) { return left.has(dim) && right.has(dim) && !out.has(dim); };
  auto isRow = [&](unsigned dim) { return left.has(dim) && !right.has(dim) && out.has(dim); };
  for (ArrayRef<unsigned> dims : {ArrayRef(leftDims), ArrayRef(rightDims), ArrayRef(outDims)})
    for (unsigned dim : dims)
      if (left.has(dim) + right.has(dim) + out.has(dim) < 2)
        return std::nullopt; // summed or copied along a dim of one operand only
  std::optional<unsigned> leftLast = getLast(leftDims), rightLast = getLast(rightDims);
  if (!isContiguous(left, leftLast) || !isContiguous(right, rightLast))
    return std::nullopt;

  SmallVector<unsigned> rows = filter(outDims, isRow), depth = filter(leftDims, isDepth);
  // Left operand: stored by rows with the depth inside, or the other way round.
  if (leftLast && isDepth(*leftLast)) {
    depth = {*leftLast};
    if (rows != filter(leftDims, isRow) && !rows.empty())
      rows = {rows.back()};
  } else if (leftLast) {
    if (!isRow(*leftLast))
      return std::nullopt;
    plan.leftTransposed = true;
    rows = {*leftLast};
  }
  // Right operand: stored by depth with the columns inside, or the other way round.
  if (rightLast && isDepth(*rightLast)) {
    plan.rightTransposed = true;
    if (!plan.leftTransposed && leftLast && depth[0] != *rightLast)
      return std::nullopt;
    depth = {*rightLast};
  } else if (rightLast) {
    if (plan.column != rightLast)
      return std::nullopt;
    // Several depth dims count as one only in the same order.
    if (depth.size() > 1 && depth != filter(rightDims, isDepth))
      depth = {depth.back()};
  }
  plan.rows = rows;
  plan.depth = depth;
  llvm::SetVector<unsigned> all;
  for (ArrayRef<unsigned> dims : {ArrayRef(outDims), ArrayRef(leftDims)})
    all.insert(dims.begin(), dims.end());
  for (unsigned dim : all) {
    if (llvm::is_contained(rows, dim) || llvm::is_contained(depth, dim) || plan.column == dim)
      continue;
    (out.has(dim) ? plan.parallel : plan.sequential).push_back(dim);
  }
  return plan;
}

//===--- emission ------------------------------------------------------------------------------------------------------===//

namespace {
/// Emits the kernel of a plan.
class ContractionEmitter {
public:
  ContractionEmitter(Emitter &e, KernelCache &kernels, Type operand, const Plan &plan,
                     ArrayRef<SmallVector<unsigned>> dims, ArrayRef<Value> memrefs, bool overwrite)
      : e(e), gemm(e, kernels, operand), plan(plan), dims(dims), memrefs(memrefs), overwrite(overwrite) {}
  void emit();

private:
  void emitOne(Value m, Value n);
  /// A constant where any operand knows it.
  Value getSize(unsigned dim) {
    Value size;
    for (auto [memref, own] : llvm::zip_equal(memrefs, dims))
      for (auto [position, candidate] : llvm::enumerate(own))
        if (candidate == dim && (!size || !cast<MemRefType>(memref.getType()).isDynamicDim(position)))
          size = e.dim(memref, position);
    return size;
  }
  Value getSize(ArrayRef<unsigned> several) {
    Value size = e.index(1);
    for (unsigned dim : several)
      size = e.mul(size, getSize(dim));
    return size;
  }
  /// Values of the loop dims `several` at position `item` in row-major order.
  void setIndices(ArrayRef<unsigned> several, Value item) {
    for (unsigned dim : llvm::reverse(several)) {
      Value size = getSize(dim);
      fixed[dim] = dim == several.front() ? item : e.rem(item, size);
      item = e.div(item, size);
    }
  }
  /// The operand at the fixed indices: what is left are the dims of the matrix.
  Value slice(unsigned operand, ArrayRef<unsigned> kept);
  Matrix getLeft();
  Matrix getRight();
  Value getOut();
  void addProducts(Gemm::Block block, Value sums);
  /// What becomes of the sums of a block; `isFirst` (i1): these are the first of several parts, null: the only ones.
  void store(Gemm::Block block, Value sums, Value isFirst = {});

  Emitter &e;
  Gemm gemm;
  const Plan &plan;
  ArrayRef<SmallVector<unsigned>> dims;
  ArrayRef<Value> memrefs;
  bool overwrite;
  llvm::DenseMap<unsigned, Value> fixed;
};
} // namespace

Value ContractionEmitter::slice(unsigned operand, ArrayRef<unsigned> kept) {
  Value memref = memrefs[operand];
  auto type = cast<MemRefType>(memref.getType());
  SmallVector<OpFoldResult> offsets, sizes, strides(type.getRank(), e.getIndexAttr(1));
  SmallVector<int64_t> shape;
  for (auto [position, dim] : llvm::enumerate(dims[operand])) {
    if (llvm::is_contained(kept, dim)) {
      offsets.push_back(e.getIndexAttr(0));
      sizes.push_back(getAsOpFoldResult(e.dim(memref, position)));
      shape.push_back(type.getDimSize(position));
      continue;
    }
    // Dims of static size 1 are not loops.
    Value index = fixed.lookup(dim);
    offsets.push_back(index ? getAsOpFoldResult(index) : e.getIndexAttr(0));
    sizes.push_back(e.getIndexAttr(1));
  }
  if (shape.empty()) { // one element: keep a dim for vectors of one lane
    shape.push_back(1);
    if (type.getRank() == 0)
      return memref::ReinterpretCastOp::create(e, MemRefType::get(shape, type.getElementType()), memref, e.getIndexAttr(0),
                                               ArrayRef<OpFoldResult>{e.getIndexAttr(1)}, ArrayRef<OpFoldResult>{e.getIndexAttr(1)});
  }
  if (static_cast<int64_t>(shape.size()) == type.getRank())
    return memref;
  auto result = memref::SubViewOp::inferRankReducedResultType(shape, type, offsets, sizes, strides);
  return memref::SubViewOp::create(e, result, memref, offsets, sizes, strides);
}

Matrix ContractionEmitter::getLeft() {
  SmallVector<unsigned> kept(plan.rows);
  llvm::append_range(kept, plan.depth);
  return {collapseRows(e, slice(plan.left, kept)), plan.leftTransposed};
}

Matrix ContractionEmitter::getRight() {
  SmallVector<unsigned> kept(plan.depth);
  if (plan.column)
    kept.push_back(*plan.column);
  return {collapseRows(e, slice(1 - plan.left, kept)), plan.rightTransposed};
}

Value ContractionEmitter::getOut() {
  SmallVector<unsigned> kept(plan.rows);
  if (plan.column)
    kept.push_back(*plan.column);
  return collapseRows(e, slice(2, kept));
}

void ContractionEmitter::addProducts(Gemm::Block block, Value sums) {
  e.loop(e.index(0), getSize(plan.sequential), 1, [&](Value position) {
    setIndices(plan.sequential, position);
    gemm.accumulate(sums, getLeft().dropRows(e, block.row), getRight().dropColumns(e, block.column), block.rows, block.columns,
                    getSize(plan.depth));
  });
}

void ContractionEmitter::store(Gemm::Block block, Value sums, Value isFirst) {
  Value out = getOut();
  auto rows = [&](bool overwrite) {
    e.loop(e.index(0), block.rows, 1, [&](Value row) {
      SmallVector<Value> to = e.rowIndices(out, e.add(block.row, row));
      e.columns(block.columns, [&](Value column, Value mask) {
        SmallVector<Value> position(to);
        position.push_back(e.add(block.column, column));
        Value sum = e.load(sums, {row, column});
        if (!overwrite)
          sum = e.addf(e.load(out, position, mask), sum);
        e.store(sum, out, position, mask);
      });
    });
  };
  if (!isFirst || !overwrite)
    return rows(overwrite);
  e.ifThen(isFirst, [&] { rows(true); }, [&] { rows(false); });
}

void ContractionEmitter::emit() {
  Value m = getSize(plan.rows), n = plan.column ? getSize(*plan.column) : e.index(1);
  if (plan.parallel.empty() && plan.sequential.empty())
    return emitOne(m, n);
  gemm.parallelBlocks(getSize(plan.parallel), m, n, 1, [&](Gemm::Block block, ArrayRef<Value> blocks) {
    setIndices(plan.parallel, block.matrix);
    gemm.clear(blocks[0], block.rows, block.columns);
    addProducts(block, blocks[0]);
    store(block, blocks[0]);
  });
}

/// A single product; where the destination can keep the sums, of parts of the depth one after the other.
void ContractionEmitter::emitOne(Value m, Value n) {
  Value depth = getSize(plan.depth), out = getOut();
  auto addPart = [&](Value first, Value length, Value isFirst) {
    Gemm::Product product{0, getLeft().dropColumns(e, first), getRight().dropRows(e, first), length};
    if (gemm.canGrowIn(out, n)) {
      Gemm::Destination destination{out, e.index(0), overwrite ? isFirst : e.bit(false)};
      return gemm.parallelProducts(
          m, n, 1, product, [](Gemm::Block, ArrayRef<Value>) {}, Gemm::ProductOptions::growing(destination));
    }
    auto body = [&](Gemm::Block block, ArrayRef<Value> blocks) { store(block, blocks[0], isFirst); };
    gemm.parallelProducts(m, n, 1, product, body, Gemm::ProductOptions::writing({out}));
  };
  if (cast<MemRefType>(memrefs[2].getType()).getElementType() != e.accumulator)
    return addPart(e.index(0), depth, {});
  gemm.visitDepthParts(depth, [&](Value first, Value length) { addPart(first, length, e.equal(first, e.index(0))); });
}

//===--- the op --------------------------------------------------------------------------------------------------------===//

LogicalResult lowerContraction(linalg::LinalgOp op, KernelCache &kernels) {
  SmallVector<KernelOperand> operands;
  SmallVector<Operand> types;
  SmallVector<SmallVector<unsigned>> dims;
  std::string key;
  llvm::raw_string_ostream stream(key);
  for (OpOperand &operand : op->getOpOperands()) {
    AffineMap map = op.getMatchingIndexingMap(&operand);
    stream << map << " ";
    dims.emplace_back();
    for (AffineExpr expr : map.getResults())
      dims.back().push_back(cast<AffineDimExpr>(expr).getPosition());
    // Lengths other than the innermost are dynamic: the kernel serves every batch and sequence.
    operands.push_back({operand.get(), std::max<int64_t>(map.getNumResults(), 1) - 1});
    types.push_back({cast<MemRefType>(getKernelType(operand.get().getType(), operands.back().dynamicDims)), dims.back()});
  }
  std::optional<Plan> plan = Planner(types).get();
  if (!plan) // an operand without contiguous rows: plain loops
    return lowerElementwise(op, kernels);
  Operation *fill = findZeroFill(op);
  stream << (fill ? "overwrite" : "add");
  Type operand = getProductOperandType(op);
  auto body = [&](Emitter &e, ArrayRef<Value> args) {
    ContractionEmitter(e, kernels, operand, *plan, dims, args, fill).emit();
    return success();
  };
  if (failed(kernels.replace(op, "bpt_contraction", getAccumulatorType(operand), operands, body, key)))
    return failure();
  if (fill)
    fill->erase();
  return success();
}

} // namespace bpt
