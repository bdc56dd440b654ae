// Enumerations of the dialect.
#ifndef BPT_IR_BPTENUMS_TD
#define BPT_IR_BPTENUMS_TD

include "mlir/IR/EnumAttr.td"
include "bpt/IR/BPTDialect.td"

def BPT_Activation : I32EnumAttr<"Activation", "activation of a feed-forward layer", [
    I32EnumAttrCase<"GeluTanh", 0, "gelu_tanh">, I32EnumAttrCase<"GeluErf", 1, "gelu_erf">,
    I32EnumAttrCase<"Relu", 2, "relu">, I32EnumAttrCase<"Silu", 3, "silu">, I32EnumAttrCase<"Identity", 4, "identity">]> {
  let cppNamespace = "::bpt";
  let genSpecializedAttr = 0;
}
def BPT_ActivationAttr : EnumAttr<BPT_Dialect, BPT_Activation, "activation"> {
  let assemblyFormat = "`<` $value `>`";
}

def BPT_Keep : I32EnumAttr<"Keep", "what a checkpoint keeps for the backward besides its inputs", [
    I32EnumAttrCase<"Input", 0, "input">, I32EnumAttrCase<"Attention", 1, "attention">,
    I32EnumAttrCase<"QKV", 2, "qkv">, I32EnumAttrCase<"All", 3, "all">]> {
  let cppNamespace = "::bpt";
  let genSpecializedAttr = 0;
}
def BPT_KeepAttr : EnumAttr<BPT_Dialect, BPT_Keep, "keep"> {
  let assemblyFormat = "`<` $value `>`";
}

#endif
