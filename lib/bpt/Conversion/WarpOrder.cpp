// Synchronisation of a warp between dependent memory accesses. Which addresses lanes access is not analysed: a load waits for all
// stores before it, a store for all accesses.
#include "WarpOrder.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace bpt {
namespace {

/// Accesses since the last synchronisation.
struct Pending {
  bool loads = false, stores = false;

  Pending operator|(Pending other) const { return {loads || other.loads, stores || other.stores}; }
  /// Whether what comes next must wait for these.
  bool precedes(Pending next) const { return next.stores ? loads || stores : next.loads && stores; }
};

class WarpOrder {
public:
  /// Whoever called may have left accesses behind, and so may this function.
  void order(func::FuncOp function) { (void)visit(function.getBody().front(), {true, true}); }

private:
  static Pending getAccess(Operation *op) {
    if (isa<func::CallOp>(op))
      return {true, true};
    return {isa<memref::LoadOp>(op), isa<memref::StoreOp>(op)};
  }

  static Pending getAccesses(Region &region) {
    Pending all;
    region.walk([&](Operation *op) { all = all | getAccess(op); });
    return all;
  }

  /// A branch that only some lanes take: what is in it is ordered as a whole.
  static bool diverges(scf::IfOp op) {
    for (Region *region : {&op.getThenRegion(), &op.getElseRegion()})
      for (Block &block : *region)
        for (Operation &inner : block)
          if (inner.getNumRegions() || isa<func::CallOp>(inner))
            return false;
    auto count = [&](Region &region) {
      int64_t accesses = 0;
      region.walk([&](Operation *inner) { accesses += isa<memref::LoadOp, memref::StoreOp>(inner); });
      return accesses;
    };
    return count(op.getThenRegion()) == 1 && count(op.getElseRegion()) == 0;
  }

  static void synchronize(Operation *before) {
    OpBuilder builder(before);
    Value all = LLVM::ConstantOp::create(builder, before->getLoc(), builder.getI32Type(), builder.getI32IntegerAttr(-1));
    NVVM::SyncWarpOp::create(builder, before->getLoc(), all);
  }

  static Pending access(Operation *op, Pending before, Pending next) {
    if (!before.precedes(next))
      return before | next;
    synchronize(op);
    return next;
  }

  /// Accesses that are pending after the block when `before` were.
  Pending visit(Block &block, Pending before) {
    Pending now = before;
    for (Operation &op : llvm::make_early_inc_range(block)) {
      if (isa<func::CallOp>(op)) {
        now = {true, true}; // the callee begins by waiting
        continue;
      }
      auto branch = dyn_cast<scf::IfOp>(op);
      if (branch && diverges(branch)) {
        now = access(&op, now, getAccesses(branch.getThenRegion()) | getAccesses(branch.getElseRegion()));
        continue;
      }
      if (!op.getNumRegions()) {
        if (Pending next = getAccess(&op); next.loads || next.stores)
          now = access(&op, now, next);
        continue;
      }
      now = visitRegions(op, now);
    }
    return now;
  }

  Pending visitRegions(Operation &op, Pending before) {
    // An iteration begins with what the one before left.
    if (isa<LoopLikeOpInterface>(op))
      for (Region &region : op.getRegions())
        before = before | getAccesses(region);
    Pending after = before;
    for (Region &region : op.getRegions())
      for (Block &block : region)
        after = after | visit(block, before);
    return after;
  }
};

} // namespace

void orderWarpAccesses(func::FuncOp function) { WarpOrder().order(function); }

} // namespace bpt
