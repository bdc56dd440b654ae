// The f64 twin of a module: what --check compares with.
#include "bpt/Engine/Session.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/AttrTypeSubElements.h"

using namespace mlir;

namespace bpt {

/// Values of type `double`, whatever float they were written in.
static Attribute convertConstant(Attribute attribute) {
  MLIRContext *context = attribute.getContext();
  Type f64 = Float64Type::get(context);
  auto widen = [](APFloat value) {
    bool exact;
    value.convert(APFloat::IEEEdouble(), APFloat::rmNearestTiesToEven, &exact);
    return value;
  };
  if (auto scalar = dyn_cast<FloatAttr>(attribute))
    return FloatAttr::get(f64, widen(scalar.getValue()));
  if (auto dense = dyn_cast<DenseElementsAttr>(attribute); dense && isa<FloatType>(dense.getElementType())) {
    auto type = cast<ShapedType>(dense.getType()).clone(f64);
    SmallVector<APFloat> values;
    if (dense.isSplat())
      values.push_back(widen(dense.getSplatValue<APFloat>()));
    else
      for (APFloat value : dense.getValues<APFloat>())
        values.push_back(widen(value));
    return DenseElementsAttr::get(type, values);
  }
  return attribute;
}

void promoteToF64(ModuleOp module) {
  Type f64 = Float64Type::get(module.getContext());
  AttrTypeReplacer replacer;
  replacer.addReplacement([&](FloatType) -> Type { return f64; });
  module.walk([&](Operation *op) {
    if (auto constant = dyn_cast<arith::ConstantOp>(op))
      constant.setValueAttr(cast<TypedAttr>(convertConstant(constant.getValue())));
    for (Value result : op->getResults())
      result.setType(replacer.replace(result.getType()));
    for (Region &region : op->getRegions())
      for (Block &block : region)
        for (BlockArgument argument : block.getArguments())
          argument.setType(replacer.replace(argument.getType()));
    if (auto function = dyn_cast<func::FuncOp>(op))
      function.setFunctionType(cast<FunctionType>(replacer.replace(function.getFunctionType())));
  });
  // Conversions between floats are now between equal types.
  module.walk([](Operation *op) {
    if (isa<arith::ExtFOp, arith::TruncFOp>(op)) {
      op->getResult(0).replaceAllUsesWith(op->getOperand(0));
      op->erase();
    }
  });
}

} // namespace bpt
