// Registration of the dialect, its enumerations and attributes, and what all destination-style ops share.
#include "Destination.h"
#include "bpt/IR/BPT.h"
#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
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

Type getAccumulatorType(Type element) { return element.isF64() ? element : Float32Type::get(element.getContext()); }

void addDestinationEffects(DestinationStyleOpInterface op, EffectList &effects) {
  for (OpOperand &operand : op->getOpOperands()) {
    if (!isa<MemRefType>(operand.get().getType()))
      continue;
    effects.emplace_back(MemoryEffects::Read::get(), &operand, SideEffects::DefaultResource::get());
    if (op.isDpsInit(&operand))
      effects.emplace_back(MemoryEffects::Write::get(), &operand, SideEffects::DefaultResource::get());
  }
}

/// Whether `type` is a float, or a tensor or memref of floats (`Kind` FloatType); likewise integers.
template <typename Kind> static bool holds(Type type) { return isa<Kind>(getElementTypeOrSelf(type)); }

/// `bpt.name` number `index` of `count`: a non-empty string. With the first of them, that none repeats another: once a function, so
/// that thousands of parameters are verified in no time.
static LogicalResult verifyName(Operation *op, StringRef what, unsigned index, unsigned count, Attribute value,
                                function_ref<Attribute(unsigned)> getName) {
  auto name = dyn_cast<StringAttr>(value);
  if (!name || name.empty())
    return op->emitOpError("expected 'bpt.name' to be a non-empty string, but got ") << value;
  for (unsigned i = 0; i != index; ++i)
    if (getName(i))
      return success();
  DenseMap<Attribute, unsigned> known;
  for (unsigned i = index; i != count; ++i)
    if (Attribute other = getName(i))
      if (auto [found, isNew] = known.insert({other, i}); !isNew)
        return op->emitOpError("expected names of ")
               << what << "s to be unique, but got " << other << " for " << what << "s " << found->second << " and " << i;
  return success();
}

LogicalResult BPTDialect::verifyRegionArgAttribute(Operation *op, unsigned, unsigned index, NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function || index >= function.getNumArguments())
    return success();
  Type type = function.getArgumentTypes()[index];
  Attribute value = attribute.getValue();
  StringRef name = attribute.getName();
  if (name == "bpt.name")
    return verifyName(op, "argument", index, function.getNumArguments(), value, [&](unsigned i) { return function.getArgAttr(i, "bpt.name"); });
  if (name == "bpt.init") {
    if (!isa<NormalInitAttr, ZerosInitAttr, OnesInitAttr>(value))
      return op->emitOpError("expected 'bpt.init' to be #bpt.normal, #bpt.zeros or #bpt.ones, but got ") << value;
    if (!holds<FloatType>(type))
      return op->emitOpError("expected 'bpt.init' on floating-point arguments, but got ") << type;
  }
  if (name == "bpt.decay" && !isa<BoolAttr>(value))
    return op->emitOpError("expected 'bpt.decay' to be true or false, but got ") << value;
  if (name == "bpt.range") {
    auto range = dyn_cast<IntegerAttr>(value);
    if (!range || !range.getType().isSignlessInteger(64) || range.getInt() <= 0)
      return op->emitOpError("expected 'bpt.range' to be a positive i64, but got ") << value;
    if (!holds<IntegerType>(type))
      return op->emitOpError("expected 'bpt.range' on integer arguments, but got ") << type;
  }
  return success();
}

LogicalResult BPTDialect::verifyRegionResultAttribute(Operation *op, unsigned, unsigned index,
                                                      NamedAttribute attribute) {
  auto function = dyn_cast<FunctionOpInterface>(op);
  if (!function || index >= function.getNumResults())
    return success();
  Attribute value = attribute.getValue();
  if (attribute.getName() == "bpt.name")
    return verifyName(op, "result", index, function.getNumResults(), value, [&](unsigned i) { return function.getResultAttr(i, "bpt.name"); });
  if (attribute.getName() == "bpt.inplace") {
    auto argument = dyn_cast<IntegerAttr>(value);
    if (!argument || !argument.getType().isSignlessInteger(64) || argument.getValue().uge(function.getNumArguments()))
      return op->emitOpError("expected 'bpt.inplace' to be the number of an argument as i64, but got ") << value;
  }
  return success();
}

LogicalResult NormalInitAttr::verify(function_ref<InFlightDiagnostic()> emitError, FloatAttr std) {
  if (std.getType().isF64() && std.getValue().isFinite() && !std.getValue().isNegative())
    return success();
  return emitError() << "expected a finite standard deviation >= 0 of f64, but got " << std;
}

// Workers have no number of their own: an item runs on any of them.
int64_t WorkersAttr::getMappingId() const { return 0; }
bool WorkersAttr::isLinearMapping() const { return false; }
int64_t WorkersAttr::getRelativeIndex() const { return 0; }

Attribute NormalInitAttr::parse(AsmParser &parser, Type) {
  double std = 0;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseLess() || parser.parseFloat(std) || parser.parseGreater())
    return {};
  return getChecked([&] { return parser.emitError(loc); }, parser.getContext(),
                    parser.getBuilder().getF64FloatAttr(std));
}

void NormalInitAttr::print(AsmPrinter &printer) const {
  printer << "<";
  printer.printFloat(getStd().getValue());
  printer << ">";
}

} // namespace bpt
