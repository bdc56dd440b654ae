// What an op costs: floating-point operations of visible work.
#ifndef BPT_INTERFACES_COSTMODEL_TD
#define BPT_INTERFACES_COSTMODEL_TD

include "mlir/IR/OpBase.td"

def BPT_CostModelOpInterface : OpInterface<"CostModelOpInterface"> {
  let cppNamespace = "::bpt";
  let description = [{
    Counts are formulas over the dynamic dims, as `bpt::SizeFormula` (Interfaces/SizeFormula.h): static shapes give numbers.
  }];
  let methods = [
    InterfaceMethod<"floating-point operations, masked scores not counted (a multiply-add is two)", "::bpt::SizeFormula",
      "getFlops", (ins)>
  ];
}

#endif
