// Registration of the dialect, its enumerations and attributes, and what all destination-style ops share.
#include "bpt/IR/BPT.h"
#include "Destination.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

#include "bpt/IR/BPTDialect.cpp.inc"
#include "bpt/IR/BPTEnums.cpp.inc"
#include "bpt/IR/BlockMask.cpp.inc"
#define GET_ATTRDEF_CLASSES
#include "bpt/IR/BPTAttrs.cpp.inc"
#define GET_OP_CLASSES
#include "bpt/IR/BPTOps.cpp.inc"

namespace bpt {

void BPTDialect::initialize() {
  addAttributes<
#define GET_ATTRDEF_LIST
#include "bpt/IR/BPTAttrs.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "bpt/IR/BPTOps.cpp.inc"
      >();
}

Type getAccumulatorType(Type element) {
  return element.isF64() ? element : Float32Type::get(element.getContext());
}

void addDestinationEffects(DestinationStyleOpInterface op, EffectList &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    effects.emplace_back(MemoryEffects::Read::get(), &operand, SideEffects::DefaultResource::get());
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand, SideEffects::DefaultResource::get());
  }
}

Attribute NormalInitAttr::parse(AsmParser &parser, Type) {
  double std = 0;
  if (parser.parseLess() || parser.parseFloat(std) || parser.parseGreater())
    return {};
  return get(parser.getContext(), parser.getBuilder().getF64FloatAttr(std));
}

void NormalInitAttr::print(AsmPrinter &printer) const {
  printer << "<" << getStd().getValueAsDouble() << ">";
}

} // namespace bpt
