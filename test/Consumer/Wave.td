// A downstream dialect with one op: wave.sine, which differentiates itself through the interface bpt installs.
#ifndef WAVE_TD
#define WAVE_TD

include "mlir/IR/OpBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "bpt/Interfaces/Differentiable.td"

def Wave_Dialect : Dialect {
  let name = "wave";
  let cppNamespace = "::wave";
}

def Wave_SineOp : Op<Wave_Dialect, "sine",
    [Pure, AllTypesMatch<["input", "result"]>, DeclareOpInterfaceMethods<BPT_DifferentiableOpInterface, ["buildVJP"]>]> {
  let summary = "elementwise sine of a tensor";
  let arguments = (ins AnyRankedTensor:$input);
  let results = (outs AnyRankedTensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

#endif
