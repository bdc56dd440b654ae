// From a planned function to its description in the manifest.
#include "bpt/Transforms/EntryInfo.h"
#include "bpt/IR/BPT.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace bpt {

std::string getArgumentName(func::FuncOp function, unsigned index) {
  auto name = function.getArgAttrOfType<StringAttr>(index, "bpt.name");
  return name ? name.str() : "arg" + std::to_string(index);
}

std::string getResultName(func::FuncOp function, unsigned index) {
  auto name = function.getResultAttrOfType<StringAttr>(index, "bpt.name");
  return name ? name.str() : "result" + std::to_string(index);
}

std::string getEntrySymbol(llvm::StringRef function) {
  std::string symbol = "bpt_entry_" + function.str();
  for (char &c : symbol)
    c = llvm::isAlnum(c) ? c : '_';
  return symbol;
}

static std::optional<DataType> getDataType(Type type) {
  return llvm::TypeSwitch<Type, std::optional<DataType>>(type)
      .Case([](Float32Type) { return DataType::F32; })
      .Case([](Float64Type) { return DataType::F64; })
      .Case([](BFloat16Type) { return DataType::BF16; })
      .Case([](Float16Type) { return DataType::F16; })
      .Case([](IntegerType integer) -> std::optional<DataType> {
        if (integer.getWidth() == 32)
          return DataType::I32;
        if (integer.getWidth() == 64)
          return DataType::I64;
        return std::nullopt;
      })
      .Default([](Type) { return std::nullopt; });
}

static std::optional<Init> getInit(Attribute attribute) {
  if (!attribute)
    return std::nullopt;
  return llvm::TypeSwitch<Attribute, std::optional<Init>>(attribute)
      .Case([](NormalInitAttr init) { return Init{Init::Kind::Normal, init.getStd().getValueAsDouble()}; })
      .Case([](ZerosInitAttr) { return Init{Init::Kind::Zeros, 0}; })
      .Case([](OnesInitAttr) { return Init{Init::Kind::Ones, 0}; })
      .Default([](Attribute) { return std::nullopt; });
}

FailureOr<ArgumentInfo> describeArgument(func::FuncOp function, unsigned index) {
  ArgumentInfo info;
  info.name = getArgumentName(function, index);
  auto type = dyn_cast<ShapedType>(function.getArgument(index).getType());
  std::optional<DataType> element = type && type.hasRank() ? getDataType(type.getElementType()) : std::nullopt;
  if (!element)
    return function.emitError("expected argument `")
           << info.name << "` to be a tensor of f32, f64, bf16, f16, i32 or i64, but got "
           << function.getArgument(index).getType();
  info.type = *element;
  for (int64_t size : type.getShape())
    info.shape.push_back(ShapedType::isDynamic(size) ? -1 : size);
  info.init = getInit(function.getArgAttr(index, "bpt.init"));
  info.parameter = info.init.has_value();
  if (auto decay = function.getArgAttrOfType<BoolAttr>(index, "bpt.decay"))
    info.decay = decay.getValue();
  if (auto range = function.getArgAttrOfType<IntegerAttr>(index, "bpt.range"))
    info.range = range.getInt();
  if (auto ignored = function.getArgAttrOfType<IntegerAttr>(index, "bpt.ignore"))
    info.ignoreIndex = ignored.getInt();
  return info;
}

static FailureOr<Formula> toFormula(func::FuncOp function, const SizeFormula &size) {
  Expected<Formula> formula = Formula::parse(size.getText());
  if (!formula)
    return function.emitError(formula.error().message), failure();
  return *formula;
}

FailureOr<Manifest> describeEntry(func::FuncOp function, const EntryPlan &plan) {
  Manifest manifest;
  EntryInfo &entry = manifest.entries.emplace_back();
  entry.name = function.getName().str();
  entry.symbol = getEntrySymbol(function.getName());
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    FailureOr<ArgumentInfo> argument = describeArgument(function, i);
    if (failed(argument))
      return failure();
    entry.arguments.push_back(std::move(*argument));
  }
  for (auto [i, type] : llvm::enumerate(function.getResultTypes())) {
    ResultInfo &result = entry.results.emplace_back();
    result.name = getResultName(function, i);
    std::optional<DataType> element = getDataType(getElementTypeOrSelf(type));
    if (!element || !isa<MemRefType>(type))
      return function.emitError("expected result `") << result.name << "` to be a tensor of f32, f64, bf16, f16, i32 or i64, "
                                                     << "but got " << type;
    result.type = *element;
    for (const SizeFormula &size : plan.resultShapes[i]) {
      FailureOr<Formula> formula = toFormula(function, size);
      if (failed(formula))
        return failure();
      result.shape.push_back(*formula);
    }
    if (plan.resultArguments[i] >= 0)
      result.argument = plan.resultArguments[i];
    else
      result.slot = plan.resultSlots[i];
  }
  for (const PlannedBuffer &buffer : plan.slots) {
    FailureOr<Formula> bytes = toFormula(function, buffer.bytes);
    if (failed(bytes))
      return failure();
    entry.slots.push_back({buffer.name, buffer.kind, *bytes, buffer.first, buffer.last});
  }
  if (auto flops = function->getAttrOfType<StringAttr>("bpt.flops")) {
    FailureOr<Formula> formula = toFormula(function, SizeFormula::fromText(flops.getValue()));
    if (failed(formula))
      return failure();
    entry.flops = *formula;
  }
  return manifest;
}

} // namespace bpt
