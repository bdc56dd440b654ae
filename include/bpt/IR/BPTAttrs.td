// Attributes: block masks (and their interface), parameter initialisation, schedules.
#ifndef BPT_IR_BPTATTRS_TD
#define BPT_IR_BPTATTRS_TD

include "mlir/IR/AttrTypeBase.td"
include "mlir/Dialect/SCF/IR/DeviceMappingInterface.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "bpt/IR/BPTDialect.td"
include "bpt/IR/BlockMask.td"

class BPT_Attr<string name, string attrMnemonic, list<Trait> traits = []> : AttrDef<BPT_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}
class BPT_MaskAttr<string name, string attrMnemonic> :
    BPT_Attr<name, attrMnemonic, [DeclareAttrInterfaceMethods<BPT_BlockMaskAttrInterface>]>;

def BPT_FullMaskAttr : BPT_MaskAttr<"FullMask", "full"> {
  let summary = "every column is visible to every row";
}
def BPT_CausalMaskAttr : BPT_MaskAttr<"CausalMask", "causal"> {
  let summary = "column j is visible to row i when j <= i";
}
def BPT_SlidingWindowMaskAttr : BPT_MaskAttr<"SlidingWindowMask", "sliding_window"> {
  let summary = "column j is visible to row i when |i - j| < size";
  let parameters = (ins "int64_t":$size);
  let assemblyFormat = "`<` $size `>`";
  let genVerifyDecl = 1;
}
def BPT_PrefixMaskAttr : BPT_MaskAttr<"PrefixMask", "prefix"> {
  let summary = "column j is visible to row i when j < length or j <= i";
  let parameters = (ins "int64_t":$length);
  let assemblyFormat = "`<` $length `>`";
  let genVerifyDecl = 1;
}
def BPT_IntersectionMaskAttr : BPT_MaskAttr<"IntersectionMask", "intersection"> {
  let summary = "visible where all of the masks are: `#bpt.intersection<#bpt.causal, #bpt.sliding_window<512>>`";
  let parameters = (ins ArrayRefParameter<"::mlir::Attribute">:$masks);
  let assemblyFormat = "`<` $masks `>`";
  let genVerifyDecl = 1;
}
def BPT_BlockMask : Attr<CPred<"::llvm::isa<::bpt::BlockMaskAttrInterface>($_self)">, "block mask"> {
  let storageType = "::bpt::BlockMaskAttrInterface";
  let returnType = "::bpt::BlockMaskAttrInterface";
  let convertFromStorage = "$_self";
  let constBuilderCall = "::bpt::$0::get($_builder.getContext())";
}

def BPT_NormalInitAttr : BPT_Attr<"NormalInit", "normal"> {
  let summary = "`bpt.init` of a parameter: normally distributed with mean 0 and this standard deviation";
  let parameters = (ins "::mlir::FloatAttr":$std);
  let hasCustomAssemblyFormat = 1;
  let genVerifyDecl = 1;
}
def BPT_ZerosInitAttr : BPT_Attr<"ZerosInit", "zeros"> { let summary = "`bpt.init` of a parameter: all zeros"; }
def BPT_OnesInitAttr : BPT_Attr<"OnesInit", "ones"> { let summary = "`bpt.init` of a parameter: all ones"; }

def BPT_WorkersAttr : BPT_Attr<"Workers", "workers", [DeclareAttrInterfaceMethods<DeviceMappingAttrInterface>]> {
  let summary = "maps an `scf.forall` of a kernel to the runtime's workers; keeps a loop of one iteration a loop, for its scratch";
}

def BPT_ScheduleAttr : BPT_Attr<"Schedule", "schedule"> {
  let summary = "tile sizes of one op, `#bpt.schedule<{q_block = 192, kv_block = 96}>`; overrides bpt-tile-blocks";
  let parameters = (ins "::mlir::DictionaryAttr":$sizes);
  let assemblyFormat = "`<` $sizes `>`";
}

#endif
