// Calls of the emulator's runtime; their types come from the C declarations.
#include "RuntimeCalls.h"
#include "bpt/Runtime/EmulatorABI.h"
#include "llvm/IR/DebugInfoMetadata.h"
#include <type_traits>

using namespace llvm;

namespace bpt {

template <typename T> static Type *typeOf(LLVMContext &context) {
  if constexpr (std::is_void_v<T>)
    return Type::getVoidTy(context);
  else if constexpr (std::is_pointer_v<T>)
    return PointerType::get(context, 0);
  else if constexpr (std::is_same_v<T, float>)
    return Type::getFloatTy(context);
  else
    return IntegerType::get(context, sizeof(T) * 8);
}

template <typename R, typename... A> static FunctionType *functionType(LLVMContext &context, R (*)(A...)) {
  return FunctionType::get(typeOf<R>(context), {typeOf<A>(context)...}, false);
}

FunctionCallee RuntimeCalls::declare(StringRef name) {
  FunctionType *type = nullptr;
#define BPT_EMULATOR_FUNCTION(function, result, parameters)                                                            \
  if (name == #function)                                                                                               \
    type = functionType(module.getContext(), static_cast<decltype(&function)>(nullptr));
#include "bpt/Runtime/EmulatorABI.def"
  assert(type && "no function of EmulatorABI.def");
  FunctionCallee callee = module.getOrInsertFunction(name, type);
  auto *function = cast<Function>(callee.getCallee());
  function->addFnAttr(Attribute::NoUnwind);
  // The block's shared memory does not move while a kernel runs.
  if (name == "bpt_emulated_shared")
    function->setMemoryEffects(MemoryEffects::none());
  return callee;
}

Value *RuntimeCalls::convert(IRBuilderBase &builder, Value *value, Type *type) {
  Type *from = value->getType();
  if (from == type)
    return value;
  if (from->isPointerTy() && type->isPointerTy())
    return builder.CreateAddrSpaceCast(value, type);
  if (from->isPointerTy())
    return convert(builder, builder.CreatePtrToInt(value, builder.getInt64Ty()), type);
  if (type->isPointerTy())
    return builder.CreateIntToPtr(convert(builder, value, builder.getInt64Ty()), type);
  if (!from->isIntegerTy())
    return convert(builder, builder.CreateBitCast(value, builder.getIntNTy(unsigned(from->getPrimitiveSizeInBits()))),
                   type);
  if (!type->isIntegerTy()) {
    Type *bits = builder.getIntNTy(unsigned(type->getPrimitiveSizeInBits()));
    return builder.CreateBitCast(builder.CreateZExtOrTrunc(value, bits), type);
  }
  return builder.CreateZExtOrTrunc(value, type);
}

Value *RuntimeCalls::call(IRBuilderBase &builder, StringRef name, ArrayRef<Value *> arguments) {
  FunctionCallee callee = declare(name);
  FunctionType *type = callee.getFunctionType();
  assert(type->getNumParams() == arguments.size() && "arguments as in EmulatorABI.def");
  SmallVector<Value *> converted;
  for (auto [value, wanted] : llvm::zip_equal(arguments, type->params()))
    converted.push_back(convert(builder, value, wanted));
  CallInst *call = builder.CreateCall(callee, converted);
  call->setDoesNotThrow();
  return call;
}

Constant *RuntimeCalls::bytes(StringRef content) {
  Constant *&constant = constants[content];
  if (!constant) {
    Constant *data = ConstantDataArray::getString(module.getContext(), content, /*AddNull=*/true);
    auto *global = new GlobalVariable(module, data->getType(), true, GlobalValue::PrivateLinkage, data, "bpt.text");
    global->setUnnamedAddr(GlobalValue::UnnamedAddr::Global);
    constant = global;
  }
  return constant;
}

Constant *RuntimeCalls::location(const Instruction &instruction, StringRef what) {
  const Function *function = instruction.getFunction();
  unsigned ordinal = ++ordinals[function];
  std::string text = (function->getName() + ": " + what + " #" + Twine(ordinal)).str();
  if (const DebugLoc &debug = instruction.getDebugLoc())
    text = (debug->getFilename() + ":" + Twine(debug.getLine()) + ":" + Twine(debug.getCol()) + ": " + text).str();
  return bytes(text);
}

} // namespace bpt
