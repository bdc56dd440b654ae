// Declarations of runtime functions and the context argument of those who call them.
#include "RuntimeCalls.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace bpt {

static constexpr llvm::StringLiteral contextAttr = "bpt.context";

Value castTo(OpBuilder &builder, Location loc, Value value, Type type) {
  if (value.getType() == type)
    return value;
  return UnrealizedConversionCastOp::create(builder, loc, type, value).getResult(0);
}

Value getContextArgument(func::FuncOp function) {
  for (BlockArgument argument : function.getArguments())
    if (function.getArgAttr(argument.getArgNumber(), contextAttr))
      return argument;
  return {};
}

func::CallOp callRuntime(OpBuilder &builder, Location loc, StringRef name, ValueRange arguments, TypeRange results) {
  auto function = builder.getInsertionBlock()->getParent()->getParentOfType<func::FuncOp>();
  auto module = function->getParentOfType<ModuleOp>();
  SmallVector<Value> operands{getContextArgument(function)};
  llvm::append_range(operands, arguments);
  if (!module.lookupSymbol(name)) {
    OpBuilder atBegin = OpBuilder::atBlockBegin(module.getBody());
    auto type = builder.getFunctionType(ValueRange(operands).getTypes(), results);
    func::FuncOp::create(atBegin, module.getLoc(), name, type).setPrivate();
  }
  return func::CallOp::create(builder, loc, name, results, operands);
}

namespace {
class ContextArguments {
public:
  ContextArguments(ModuleOp module, function_ref<bool(Operation *)> isUser) : module(module), isUser(isUser) {}

  void add() {
    for (auto function : llvm::to_vector(module.getOps<func::FuncOp>()))
      if (!function.isExternal() && needsContext(function) && !getContextArgument(function))
        insert(function);
    module.walk([&](func::CallOp call) {
      if (!inserted.contains(call.getCallee()))
        return;
      SmallVector<Value> operands = {getContextArgument(call->getParentOfType<func::FuncOp>())};
      llvm::append_range(operands, call.getOperands());
      call->setOperands(operands);
    });
  }

private:
  bool needsContext(func::FuncOp function) {
    if (auto known = needs.find(function); known != needs.end())
      return known->second;
    needs[function] = false; // recursion is refused by bpt-plan-memory
    bool result = false;
    function.walk([&](Operation *op) {
      result |= isUser(op);
      if (auto call = dyn_cast<func::CallOp>(op))
        if (auto callee = module.lookupSymbol<func::FuncOp>(call.getCallee()))
          result |= !callee.isExternal() && needsContext(callee);
    });
    return needs[function] = result;
  }

  void insert(func::FuncOp function) {
    Builder builder(module.getContext());
    auto attributes = builder.getDictionaryAttr(builder.getNamedAttr(contextAttr, builder.getUnitAttr()));
    (void)function.insertArgument(0, LLVM::LLVMPointerType::get(module.getContext()), attributes, function.getLoc());
    inserted.insert(function.getName());
  }

  ModuleOp module;
  function_ref<bool(Operation *)> isUser;
  llvm::DenseMap<Operation *, bool> needs;
  llvm::StringSet<> inserted;
};
} // namespace

void addContextArguments(ModuleOp module, function_ref<bool(Operation *)> needsContext) {
  ContextArguments(module, needsContext).add();
}

} // namespace bpt
