// bpt-own-destinations: every op that writes gets an empty or filled tensor of its own.
#include "bpt/Transforms/Passes.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

namespace bpt {
#define GEN_PASS_DEF_OWNDESTINATIONSPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace {

/// Whether the user only reads what is there, so that it may share it.
bool isRead(OpOperand &use) {
  if (auto destination = dyn_cast<DestinationStyleOpInterface>(use.getOwner()))
    return !destination.isDpsInit(&use);
  if (isa<tensor::InsertSliceOp>(use.getOwner()))
    return use.getOperandNumber() == 0;
  return isa<tensor::DimOp, tensor::ExtractSliceOp, tensor::ExtractOp>(use.getOwner());
}

/// A destination: an empty tensor, or one filled with a scalar.
bool isDestination(Operation *op) {
  if (isa<tensor::EmptyOp>(op))
    return true;
  auto fill = dyn_cast<linalg::FillOp>(op);
  return fill && fill.hasPureTensorSemantics() && fill.getOutputs()[0].getDefiningOp<tensor::EmptyOp>();
}

/// Puts a copy of `op` right before the writer it is for.
void giveToWriter(OpOperand &use, Operation *op) {
  OpBuilder builder(use.getOwner());
  Operation *own = builder.clone(*op);
  use.set(own->getResult(0));
}

/// An op that overwrites an operand it has just read, only to be copied into a slice, writes a fresh tensor instead: that one can
/// be the slice itself.
void freeInsertedInit(tensor::InsertSliceOp insert) {
  auto structured = insert.getSource().getDefiningOp<linalg::LinalgOp>();
  if (!structured || !structured->hasOneUse())
    return;
  OpOperand *init = structured.getDpsInitOperand(cast<OpResult>(insert.getSource()).getResultNumber());
  if (structured.payloadUsesValueFromOperand(init) || (init->get().getDefiningOp() && isDestination(init->get().getDefiningOp())))
    return;
  OpBuilder builder(structured);
  init->set(tensor::EmptyOp::create(builder, structured.getLoc(),
                                    tensor::getMixedSizes(builder, structured.getLoc(), init->get()),
                                    getElementTypeOrSelf(init->get().getType())));
}

class OwnDestinations : public bpt::impl::OwnDestinationsPassBase<OwnDestinations> {
  using Base::Base;

  void runOnOperation() override {
    getOperation().walk([](tensor::InsertSliceOp insert) { freeInsertedInit(insert); });
    // Fills first: each copy of one is a new writer of its empty tensor.
    for (bool fills : {true, false}) {
      SmallVector<Operation *> shared;
      getOperation().walk([&](Operation *op) {
        if (isDestination(op) && isa<linalg::FillOp>(op) == fills)
          shared.push_back(op);
      });
      for (Operation *op : shared) {
        SmallVector<OpOperand *> writers;
        for (OpOperand &use : op->getResult(0).getUses())
          if (!isRead(use))
            writers.push_back(&use);
        for (OpOperand *use : writers)
          giveToWriter(*use, op);
        if (op->use_empty())
          op->erase();
      }
    }
  }
};
} // namespace
