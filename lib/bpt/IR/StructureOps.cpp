// Checkpoint, blockwise, barrier: parsing, verifiers, effects.
#include "bpt/IR/BPT.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace bpt {

LogicalResult CheckpointOp::verify() { return success(); }
LogicalResult CheckpointOp::verifySymbolUses(SymbolTableCollection &) { return success(); }

ParseResult CheckpointOp::parse(OpAsmParser &parser, OperationState &result) {
  // `@callee`? keep(..) inputs(..)? region? (-> types)?
  StringAttr callee;
  if (succeeded(parser.parseOptionalSymbolName(callee)))
    result.addAttribute("callee", FlatSymbolRefAttr::get(callee));
  StringRef keepWord;
  SMLoc keepLoc;
  if (parser.parseKeyword("keep") || parser.parseLParen() || parser.getCurrentLocation(&keepLoc) ||
      parser.parseKeyword(&keepWord) || parser.parseRParen())
    return failure();
  std::optional<Keep> keep = symbolizeKeep(keepWord);
  if (!keep)
    return parser.emitError(keepLoc, "expected input, attention, qkv or all, but got '") << keepWord << "'";
  result.addAttribute("keep", KeepAttr::get(parser.getContext(), *keep));
  SmallVector<OpAsmParser::UnresolvedOperand> inputs;
  SmallVector<Type> types;
  SMLoc inputsLoc = parser.getCurrentLocation();
  if (succeeded(parser.parseOptionalKeyword("inputs")))
    if (parser.parseLParen() || parser.parseOperandList(inputs) || parser.parseColonTypeList(types) ||
        parser.parseRParen() || parser.resolveOperands(inputs, types, inputsLoc, result.operands))
      return failure();
  Region *body = result.addRegion();
  OptionalParseResult region = parser.parseOptionalRegion(*body);
  if (region.has_value() && failed(*region))
    return failure();
  if (succeeded(parser.parseOptionalArrow()) && parser.parseTypeList(result.types))
    return failure();
  return parser.parseOptionalAttrDictWithKeyword(result.attributes);
}

void CheckpointOp::print(OpAsmPrinter &printer) {
  if (FlatSymbolRefAttr callee = getCalleeAttr())
    printer << ' ' << callee;
  printer << " keep(" << stringifyKeep(getKeep()) << ")";
  if (!getInputs().empty())
    printer << " inputs(" << getInputs() << " : " << getInputs().getTypes() << ")";
  if (!getBody().empty()) {
    printer << ' ';
    printer.printRegion(getBody());
  }
  if (getNumResults())
    printer << " -> " << getResultTypes();
  printer.printOptionalAttrDictWithKeyword((*this)->getAttrs(), {"callee", "keep", "operandSegmentSizes"});
}

LogicalResult BlockwiseOp::verify() { return success(); }

RankedTensorType BlockwiseOp::getBlockType(RankedTensorType whole, int64_t dim, int64_t block) {
  SmallVector<int64_t> shape(whole.getShape());
  int64_t length = shape[dim];
  shape[dim] = !ShapedType::isDynamic(length) && length % block == 0 ? block : ShapedType::kDynamic;
  return RankedTensorType::get(shape, whole.getElementType());
}

void BarrierOp::getEffects(SmallVectorImpl<SideEffects::EffectInstance<MemoryEffects::Effect>> &effects) {
  // An allocation of its own results: erased when unused, never merged with another.
  for (OpResult result : getOperation()->getOpResults())
    effects.emplace_back(MemoryEffects::Allocate::get(), result, SideEffects::DefaultResource::get());
}

} // namespace bpt
