// bpt-mark-entries: says before bufferization which arguments an entry may write: those a result updates in place.
#include "bpt/Transforms/Passes.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace bpt {
#define GEN_PASS_DEF_MARKENTRIESPASS
#include "bpt/Transforms/Passes.h.inc"
} // namespace bpt

using namespace mlir;

namespace {
class MarkEntries : public bpt::impl::MarkEntriesPassBase<MarkEntries> {
  using Base::Base;

  void runOnOperation() override {
    for (auto function : getOperation().getOps<func::FuncOp>()) {
      if (function.isExternal() || !function.isPublic())
        continue;
      llvm::SmallBitVector written(function.getNumArguments());
      for (unsigned i = 0; i < function.getNumResults(); ++i) {
        auto inPlace = function.getResultAttrOfType<IntegerAttr>(i, "bpt.inplace");
        // The dialect has verified that this is the index of an argument.
        if (inPlace)
          written.set(inPlace.getInt());
      }
      for (unsigned i = 0; i < function.getNumArguments(); ++i)
        if (isa<TensorType>(function.getArgument(i).getType()))
          function.setArgAttr(i, bufferization::BufferizationDialect::kWritableAttrName,
                              BoolAttr::get(&getContext(), written.test(i)));
    }
  }
};
} // namespace
