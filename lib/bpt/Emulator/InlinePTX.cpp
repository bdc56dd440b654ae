// Operands, registers, scopes and control flow of inline PTX.
#include "InlinePTX.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/IR/InstIterator.h"

using namespace llvm;

namespace bpt {

PTXBuilder::PTXBuilder(RuntimeCalls &calls, const CallInst &call, Function &function)
    : calls(calls), asmCall(call), function(function), builder(function.getContext()) {
  builder.SetInsertPoint(BasicBlock::Create(function.getContext(), "entry", &function));
  where = function.getArg(function.arg_size() - 2);
  used = function.getArg(function.arg_size() - 1);
}

bool PTXBuilder::fail(Twine text) {
  if (failure.empty())
    failure = text.str();
  return false;
}

/// Gives each $n its place: outputs become variables, inputs are arguments; a tied input is its output's first value.
Error PTXBuilder::bindOperands() {
  const auto &assembly = *cast<InlineAsm>(asmCall.getCalledOperand());
  unsigned argument = 0;
  auto *structure = dyn_cast<StructType>(asmCall.getType());
  for (const InlineAsm::ConstraintInfo &constraint : assembly.ParseConstraints()) {
    if (constraint.Type == InlineAsm::isOutput && !constraint.isIndirect) {
      Type *type = structure ? structure->getElementType(outputs) : asmCall.getType();
      operands.push_back(builder.CreateAlloca(type));
      isOutput.push_back(true);
      ++outputs;
    } else if (constraint.Type == InlineAsm::isInput && !constraint.isIndirect) {
      Value *value = function.getArg(argument++);
      if (constraint.Codes.size() == 1 && isDigit(constraint.Codes[0][0])) {
        unsigned output = 0;
        StringRef(constraint.Codes[0]).getAsInteger(10, output);
        if (output >= outputs)
          return createStringError("tied operand without its output");
        Value *slot = operands[output];
        builder.CreateStore(RuntimeCalls::convert(builder, value, cast<AllocaInst>(slot)->getAllocatedType()), slot);
      }
      operands.push_back(value);
      isOutput.push_back(false);
    } else if (constraint.Type != InlineAsm::isClobber) {
      return createStringError("constraints that are not emulated");
    }
  }
  return Error::success();
}

Type *PTXBuilder::typeOf(StringRef type) const {
  LLVMContext &context = function.getContext();
  if (type == "pred")
    return Type::getInt1Ty(context);
  if (type == "f32")
    return Type::getFloatTy(context);
  if (type == "f64")
    return Type::getDoubleTy(context);
  if (type == "f16")
    return Type::getHalfTy(context);
  if (type == "f16x2" || type == "bf16x2" || type == "tf32")
    return Type::getInt32Ty(context);
  if (type == "bf16")
    return Type::getInt16Ty(context);
  unsigned bits;
  if (type.size() > 1 && (type[0] == 'b' || type[0] == 's' || type[0] == 'u') &&
      !type.drop_front().getAsInteger(10, bits) && bits <= 64)
    return IntegerType::get(context, bits);
  return nullptr;
}

AllocaInst *PTXBuilder::slot(const PTXOperand &operand) {
  if (operand.kind == PTXOperand::Argument)
    return size_t(operand.number) < operands.size() && isOutput[operand.number]
               ? cast<AllocaInst>(operands[operand.number])
               : nullptr;
  if (operand.kind == PTXOperand::Name)
    for (auto scope = scopes.rbegin(); scope != scopes.rend(); ++scope)
      if (auto found = scope->find(operand.text); found != scope->end())
        return found->second;
  return nullptr;
}

AllocaInst *PTXBuilder::array(Type *element, unsigned count) {
  IRBuilder<> entry(&function.getEntryBlock(), function.getEntryBlock().begin());
  return entry.CreateAlloca(ArrayType::get(element, count));
}

Value *PTXBuilder::read(const PTXOperand &operand, Type *type) {
  Value *value = nullptr;
  if (AllocaInst *variable = slot(operand)) {
    value = builder.CreateLoad(variable->getAllocatedType(), variable);
  } else if (operand.kind == PTXOperand::Argument && size_t(operand.number) < operands.size()) {
    value = operands[operand.number];
  } else if (operand.kind == PTXOperand::Integer) {
    // Integers may stand for floats of that value nowhere in PTX; predicates take 0 and 1.
    value = type->isIntegerTy() ? builder.getInt(APInt(64, uint64_t(operand.number))) : nullptr;
  } else if (operand.kind == PTXOperand::Float) {
    if (operand.bits)
      value = builder.getInt(APInt(operand.bits, uint64_t(operand.number)));
    else if (type->isFloatingPointTy())
      value = ConstantFP::get(type, operand.text);
  }
  if (!value) {
    fail("operand '" + operand.text + "' is not known or does not fit");
    return PoisonValue::get(type);
  }
  if (type->isIntegerTy(1) && !value->getType()->isIntegerTy(1))
    value = builder.CreateIsNotNull(value);
  value = RuntimeCalls::convert(builder, value, type);
  return operand.negated ? builder.CreateNot(value) : value;
}

Value *PTXBuilder::readAddress(const PTXOperand &operand) {
  Type *pointer = builder.getPtrTy();
  if (operand.kind != PTXOperand::Address || operand.elements.empty()) {
    fail("expected an address");
    return PoisonValue::get(pointer);
  }
  Value *base = read(operand.elements[0], builder.getInt64Ty());
  return builder.CreateIntToPtr(builder.CreateAdd(base, builder.getInt64(uint64_t(operand.number))), pointer);
}

bool PTXBuilder::write(const PTXOperand &operand, Value *value) {
  if (operand.kind == PTXOperand::Name && operand.text == "_")
    return true;
  AllocaInst *variable = slot(operand);
  if (!variable)
    return fail("writes '" + operand.text + "', which is no register of the asm and no output");
  builder.CreateStore(RuntimeCalls::convert(builder, value, variable->getAllocatedType()), variable);
  return true;
}

BasicBlock *PTXBuilder::block(StringRef label) {
  BasicBlock *&found = labels[label];
  if (!found)
    found = BasicBlock::Create(function.getContext(), label, &function);
  return found;
}

bool PTXBuilder::controlFlow(const PTXStatement &s) {
  if (s.parts[0] == "bra" && s.operands.size() == 1) {
    builder.CreateBr(block(s.operands[0].text));
    builder.SetInsertPoint(BasicBlock::Create(function.getContext(), "after", &function));
    return true;
  }
  if (s.parts[0] == "trap") {
    call("bpt_emulated_trap", {where});
    return true;
  }
  // Hints, and waits for nothing.
  return s.parts[0] == "nanosleep" || s.parts[0] == "griddepcontrol" || s.parts[0] == "prefetch" ||
         s.parts[0] == "prefetchu" || s.parts[0] == "applypriority" || s.parts[0] == "discard" ||
         s.parts[0] == "pmevent";
}

bool PTXBuilder::instruction(const PTXStatement &s) {
  return controlFlow(s) || wgmma(s) || mbarrier(s) || barrier(s) || fence(s) || warp(s) || matrix(s) || bulkCopy(s) ||
         compare(s) || moves(s) || floatingPoint(s) || arithmetic(s) || memory(s);
}

Error PTXBuilder::statement(const PTXStatement &s) {
  switch (s.kind) {
  case PTXStatement::OpenScope:
    scopes.emplace_back();
    return Error::success();
  case PTXStatement::CloseScope:
    if (scopes.size() < 2)
      return createStringError("'}' without '{'");
    scopes.pop_back();
    return Error::success();
  case PTXStatement::Declaration:
    for (const PTXOperand &name : s.operands) {
      Type *type = typeOf(s.text);
      if (!type)
        return createStringError("unknown register type ." + s.text);
      IRBuilder<> entry(&function.getEntryBlock(), function.getEntryBlock().begin());
      scopes.back()[name.text] = entry.CreateAlloca(type, nullptr, name.text);
    }
    return Error::success();
  case PTXStatement::Label: {
    BasicBlock *target = block(s.text);
    builder.CreateBr(target);
    builder.SetInsertPoint(target);
    return Error::success();
  }
  case PTXStatement::Instruction:
    break;
  }
  BasicBlock *after = nullptr;
  if (s.predicated) {
    Value *condition = readPredicate(s.predicate);
    if (s.predicateNegated)
      condition = builder.CreateNot(condition);
    auto *then = BasicBlock::Create(function.getContext(), "then", &function);
    after = BasicBlock::Create(function.getContext(), "after", &function);
    builder.CreateCondBr(condition, then, after);
    builder.SetInsertPoint(then);
  }
  bool known = instruction(s);
  if (!failure.empty())
    return createStringError("PTX instruction '" + s.text + "': " + failure);
  if (!known)
    return createStringError("PTX instruction '" + s.text + "' is not emulated");
  if (after) {
    builder.CreateBr(after);
    builder.SetInsertPoint(after);
  }
  return Error::success();
}

Error PTXBuilder::build() {
  const auto &assembly = *cast<InlineAsm>(asmCall.getCalledOperand());
  Expected<std::vector<PTXStatement>> statements = parsePTX(assembly.getAsmString());
  if (!statements)
    return statements.takeError();
  scopes.emplace_back();
  if (Error error = bindOperands())
    return error;
  for (const PTXStatement &s : *statements)
    if (Error error = statement(s))
      return error;
  for (auto &label : labels)
    if (label.second->empty() && label.second != builder.GetInsertBlock())
      return createStringError("no label '" + label.first() + "'");
  Type *result = function.getReturnType();
  if (outputs == 0) {
    builder.CreateRetVoid();
  } else if (!result->isStructTy()) {
    builder.CreateRet(builder.CreateLoad(result, operands[0]));
  } else {
    Value *all = PoisonValue::get(result);
    for (unsigned i = 0; i < outputs; ++i)
      all = builder.CreateInsertValue(all, builder.CreateLoad(cast<StructType>(result)->getElementType(i), operands[i]),
                                      i);
    builder.CreateRet(all);
  }
  return Error::success();
}

/// A short name for reports: the first instruction that is no bookkeeping.
static std::string nameOf(const std::string &text) {
  Expected<std::vector<PTXStatement>> statements = parsePTX(text);
  if (!statements) {
    consumeError(statements.takeError());
    return "asm";
  }
  static constexpr StringLiteral bookkeeping[] = {"add", "mov", "setp", "cvta", "elect", "selp", "cvt"};
  std::string fallback = "asm";
  for (const PTXStatement &s : *statements)
    if (s.kind == PTXStatement::Instruction) {
      fallback = s.text;
      if (!is_contained(bookkeeping, s.parts[0]))
        return s.text;
    }
  return fallback;
}

Error lowerInlinePTX(RuntimeCalls &calls, const DenseMap<const CallInst *, std::string> &usedRegisters) {
  Module &module = calls.module;
  SmallVector<CallInst *> found;
  for (Function &function : module)
    for (Instruction &instruction : instructions(function))
      if (auto *call = dyn_cast<CallInst>(&instruction); call && call->isInlineAsm())
        found.push_back(call);
  StringMap<Function *> built;
  for (CallInst *call : found) {
    const auto &assembly = *cast<InlineAsm>(call->getCalledOperand());
    std::string text = assembly.getAsmString().str();
    Type *pointer = PointerType::get(module.getContext(), 0);
    SmallVector<Type *> types;
    for (Value *argument : call->args())
      types.push_back(argument->getType());
    types.append({pointer, pointer});
    auto *type = FunctionType::get(call->getType(), types, false);
    std::string key = text + "\n" + assembly.getConstraintString().str();
    raw_string_ostream(key) << *type;
    Function *&function = built[key];
    if (!function) {
      function = Function::Create(type, GlobalValue::InternalLinkage, "bpt.ptx", module);
      function->addFnAttr(Attribute::AlwaysInline);
      function->addFnAttr(Attribute::NoUnwind);
      if (Error error = PTXBuilder(calls, *call, *function).build())
        return createStringError("in function '" + call->getFunction()->getName() + "': " + toString(std::move(error)) +
                                 " in inline PTX '" + text + "'");
    }
    IRBuilder<> builder(call);
    SmallVector<Value *> arguments(call->args());
    auto used = usedRegisters.find(call);
    arguments.push_back(calls.location(*call, nameOf(text)));
    arguments.push_back(used == usedRegisters.end() ? ConstantPointerNull::get(cast<PointerType>(pointer))
                                                    : calls.bytes(used->second));
    CallInst *replacement = builder.CreateCall(function, arguments);
    replacement->takeName(call);
    call->replaceAllUsesWith(replacement);
    call->eraseFromParent();
  }
  return Error::success();
}

} // namespace bpt
