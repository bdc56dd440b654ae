// Contractions of bf16 and f16 operands: their dims become rows, columns, depth and loops of one matrix product.
//
// Dims that two operands have in common are merged where both have them next to each other at one stride. The last of
// the merged ones is the dim of the matrix; those before it are parallel loops (rows, columns, batches) or sequential
// ones (depth), which tensor maps walk as dims of their own: operands may be slices and transposes of anything.
#include "../Contractions.h"
#include "GemmEpilogues.h"
#include "Lowerings.h"
#include "Operands.h"

using namespace mlir;

namespace bpt::hopper {

namespace {
/// An operand and the loop dims that address it, in the order of its memory; without those of size 1.
struct Operand {
  MemRefType type;
  SmallVector<unsigned> dims;
  /// Position in the memref of each loop dim.
  llvm::DenseMap<unsigned, unsigned> positions;

  bool has(unsigned dim) const { return positions.contains(dim); }
  std::optional<unsigned> getLast() const { return dims.empty() ? std::nullopt : std::optional(dims.back()); }
  /// Whether `inner` comes right after `outer` in memory, at one stride.
  bool areTogether(unsigned outer, unsigned inner) const {
    const auto *at = llvm::find(dims, outer);
    return at != dims.end() && std::next(at) != dims.end() && *std::next(at) == inner &&
           areMergeable(type, positions.lookup(outer), positions.lookup(inner));
  }
};

/// Loop dims that are one dim of the product.
using Group = SmallVector<unsigned>;

class Planner {
public:
  /// Why the contraction has no kernel; empty when it has.
  std::string plan(linalg::LinalgOp op);

  std::array<Operand, 3> operands; ///< left and right operand of the product, C
  std::array<unsigned, 3> numbers; ///< which operands of the op these are
  Group rows, columns, depth;
  SmallVector<Group> parallel, sequential;

private:
  std::string refuseTypes() const;
  bool isIn(unsigned dim, bool left, bool right, bool out) const {
    return operands[0].has(dim) == left && operands[1].has(dim) == right && operands[2].has(dim) == out;
  }
  /// Merges the dims of one kind, in the order of operand `order`.
  SmallVector<Group> merge(unsigned order, bool left, bool right, bool out) const;
};
} // namespace

static SmallVector<unsigned> getLoopDims(AffineMap map) {
  SmallVector<unsigned> dims;
  for (AffineExpr expr : map.getResults())
    dims.push_back(cast<AffineDimExpr>(expr).getPosition());
  return dims;
}

SmallVector<Group> Planner::merge(unsigned order, bool left, bool right, bool out) const {
  SmallVector<Group> groups;
  for (unsigned dim : operands[order].dims) {
    if (!isIn(dim, left, right, out))
      continue;
    bool together = !groups.empty() && llvm::all_of(operands, [&](const Operand &operand) {
      return !operand.has(dim) || operand.areTogether(groups.back().back(), dim);
    });
    if (together)
      groups.back().push_back(dim);
    else
      groups.push_back({dim});
  }
  return groups;
}

std::string Planner::refuseTypes() const {
  Type element = operands[0].type.getElementType(), out = operands[2].type.getElementType();
  if ((!element.isBF16() && !element.isF16()) || element != operands[1].type.getElementType() ||
      (out != element && !out.isF32()))
    return "tensor cores multiply bf16 or f16 into the same or f32";
  for (const Operand &operand : operands)
    if (!isWalkable(operand.type))
      return "a row is not contiguous or no known multiple of 16 bytes apart from the next";
  return "";
}

std::string Planner::plan(linalg::LinalgOp op) {
  llvm::SmallDenseSet<unsigned> shortDims;
  for (OpOperand &operand : op->getOpOperands())
    for (auto [dim, size] : llvm::zip_equal(getLoopDims(op.getMatchingIndexingMap(&operand)),
                                            cast<MemRefType>(operand.get().getType()).getShape()))
      if (size == 1)
        shortDims.insert(dim);
  for (OpOperand &operand : op->getOpOperands()) {
    Operand &mine = operands[operand.getOperandNumber()];
    mine.type = cast<MemRefType>(operand.get().getType());
    for (auto [position, dim] : llvm::enumerate(getLoopDims(op.getMatchingIndexingMap(&operand))))
      if (!shortDims.contains(dim)) {
        mine.dims.push_back(dim);
        mine.positions[dim] = position;
      }
  }
  numbers = {0, 1, 2};
  std::optional<unsigned> column = operands[2].getLast();
  if (!column)
    return "the result is one element";
  // The columns of C are columns of the right operand.
  if (operands[0].has(*column)) {
    std::swap(operands[0], operands[1]);
    std::swap(numbers[0], numbers[1]);
  }
  if (operands[0].has(*column) || !operands[1].has(*column))
    return "the columns of the result are a batch";
  for (const Operand &operand : operands)
    for (unsigned dim : operand.dims)
      if (operands[0].has(dim) + operands[1].has(dim) + operands[2].has(dim) < 2)
        return "a dim of one operand only";
  if (std::string reason = refuseTypes(); !reason.empty())
    return reason;

  SmallVector<Group> batches = merge(2, true, true, true), allRows = merge(2, true, false, true),
                     allColumns = merge(2, false, true, true), allDepth = merge(0, true, true, false);
  auto takeLast = [](SmallVector<Group> &groups, Group &last) {
    if (!groups.empty())
      last = groups.pop_back_val();
  };
  takeLast(allRows, rows);
  takeLast(allColumns, columns);
  // The depth inside of the right operand may be another one than that of the left operand.
  for (auto [i, group] : llvm::enumerate(allDepth))
    if (group.back() == operands[1].getLast()) {
      std::rotate(allDepth.begin() + i, allDepth.begin() + i + 1, allDepth.end());
      break;
    }
  takeLast(allDepth, depth);
  for (auto [operand, main] : {std::pair(&operands[0], &rows), {&operands[1], &columns}}) {
    std::optional<unsigned> last = operand->getLast();
    if (!last || ((main->empty() || main->back() != *last) && (depth.empty() || depth.back() != *last)))
      return "no dim of the product is contiguous in an operand";
  }
  for (SmallVector<Group> *groups : {&batches, &allRows, &allColumns})
    llvm::append_range(parallel, *groups);
  sequential = allDepth;
  for (const Operand &operand : operands) {
    auto isHere = [&](const Group &group) { return operand.has(group.front()); };
    if (llvm::count_if(parallel, isHere) + llvm::count_if(sequential, isHere) > 3)
      return "more dims than tensor maps have";
  }
  int64_t width = 1;
  for (unsigned dim : columns)
    width = ShapedType::isDynamic(width) || operands[2].type.isDynamicDim(operands[2].positions.lookup(dim))
                ? ShapedType::kDynamic
                : width * operands[2].type.getDimSize(operands[2].positions.lookup(dim));
  if (width % 2 || ShapedType::isDynamic(width))
    return "the number of columns is not known to be even";
  return "";
}

namespace {
/// Makes the views and the launch.
class ContractionLaunch {
public:
  ContractionLaunch(linalg::LinalgOp op, const Planner &plan) : op(op), plan(plan), launch(op) {}
  void emit(KernelLibrary &kernels, bool overwrite);

private:
  Value getMemref(unsigned operand) { return op->getOperand(plan.numbers[operand]); }
  Value getSize(const Group &group) {
    Value size = launch.index(1);
    for (unsigned dim : group)
      for (unsigned operand : {0u, 1u, 2u})
        if (plan.operands[operand].has(dim)) {
          size = launch.mul(size, launch.dim(getMemref(operand), plan.operands[operand].positions.lookup(dim)));
          break;
        }
    return size;
  }
  /// The view `[loops.., d0, d1]` of an operand.
  Value view(unsigned operand, const Group &d0, const Group &d1, SmallVector<unsigned> &loops);

  linalg::LinalgOp op;
  const Planner &plan;
  LaunchArguments launch;
};
} // namespace

Value ContractionLaunch::view(unsigned operand, const Group &d0, const Group &d1, SmallVector<unsigned> &loops) {
  const Operand &mine = plan.operands[operand];
  SmallVector<DimGroup> groups;
  auto add = [&](const Group &group) {
    DimGroup dims;
    for (unsigned dim : group)
      dims.push_back(mine.positions.lookup(dim));
    groups.push_back(dims);
  };
  SmallVector<Group> all(plan.parallel);
  llvm::append_range(all, plan.sequential);
  for (auto [number, group] : llvm::enumerate(all))
    if (mine.has(group.front())) {
      loops.push_back(number);
      add(group);
    }
  add(d0);
  add(d1);
  return regroup(launch.b, getMemref(operand), groups);
}

void ContractionLaunch::emit(KernelLibrary &kernels, bool overwrite) {
  GemmProblem problem;
  auto addOperand = [&](unsigned number, const Group &main) {
    GemmOperand operand;
    operand.sumsRows = plan.depth.empty() || plan.operands[number].getLast() != plan.depth.back();
    operand.memref = operand.sumsRows ? view(number, plan.depth, main, operand.loops)
                                      : view(number, main, plan.depth, operand.loops);
    return operand;
  };
  problem.left = addOperand(0, plan.rows);
  problem.right.push_back(addOperand(1, plan.columns));
  for (const Group &group : plan.parallel)
    problem.parallel.push_back(getSize(group));
  for (const Group &group : plan.sequential)
    problem.sequential.push_back(getSize(group));
  problem.rows = getSize(plan.rows);
  problem.columns = getSize(plan.columns);
  problem.depth = getSize(plan.depth);
  problem.element = plan.operands[0].type.getElementType();
  SmallVector<unsigned> loops;
  Value out = view(2, plan.rows, plan.columns, loops);
  if (plan.operands[2].type.getElementType().isF32()) {
    WideStoreEpilogue epilogue(addPairMatrix(launch, out), !overwrite);
    return launchGemm(kernels, launch, "contraction", problem, epilogue, {}, overwrite ? "wide" : "wide add");
  }
  StoreEpilogue epilogue({}, overwrite ? PairMatrix() : addPairMatrix(launch, out));
  launchGemm(kernels, launch, "contraction", problem, epilogue, out, overwrite ? "store" : "add");
}

std::string lowerContraction(linalg::LinalgOp op, KernelLibrary &kernels) {
  Planner planner;
  if (std::string reason = planner.plan(op); !reason.empty())
    return reason;
  Operation *fill = findZeroFill(op);
  ContractionLaunch(op, planner).emit(kernels, fill);
  if (fill)
    fill->erase();
  op->erase();
  return "";
}

} // namespace bpt::hopper
