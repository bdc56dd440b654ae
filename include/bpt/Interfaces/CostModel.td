// What an op costs: floating-point operations of visible work.
#ifndef BPT_INTERFACES_COSTMODEL_TD
#define BPT_INTERFACES_COSTMODEL_TD

include "mlir/IR/OpBase.td"

def BPT_CostModelOpInterface : OpInterface<"CostModelOpInterface"> {
  let cppNamespace = "::bpt";
  let description = [{
    Model FLOPs: products of the mathematics, masked scores not counted, recomputation not counted (DESIGN 6). Contractions of
    linalg are counted by their loop ranges and need no model.
  }];
  let methods = [
    InterfaceMethod<[{
      Floating-point operations, a multiply-add being two; none when a size that matters is dynamic. An op whose backward does
      not cost twice its forward says so in `backwardFactor`.}],
      "std::optional<int64_t>", "getFlops", (ins)>,
    InterfaceMethod<"operations of the backward for one of the forward", "double", "getBackwardFactor", (ins), [{}],
      [{ return 2.0; }]>
  ];
}

#endif
