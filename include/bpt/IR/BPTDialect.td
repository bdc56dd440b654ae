// The dialect itself, and the classes and type constraints every op group uses.
#ifndef BPT_IR_BPTDIALECT_TD
#define BPT_IR_BPTDIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/Interfaces/DestinationStyleOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

def BPT_Dialect : Dialect {
  let name = "bpt";
  let cppNamespace = "::bpt";
  let summary = "blockwise parallel transformer";
  let description = [{
    Exact attention and feed-forward computed block by block over the sequence (Liu & Abbeel 2023, arXiv 2305.19370),
    forward and backward, so that training keeps per layer only the layer's input.

    Shapes: B batch, S query length, T key length, H query heads, G key/value heads (H a multiple of G), D head dim,
    E model width, F hidden width, V vocabulary. The layout of heads is `[B, S, H, D]`. Compute ops are in
    destination-passing style on tensors and memrefs; batch and sequence may be dynamic. Element types are f32, bf16,
    f16 and f64; sums, softmax statistics and norms are accumulated in f32 (f64 for f64).

    Arguments and results of functions carry attributes that tools read: `bpt.name` (a string, unique among the arguments and
    among the results), and on parameters `bpt.init` (`#bpt.normal<0.02>`, `#bpt.zeros`, `#bpt.ones`; a float tensor) and
    `bpt.decay` (bool: weight decay applies); on integer arguments `bpt.range` (values lie in [0, range)); on results
    `bpt.inplace` (the number of the argument that the result is, updated in place).

    Every `_grad` op *adds* its gradients into its `outs`: a tied weight has one gradient buffer, and a data gradient
    joins the cotangent that is already there.
  }];
  let useDefaultAttributePrinterParser = 1;
  let usePropertiesForAttributes = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect",
                           "::mlir::linalg::LinalgDialect", "::mlir::memref::MemRefDialect"];
}

def BPT_Float : AnyTypeOf<[F32, BF16, F16, F64]>;
class BPT_FloatRanked<list<int> ranks> :
    AnyTypeOf<[TensorRankOf<[F32, BF16, F16, F64], ranks>, MemRefRankOf<[F32, BF16, F16, F64], ranks>]>;
class BPT_IntRanked<list<int> ranks, Type element> :
    AnyTypeOf<[TensorRankOf<[element], ranks>, MemRefRankOf<[element], ranks>]>;
/// Floating-point tensor or memref of rank 1 or more.
def BPT_FloatTensor : AnyTypeOf<[RankedTensorOf<[F32, BF16, F16, F64]>, MemRefOf<[F32, BF16, F16, F64]>]>;
def BPT_AnyShaped : AnyTypeOf<[AnyRankedTensor, AnyMemRef]>;
/// Random seed: 0-d i64.
def BPT_Seed : BPT_IntRanked<[0], I64>;
/// Bytes shared by all threads that `bpt-tile-blocks` adds: 1-d i8.
def BPT_Workspace : BPT_IntRanked<[1], I8>;

class BPT_Op<string mnemonic, list<Trait> traits = []> : Op<BPT_Dialect, mnemonic, traits>;

/// Destination-passing style: `outs` are the destinations, one result per out on tensors, none on memrefs.
/// On tensors the op has no memory effect; on memrefs it reads its inputs and reads and writes its outs.
class BPT_DestinationOp<string mnemonic, list<Trait> traits = []> :
    BPT_Op<mnemonic, !listconcat([AttrSizedOperandSegments, DestinationStyleOpInterface,
                                  DeclareOpInterfaceMethods<MemoryEffectsOpInterface>], traits)> {
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let hasVerifier = 1;
  code destinationDeclaration = [{
    ::mlir::MutableOperandRange getDpsInitsMutable() { return getOutsMutable(); }
  }];
  let extraClassDeclaration = destinationDeclaration;
}

#endif
